"""What the privacy desk has to know at one glance: whose clock runs, whether the ledger is tied down, what failed.

In: rows, and the last line outside the database. Out: small values. The check of the ledger is a cheap one: the last
checkpoint is compared with its copy; the whole proof is `consent/audit.py`, every night.
"""

import datetime as dt
from dataclasses import dataclass

from django.db.models import Count, QuerySet

from consent.checkpoints import is_signed, public_key, published_from, spelled
from consent.models import ConsentEvent, LedgerCheckpoint, NoticeVersion, PrivacyRequest, PropagationJob
from consent.rights import OPEN


@dataclass(frozen=True, slots=True)
class Ledger:
    """The last checkpoint, how many entries are newer, and what is wrong with it; nothing when `problem` is empty."""

    last: LedgerCheckpoint | None
    newer: int
    problem: str = ""


def open_requests() -> "QuerySet[PrivacyRequest]":
    """Return the requests whose clock runs, the most urgent first."""
    return PrivacyRequest.objects.filter(state__in=OPEN).defer("result_enc").order_by("due_at")


def ledger() -> Ledger:
    """Return how the ledger is tied down."""
    last = LedgerCheckpoint.objects.first()
    newer = ConsentEvent.objects.filter(pk__gt=last.to_id if last else 0).count()
    return Ledger(last, newer, _problem_of(last))


def _problem_of(last: LedgerCheckpoint | None) -> str:
    outside = {line["n"]: line for line in published_from(last.n if last else 1, most=2)}
    n = last.n if last else 0
    if any(number > n for number in outside):
        return "There is a later checkpoint outside the database: it was set back, or rows were deleted."
    if last is None:
        return ""
    if n not in outside:
        return "The last checkpoint has no copy outside the database."
    if outside[n] != spelled(last):
        return "The last checkpoint differs from its copy outside the database."
    return "" if is_signed(outside[n], public_key()) else "The last checkpoint is not what was signed."


def failed_duties() -> dict[str, int]:
    """Return holder → how many erasures failed for good."""
    failed = PropagationJob.objects.filter(state=PropagationJob.State.FAILED).order_by("holder")
    return dict(failed.values_list("holder").annotate(n=Count("pk")))


def last_notice(site_id: int) -> NoticeVersion | None:
    """Return the newest notice that was asked; it is not made here."""
    return NoticeVersion.objects.filter(site_id=site_id).first()


def is_overdue(request: PrivacyRequest, *, now: dt.datetime) -> bool:
    """Say whether the answer is late."""
    return request.state in OPEN and request.due_at < now
