"""Benchmarks as ratios: what Tessera does against a baseline that is measured in the same run.

`make bench` prints a table and writes `bench/results.json`. Only ratios within a run mean anything: the same code
varies by a third between two runs on one machine.

    __main__.py   the table: which benchmarks there are, and where their results go
    rounds.py     measure two ways in turn, and say the ratio with its spread
    load.py       the load: keep-alive connections to one server, each request with another visitor's token
    server.py     one granian worker on a core of its own
    settings.py   the product's settings, with the baseline's route
    urls.py       the product's routes, and the baseline: the same finished bytes from one Redis GET
    gated.py      the product's page with its gates forced open, as a second server
    shop.py       the page of the benchmark, and a thousand visitors who said yes
    pages.py  rules.py  segments.py   what is measured
    convert.py    made `page-bundle.json`, once
"""
