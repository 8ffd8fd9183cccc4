"""After an older backup was restored: let the ledger go on behind what it lost, and say what that was.

In: the checkpoints outside the database, which know more than it does. Out: a signed line in `LEDGER_DIR/restores.jsonl`
that names the checkpoints whose entries are gone. They stay published, so that receipts of that time still lead to a
signed root; new entries get numbers that no lost one had, and the next checkpoint follows the last one outside.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785
from django.conf import settings
from django.db import connection, transaction

from consent import checkpoints, lines
from consent.models import ConsentEvent, LedgerCheckpoint


class NotThisLedger(Exception):
    """What lies in the database is no older state of what lies outside of it."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The checkpoints whose entries a restore lost, by their numbers, and when that was said."""

    first: int
    last: int
    at: dt.datetime

    def __contains__(self, n: int) -> bool:
        return self.first <= n <= self.last


def restores_file() -> Path:
    return settings.LEDGER_DIR / "restores.jsonl"


def lost() -> list[Lost]:
    """Return what restores lost; a line that we did not sign says nothing."""
    return list(_lost())


def _lost() -> Iterator[Lost]:
    for line in lines.read(restores_file()):
        if checkpoints.verifies(_hashed(line), line["signature"], checkpoints.public_key()):
            yield Lost(line["first"], line["last"], dt.datetime.fromisoformat(line["at"]))


def _hashed(line: Mapping[str, Any]) -> bytes:
    return rfc8785.dumps({name: line[name] for name in ("first", "last", "at")})


@transaction.atomic
def go_on(*, now: dt.datetime) -> Lost | None:
    """Take over the checkpoints that the database does not know any more; None where it knows all. Raises NotThisLedger."""
    outside = {line["n"]: line for line in checkpoints.published()}
    last = LedgerCheckpoint.objects.first()
    known = last.n if last else 0
    missing = [outside[n] for n in sorted(outside) if n > known]
    if not missing:
        return None
    if last is not None and outside.get(known) != checkpoints.spelled(last):
        raise NotThisLedger(f"Checkpoint {known} differs from its copy outside the database.")
    LedgerCheckpoint.objects.bulk_create(
        LedgerCheckpoint(**{**line, "at": dt.datetime.fromisoformat(line["at"])}) for line in missing
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence(%s, 'id'), greatest(%s, (SELECT max(id) FROM consent_consentevent)))",
            [ConsentEvent._meta.db_table, max(line["to_id"] for line in missing)],
        )
    said = {"first": missing[0]["n"], "last": missing[-1]["n"], "at": now.isoformat()}
    lines.append(restores_file(), said | {"signature": checkpoints.signed(_hashed(said))})
    return Lost(said["first"], said["last"], now)
