"""Withdrawals outside the database, so that a restored backup does not bring back what somebody took back.

In: the ledger, as far as checkpoints reach. Out: a line for each checkpoint in which something was closed, in
`LEDGER_DIR/withdrawals.jsonl`; it names nobody without the site's key (`tombstones.py`). Written by the minute and not
by the request, so that no withdrawal waits for a disk.
"""

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings

from consent import lines
from consent.decisions import CLOSING, SIGNAL, How, decide, record_gpc
from consent.models import ConsentEvent, ConsentState, LedgerCheckpoint
from consent.tombstones import of_subject

HOW: Final = How(method="replay", actor="system")


@dataclass(frozen=True, slots=True)
class Closed:
    """That a purpose (`*` for Global Privacy Control) was closed for somebody, and when."""

    digest: str
    purpose: str
    at: dt.datetime


def withdrawals_file() -> Path:
    return settings.LEDGER_DIR / "withdrawals.jsonl"


def export() -> int:
    """Write the lines that are not outside the database yet; return how many there were."""
    known = max((line["n"] for line in lines.read(withdrawals_file())), default=0)
    written = 0
    for checkpoint in LedgerCheckpoint.objects.filter(n__gt=known).order_by("n"):
        entries = ConsentEvent.objects.filter(
            pk__gt=checkpoint.from_id, pk__lte=checkpoint.to_id, action__in=CLOSING
        )
        closed = [
            [of_subject(subject), purpose, at.astimezone(dt.UTC).isoformat()]
            for subject, purpose, at in entries.order_by("pk").values_list("subject_key", "purpose", "at")
        ]
        if closed:
            lines.append(withdrawals_file(), {"n": checkpoint.n, "closed": closed})
            written += 1
    return written


def read() -> Iterator[Closed]:
    """Yield what was closed, the oldest first."""
    for line in lines.read(withdrawals_file()):
        for digest, purpose, at in line["closed"]:
            yield Closed(digest, purpose, dt.datetime.fromisoformat(at))


def replay(*, now: dt.datetime) -> int:
    """Close again what a restored backup opened; return for how many people.

    Who allowed it again in the time that the backup lacks is asked again: nobody knows of that any more.
    """
    last: dict[str, dict[str, dt.datetime]] = {}
    for one in read():
        last.setdefault(one.digest, {})[one.purpose] = one.at
    if not last:
        return 0
    found = 0
    for row in ConsentState.objects.only("subject_id", "site_id", "state").iterator():
        closed = last.get(of_subject(row.subject_id))
        found += closed is not None and _close_again(row, closed, now)
    return found


def _close_again(row: ConsentState, closed: dict[str, dt.datetime], now: dt.datetime) -> bool:
    """Close what somebody closed after the last answer that the ledger still knows."""
    known = _last_answers(row.subject_id)
    later = {purpose for purpose, at in closed.items() if purpose not in known or at > known[purpose]}
    signalled = SIGNAL.purpose in later and record_gpc(row.subject_id, site_id=row.site_id, now=now)
    wanted = {purpose: False for purpose in sorted(later) if row.state.get(purpose) == "granted"}
    if wanted:
        decide(row.subject_id, wanted, how=HOW, now=now)
    return bool(wanted) or signalled


def _last_answers(subject: uuid.UUID) -> dict[str, dt.datetime]:
    entries = ConsentEvent.objects.filter(subject_key=subject).order_by("purpose", "-seq").distinct("purpose")
    return dict(entries.values_list("purpose", "at"))
