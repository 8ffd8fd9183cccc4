"""Carry out what consent demands: after a withdrawal every holder owes an erasure, done by the worker.

The duties are rows, written in the transaction of the decision and claimed with SKIP LOCKED; the task is a hint.
`reconcile` finds what anybody changed in any other way, by comparing what holders keep with what is granted.
"""

import datetime as dt
import logging
import uuid
from collections.abc import Collection, Sequence

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet

from consent.causes import cause_of
from consent.fault_points import crash_at
from consent.hints import hint
from consent.holders import holder, holders, in_turn
from consent.ledger import Entry, append
from consent.models import ConsentEvent, ConsentState, PropagationJob, Purpose
from consent.purposes import covered_by_gpc
from consent.state import allowed_by, announce_after_commit, gates_of, lock

log = logging.getLogger(__name__)
LATE_AFTER = 8  # tries: then people are told that something could not be deleted yet
AGAIN = dt.timedelta(minutes=5)  # after so long what failed so often is tried once more
OWED = (PropagationJob.State.PENDING, PropagationJob.State.FAILED)
SEALED = dt.timedelta(minutes=10)
BATCH = 200
LEASE = dt.timedelta(seconds=20)  # of a claim: longer than any holder takes


def owe(
    subject_id: uuid.UUID, events: Sequence[ConsentEvent], *, now: dt.datetime, seal: bool = False
) -> None:
    """Write one duty per holder for the purposes that were just closed; `seal` gives ten minutes to undo."""
    if not events:
        return
    purposes = {event.purpose for event in events if event.purpose != "*"}
    if any(event.purpose == "*" for event in events):
        purposes |= covered_by_gpc(events[0].site_id)
    write_duties(subject_id, purposes, events[-1], now, delay=SEALED if seal else dt.timedelta())


def write_duties(
    subject_id: uuid.UUID,
    purposes: Collection[str],
    cause: ConsentEvent | None,
    now: dt.datetime,
    *,
    delay: dt.timedelta = dt.timedelta(),
) -> None:
    """Write one duty per holder for these purposes, in the caller's transaction."""
    PropagationJob.objects.bulk_create(
        PropagationJob(
            consent_event=cause,
            subject_key=subject_id,
            holder=one.name,
            purposes=sorted(purposes),
            created_at=now,
            not_before=now + delay,
            due_at=now + delay,
        )
        for one in in_turn()
    )


def remind_worker() -> None:
    """Hint that there are duties; without a worker the sweep finds them."""
    hint("consent.tasks.enforce")


def enforce(*, now: dt.datetime) -> int:
    """Do the duties that are due; return how many were done."""
    done = 0
    while claimed := _one_batch(now):
        done += claimed
    return done


def _one_batch(now: dt.datetime) -> int:
    """Claim duties and do them person by person; who dies over one is followed when the claim runs out."""
    waiting = PropagationJob.objects.filter(state__in=OWED, not_before__lte=now)
    with transaction.atomic():
        found = waiting.select_for_update(skip_locked=True).order_by("id").values_list("subject_key", "pk")
        claimed = list(found[:BATCH])
        rows = PropagationJob.objects.filter(pk__in=[pk for _, pk in claimed])
        rows.update(attempts=F("attempts") + 1, not_before=now + LEASE)
    duties: dict[uuid.UUID, list[int]] = {}
    for subject, pk in claimed:
        duties.setdefault(subject, []).append(pk)
    for subject, pks in duties.items():
        _do(subject, pks, now)
    return len(claimed)


@transaction.atomic
def _do(subject: uuid.UUID, pks: Collection[int], now: dt.datetime) -> None:
    """Let every holder erase what one person does not allow any more, under one lock of their consent."""
    state = lock(subject)
    allowed = allowed_by(state, now=now.timestamp()).granted if state else frozenset[str]()
    jobs = list(PropagationJob.objects.select_for_update().filter(pk__in=pks).order_by("pk"))
    turn = {one.name: n for n, one in enumerate(in_turn())}
    # one that is not pending: somebody thought that the claim had run out, and was faster
    mine = sorted((job for job in jobs if job.state in OWED), key=lambda job: turn.get(job.holder, 0))
    for job in mine:
        crash_at(f"erase:{job.holder}")
        _let_erase(job, [purpose for purpose in job.purposes if purpose not in allowed], now)
    PropagationJob.objects.bulk_update(mine, ["rows_affected", "state", "done_at", "error", "not_before"])


def _let_erase(job: PropagationJob, closed: Collection[str], now: dt.datetime) -> None:
    """Let one holder erase; a failure is kept with its cause and tried again, without end: what is owed stays owed."""
    try:
        with transaction.atomic():
            job.rows_affected += holder(job.holder).erase(job.subject_key, closed)
    except Exception as error:  # noqa: BLE001  # one holder's failure must not stop the others' duties
        job.error = cause_of(error)
        log.error("a holder failed to erase: %s", job.error, extra={"holder": job.holder})
        late = job.attempts >= LATE_AFTER
        job.state = job.State.FAILED if late else job.State.PENDING
        job.not_before = now + (AGAIN if late else dt.timedelta(seconds=min(60, 2**job.attempts)))
    else:
        job.state, job.done_at, job.error = job.State.DONE, dt.datetime.now(dt.UTC), ""


