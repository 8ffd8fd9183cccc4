"""Withdrawals outside the database, so that a restored backup does not bring back what somebody took back.

In: the ledger, as far as checkpoints reach. Out: a line for each checkpoint, with what was closed in it, in
`LEDGER_DIR/withdrawals.jsonl`; it names nobody without the site's key (`tombstones.py`). Written by the minute and not
by the request, so that no withdrawal waits for a disk. A line is kept as long as a backup may be, and whoever was
erased is taken out of it in the night.
"""

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings

from consent import lines, tombstones
from consent.decisions import CLOSING, SIGNAL, How, decide, record_gpc
from consent.merging import everyone_in
from consent.models import ConsentEvent, ConsentState, LedgerCheckpoint
from consent.tombstones import of_subject

HOW: Final = How(method="replay", actor="system")
KEPT: Final = dt.timedelta(days=365)  # no backup is older


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
    with lines.alone(withdrawals_file()):
        known = lines.last(withdrawals_file())
        missing = list(LedgerCheckpoint.objects.filter(n__gt=known["n"] if known else 0).order_by("n"))
        for checkpoint in missing:
            lines.append(withdrawals_file(), {"n": checkpoint.n, "closed": list(_closed_in(checkpoint))})
    return len(missing)


def _closed_in(checkpoint: LedgerCheckpoint) -> Iterator[list[str]]:
    """Yield digest, purpose and moment; whoever was joined is closed under every name that a backup may know."""
    entries = ConsentEvent.objects.filter(
        pk__gt=checkpoint.from_id, pk__lte=checkpoint.to_id, action__in=CLOSING
    )
    for subject, purpose, at in entries.order_by("pk").values_list("subject_key", "purpose", "at"):
        for one in everyone_in(subject):
            yield [of_subject(one), purpose, at.astimezone(dt.UTC).isoformat()]


def prune(*, now: dt.datetime) -> int:
    """Take out what is older than any backup, and whoever was erased; return how many withdrawals were left out."""
    erased = {digest for stone in tombstones.read() for digest in stone.digests}
    oldest = (now - KEPT).isoformat()
    with lines.alone(withdrawals_file()):
        before = list(lines.read(withdrawals_file()))
        kept = [
            {**line, "closed": [one for one in line["closed"] if one[0] not in erased and one[2] >= oldest]}
            for line in before
        ]
        kept = [line for line in kept[:-1] if line["closed"]] + kept[-1:]  # the last says how far it is
        if kept != before:
            lines.rewrite(withdrawals_file(), kept)
    return sum(len(line["closed"]) for line in before) - sum(len(line["closed"]) for line in kept)


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
