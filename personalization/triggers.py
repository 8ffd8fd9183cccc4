"""Triggers: our own code that is called when somebody enters or leaves a segment.

    from personalization.triggers import on_entry

    on_entry("cart_left", remind, purpose="marketing")

In: functions, or names of Celery tasks, registered when an application starts. Out: each runs once per change. The
truth is a row (`TriggerRun`); a function runs in the transaction that ends its row, so what it writes is written once,
whatever is killed. It is called only while the segment's purposes and its own are granted. What fails is tried again,
eight times in all, and then lies among the dead letters, from where it can be replayed.
"""

import datetime as dt
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from celery import current_app
from django.db import connection, transaction

from consent.causes import cause_of
from personalization.announcements import TRIES, retry_in
from personalization.dead_letters import bury
from personalization.folding import gates_of_subjects
from personalization.models import TriggerRun

WORK: Final = "trigger"
LEASE: Final = dt.timedelta(minutes=5)
State = TriggerRun.State


@dataclass(frozen=True, slots=True)
class Moved:
    """Who moved, where and when; `change` is the same for every call about one change."""

    segment: str
    subject: uuid.UUID
    entered: bool
    at: dt.datetime
    change: int
    site_id: int


Handler = Callable[[Moved], None]


@dataclass(frozen=True, slots=True)
class Trigger:
    name: str
    segment: str
    entered: bool
    handler: Handler | str
    purposes: frozenset[str]


_triggers: dict[str, Trigger] = {}


def on_entry(segment: str, handler: Handler | str, *, name: str = "", purpose: str = "") -> Trigger:
    """Call a function, or send a Celery task by its name, whenever somebody enters a segment."""
    return _register(segment, handler, name, purpose, entered=True)


def on_exit(segment: str, handler: Handler | str, *, name: str = "", purpose: str = "") -> Trigger:
    """Call a function, or send a Celery task by its name, whenever somebody leaves a segment."""
    return _register(segment, handler, name, purpose, entered=False)


def _register(segment: str, handler: Handler | str, name: str, purpose: str, *, entered: bool) -> Trigger:
    called = handler if isinstance(handler, str) else f"{handler.__module__}.{handler.__qualname__}"
    name = name or f"{called} {'on' if entered else 'off'} {segment}"
    made = Trigger(name, segment, entered, handler, frozenset({purpose} if purpose else ()))
    if _triggers.get(name, made) != made:
        raise ValueError(f"There are two triggers named '{name}'.")
    _triggers[name] = made
    return made


def forget(trigger: Trigger) -> None:
    """Take a trigger off the list; what waits for it is not done."""
    _triggers.pop(trigger.name, None)


def triggers() -> Sequence[Trigger]:
    """Return every registered trigger."""
    return tuple(_triggers.values())


_CLAIM = """
UPDATE personalization_triggerrun r SET attempts = attempts + 1, next_at = %(lease)s
WHERE id = (
  SELECT id FROM personalization_triggerrun w WHERE state = 'waiting' AND next_at <= %(now)s
  AND NOT EXISTS (
    SELECT 1 FROM personalization_triggerrun e WHERE e.subject_key = w.subject_key AND e.trigger = w.trigger
    AND e.state = 'waiting' AND e.change < w.change)
  ORDER BY next_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING id
"""


