"""Five invariants, proved over everything that is kept (`manage.py consent_audit`, and every night).

1. The ledger is whole: every chain follows, every checkpoint is what was signed and lies outside the database too.
2. The state of each subject is what their chain adds up to.
3. No holder keeps anything for a purpose that is not granted.
4. Nothing is older than its time.
5. Every field of the project's models is declared: personal, with its holder, or not.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from django.db.models import QuerySet

from consent import registry
from consent.checkpoints import contradictions
from consent.enforcement import ANSWERS, allowing
from consent.holders import holders
from consent.ledger import broken_entries
from consent.models import ConsentEvent, ConsentState, NoticeVersion, PropagationJob, Purpose, Subject
from consent.purposes import digest_of
from consent.restores import lost


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must not be: which invariant it breaks, and where."""

    invariant: str
    detail: str


def audit(*, now: dt.datetime, only: str | None = None) -> Iterator[Finding]:
    """Yield what breaks an invariant, or one of them, the ledger's own first."""
    for invariant, findings in INVARIANTS.items():
        if only in (None, invariant):
            yield from (Finding(invariant, one) for one in findings(now))


def _ledger(now: dt.datetime) -> Iterator[str]:
    """Name the first bad entry of each chain, then what its checkpoints say of the whole."""
    for subject in _subjects():
        for row in broken_entries(subject):
            yield f"Entry {row.pk} (number {row.seq} of {subject}) does not follow from the one before."
            break  # everything behind it is in doubt
    for row in _emptied():
        yield f"Entry {row.pk} (number {row.seq} of {row.subject_key}) has lost its words, and nobody was erased."
    for notice in NoticeVersion.objects.order_by("site_id", "n"):
        if digest_of(notice.texts) != notice.sha256:
            yield f"Notice {notice.n} does not say what it said when it was published."
    yield from contradictions({n for one in lost() for n in range(one.first, one.last + 1)})


def _emptied() -> "QuerySet[ConsentEvent]":
    """Return the first shredded entry of everybody who is still there: erasure leaves no subject behind."""
    shredded = ConsentEvent.objects.filter(payload_enc=None, subject_key__in=Subject.objects.values("pk"))
    return shredded.order_by("subject_key", "seq").distinct("subject_key")


def _subjects() -> "QuerySet[ConsentEvent, uuid.UUID]":
    return ConsentEvent.objects.order_by("subject_key").values_list("subject_key", flat=True).distinct()


def _states(now: dt.datetime) -> Iterator[str]:
    """Compare each state with its chain; one statement finds the last answer to every purpose."""
    last = (
        ConsentEvent.objects.filter(action__in=ANSWERS)
        .order_by("subject_key", "purpose", "-seq")
        .distinct("subject_key", "purpose")
        .values_list("subject_key", "purpose", "action")
    )
    told: dict[uuid.UUID, dict[str, str]] = {}
    for subject, purpose, action in last.iterator():
        told.setdefault(subject, {})[purpose] = action
    for row in ConsentState.objects.iterator():
        state = {purpose: answer for purpose, answer in row.state.items() if answer in ANSWERS}
        if state != told.get(row.pk, {}):
            yield f"The state of {row.pk} is not what its chain adds up to."


def _kept_without_purpose(now: dt.datetime) -> Iterator[str]:
    pending = PropagationJob.objects.filter(state=PropagationJob.State.PENDING).values("subject_key")
    asked_for = Purpose.objects.exclude(mechanism=Purpose.Mechanism.ALWAYS_ON)
    for purpose in asked_for.values_list("key", flat=True).distinct():
        granted = allowing(purpose, now).values("subject_id")
        for one in holders():
            if one.held is None:
                continue
            kept = one.held(purpose).exclude(subject_key__in=granted).exclude(subject_key__in=pending)
            for subject in kept.values_list("subject_key", flat=True)[:20]:
                yield f"'{one.name}' keeps something of {subject} for '{purpose}', which is not granted."


INVARIANTS: Final[Mapping[str, Callable[[dt.datetime], Iterable[str]]]] = {
    "ledger": _ledger,
    "state": _states,
    "purpose": _kept_without_purpose,
    "retention": registry.overdue,
    "registry": lambda now: registry.undeclared(),
}