def reconcile(*, now: dt.datetime) -> int:
    """Find subjects of whom something is kept without a granted purpose; return for how many a duty was written.

    First the flags that say more than was ever decided are closed: the ledger is the truth, and the state its sum.
    """
    found: dict[uuid.UUID, set[str]] = {}
    _close_what_was_opened(now)
    asked_for = Purpose.objects.exclude(mechanism=Purpose.Mechanism.ALWAYS_ON)
    for purpose in asked_for.values_list("key", flat=True).distinct():
        granted = allowing(purpose, now).values("subject_id")
        for one in holders():
            if one.held is not None:
                kept = one.held(purpose).exclude(subject_key__in=granted)
                for subject in kept.values_list("subject_key", flat=True):
                    found.setdefault(subject, set()).add(purpose)
    owed = sum(_record_silent_change(subject, purposes, now) for subject, purposes in found.items())
    if owed:
        remind_worker()
    return owed


_OPENED = """
SELECT c.subject_id, flag.key
FROM consent_consentstate c CROSS JOIN LATERAL jsonb_each_text(c.state) AS flag(key, value)
WHERE flag.value = 'granted' AND (
  SELECT e.action FROM consent_consentevent e
  WHERE e.subject_key = c.subject_id AND e.purpose = flag.key AND e.action = ANY(%s) ORDER BY e.seq DESC LIMIT 1
) IS DISTINCT FROM 'granted'
AND age(c.xmin)::bigint <= pg_snapshot_xmax(pg_current_snapshot())::text::bigint - %s + 1
"""
_looked_up_to = (
    0  # the transactions that this process has looked at: rows that none changed since need no second look
)
ANSWERS = ("granted", "refused", "withdrawn")  # what a state is the sum of


def _close_what_was_opened(now: dt.datetime) -> None:
    """Close the flags that are open though nobody ever decided so, among the rows that were written since the last look."""
    global _looked_up_to
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        upto = cursor.fetchone()[0]
        cursor.execute(_OPENED, [list(ANSWERS), _looked_up_to])
        found = list(cursor.fetchall())
    for subject, purpose in found:
        _close_again(subject, purpose, now)
    _looked_up_to = upto  # only now: a look that failed is made again


@transaction.atomic
def _close_again(subject_id: uuid.UUID, purpose: str, now: dt.datetime) -> None:
    """Put a flag back to what the ledger says last; what was kept meanwhile is found like everything else."""
    row = lock(subject_id)
    chain = ConsentEvent.objects.filter(subject_key=subject_id, purpose=purpose, action__in=ANSWERS)
    last = chain.order_by("-seq").first()
    if row is None or row.state.get(purpose) != "granted" or (last is not None and last.action == "granted"):
        return
    log.error("a flag was opened behind the ledger's back", extra={"purpose": purpose})
    if last is None:
        del row.state[purpose]
    else:
        row.state[purpose] = last.action
    row.expires.pop(purpose, None)
    row.version += 1
    row.save(update_fields=["state", "expires", "version"])
    announce_after_commit(subject_id, gates_of(row, now=now.timestamp()), wait=False)


def allowing(purpose: str, now: dt.datetime) -> "QuerySet[ConsentState]":
    """Return the states in which a purpose is open: granted, not expired, not refused by a kept signal, and in use."""
    granted = ConsentState.objects.filter(**{f"state__{purpose}": "granted"})
    granted = granted.exclude(**{f"expires__{purpose}__lte": now.timestamp()})
    here = Purpose.objects.filter(key=purpose, site_id=OuterRef("site_id"))
    granted = granted.exclude(Exists(here.filter(gpc_applies=True)), gpc=True)
    return granted.exclude(Exists(here.filter(active=False)))


@transaction.atomic
def _record_silent_change(subject_id: uuid.UUID, purposes: set[str], now: dt.datetime) -> bool:
    """Write the duties, and the ledger's entries, for gates that closed without a decision."""
    purposes = purposes - _seen_to(subject_id)
    if not purposes:
        return False
    row = lock(subject_id)
    if row is None:  # nobody the ledger knows: what is kept has no reason at all
        write_duties(subject_id, purposes, None, now)
        return True
    closed = sorted(purposes - allowed_by(row, now=now.timestamp()).granted)
    if not closed:
        return False
    ConsentState.objects.filter(pk=row.pk).update(version=F("version") + 1)
    row.refresh_from_db()
    entries = [_found(row, purpose) for purpose in closed]
    events = append(subject_id, entries, site_id=row.site_id, payload={"cause": "reconciled"}, now=now)
    owe(subject_id, events, now=now)
    announce_after_commit(subject_id, gates_of(row, now=now.timestamp()), wait=False)
    return True


def _seen_to(subject_id: uuid.UUID) -> set[str]:
    """Return the purposes that duties wait for already, sealed ones too: these have their own time."""
    waiting = PropagationJob.objects.filter(subject_key=subject_id, state__in=OWED)
    return {purpose for purposes in waiting.values_list("purposes", flat=True) for purpose in purposes}


def call_off(subject_id: uuid.UUID, allowed: Collection[str], *, now: dt.datetime) -> None:
    """Take what is allowed again out of the duties that are sealed still: nothing of it is to be deleted any more."""
    sealed = PropagationJob.objects.select_for_update().filter(
        subject_key=subject_id,
        state=PropagationJob.State.PENDING,
        due_at__gt=now,
        purposes__overlap=sorted(allowed),
    )
    jobs = list(sealed)
    for job in jobs:
        left = [purpose for purpose in job.purposes if purpose not in allowed]
        job.purposes, job.state = left or job.purposes, job.state if left else job.State.UNDONE
    PropagationJob.objects.bulk_update(jobs, ["purposes", "state"])


def _found(row: ConsentState, purpose: str) -> Entry:
    """Spell what was found: a grant that ran out or that a signal overrides, else a flag that somebody changed."""
    action = "expired" if row.state.get(purpose) == "granted" else "withdrawn"
    return Entry(purpose=purpose, action=action, method="reconciled", actor="system")