def run_next(*, now: dt.datetime) -> bool:
    """Do the piece of work that is due first; return False when there is none."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"now": now, "lease": now + LEASE})
        claimed = cursor.fetchone()
    if claimed is None:
        return False
    try:
        with transaction.atomic():
            _run(claimed[0], now)
    except Exception as error:  # noqa: BLE001  # whatever somebody's function raises: it is kept with its cause
        _failed(claimed[0], error, now)
    return True


def _run(pk: int, now: dt.datetime) -> None:
    """Call the function; its row is locked, so that nobody else does, and ends with what the function wrote."""
    rows = TriggerRun.objects.select_for_update(skip_locked=True, of=("self",)).select_related("segment")
    row = rows.filter(pk=pk, state=State.WAITING).first()
    if row is None:  # erased, or still being done by somebody who is slow
        return
    trigger = _triggers.get(row.trigger)
    if trigger is None:
        raise LookupError("No trigger of this name is registered.")
    if row.attempts > TRIES:
        raise RuntimeError("The process ended each time that this was tried.")
    if not _allowed(row, trigger, now):
        row.state, row.done_at = State.WITHHELD, now
    else:
        _call(trigger, _moved(row))
        row.state, row.done_at, row.error = State.DONE, now, ""
    row.save(update_fields=["state", "done_at", "error"])


def _allowed(row: TriggerRun, trigger: Trigger, now: dt.datetime) -> bool:
    gates = gates_of_subjects([row.subject_key], now=now).get(row.subject_key)
    return gates is not None and {*row.segment.purposes, *trigger.purposes} <= gates.granted


def _moved(row: TriggerRun) -> Moved:
    return Moved(row.segment.key, row.subject_key, row.entered, row.at, row.change, row.segment.site_id)


def _call(trigger: Trigger, moved: Moved) -> None:
    if callable(trigger.handler):
        trigger.handler(moved)
        return
    spelled: dict[str, Any] = asdict(moved) | {"subject": str(moved.subject), "at": moved.at.isoformat()}
    current_app.send_task(trigger.handler, kwargs=spelled, retry=False)


def _failed(pk: int, error: Exception, now: dt.datetime) -> None:
    """Keep the cause; try again later, or bury it. The letter says where it failed and not with whose data."""
    row = TriggerRun.objects.filter(pk=pk).first()
    if row is None:
        return
    row.error = f"{type(error).__name__}: {error}"[:500]
    wait = retry_in(row.attempts, random=random.random())  # noqa: S311  # jitter
    if wait is None:
        row.state, row.done_at = State.FAILED, now
        said = f"{row.trigger}: {cause_of(error)}"
        bury(WORK, str(row.pk), attempts=row.attempts, error=said, now=now)
    else:
        row.next_at = now + wait
    row.save(update_fields=["state", "error", "next_at", "done_at"])


def replay_run(reference: str, now: dt.datetime) -> bool:
    """Let a piece of work that failed be done again, from its first try."""
    row = TriggerRun.objects.filter(pk=int(reference), state=State.FAILED)
    return bool(row.update(state=State.WAITING, attempts=0, next_at=now, done_at=None))


# -- what is kept of people ------------------------------------------------------------------------------------------


def export(subject: uuid.UUID) -> dict[str, Any]:
    """Return what was done because somebody entered or left a segment."""
    rows = TriggerRun.objects.filter(subject_key=subject).select_related("segment").order_by("id")
    return {
        "runs": [
            {"title": r.segment.title, "entered": r.entered, "at": r.at.isoformat(), "state": r.state}
            for r in rows
        ]
    }


def erase(subject: uuid.UUID, purposes: Any) -> int:
    """Delete the work, done or waiting, that the closed purposes allowed."""
    names = [one.name for one in triggers() if one.purposes & set(purposes)]
    rows = TriggerRun.objects.filter(subject_key=subject)
    gone = rows.filter(segment__purposes__overlap=sorted(purposes)) | rows.filter(trigger__in=names)
    return gone.delete()[0]


def held(purpose: str) -> Any:
    """Return of whom work is kept for a purpose."""
    names = [one.name for one in triggers() if purpose in one.purposes]
    rows = TriggerRun.objects.filter(segment__purposes__contains=[purpose])
    return (rows | TriggerRun.objects.filter(trigger__in=names)).order_by().distinct("subject_key")


def expire(*, before: dt.datetime) -> int:
    """Delete the log of long ago."""
    rows = TriggerRun.objects.filter(at__lt=before).exclude(state=State.WAITING)
    return rows.delete()[0]
