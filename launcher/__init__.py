"""Start what Tessera needs and end it again: embedded PostgreSQL and Valkey, and the tree of processes.

Standard library alone: nothing here imports Django, so that it can run before the settings are read.

    embedded.py     the door: join the services of a data directory, leave them
    keeper.py       one small process per service: starts it, restarts it, stops it when its last user is gone
    locks.py        who uses a service, and who keeps it, as locks that die with their holder
    place.py        where binaries, data and sockets lie, and which account owns them
    postgres.py     what PostgreSQL needs: programs, first start, command line, readiness
    valkey.py       the same for Valkey
    supervise.py    keep the children of `make run` alive, and end them together
    run.py          `make run`
"""
