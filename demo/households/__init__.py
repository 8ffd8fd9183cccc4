"""The real households: 2,469 of them and a year of their baskets, as consented profiles of the demo shop.

source.py     fetch the published data set and read it
export.py     the script that runs in the data set's own environment
messages.py   PURE: how a row of the source is said in the public API's words
journal.py    what was sent already, so that a run that was ended goes on where it stopped
api.py        the public API over HTTP, and a private server when none runs
load.py       send it: catalogue, consent, events
report.py     compare what is stored with the source, and say so in a table
progress.py   one line of progress, with or without a terminal
"""
