"""Run inside the product (`manage.py shell`), as an operator who owns the database and holds every key: rewrite history.

One person's answer is turned around; their chain, all checkpoints and the file outside are made anew, and signed, so
that nothing in the system contradicts anything else. Whose answer it is, stands in the environment.
"""

import datetime as dt
import os
import uuid

from django.db import connection, transaction

from consent.checkpoints import contradictions, ledger_file, make
from consent.ledger import broken_entries, hash_of
from consent.models import ConsentEvent, LedgerCheckpoint

WHO = uuid.UUID(os.environ["REWRITTEN"])

with transaction.atomic(), connection.cursor() as cursor:
    cursor.execute("SET LOCAL session_replication_role = replica")  # triggers sleep
    previous = ""
    for entry in ConsentEvent.objects.filter(subject_key=WHO).order_by("seq"):
        entry.action = {"granted": "refused"}.get(entry.action, entry.action)
        entry.prev_hash = previous
        entry.hash = previous = hash_of(entry)
        ConsentEvent.objects.filter(pk=entry.pk).update(
            action=entry.action, prev_hash=entry.prev_hash, hash=entry.hash
        )
    LedgerCheckpoint.objects.all().delete()
    ledger_file().unlink()
make(now=dt.datetime.now(dt.UTC))
assert not list(contradictions())
assert not list(broken_entries(WHO))
