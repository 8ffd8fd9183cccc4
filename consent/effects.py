"""What a decision did to what was kept: how much, in how many seconds; and to take it back while it is sealed.

In: entries of the ledger that were written as one decision. Out: `Effect`. The numbers are those that each holder
counted when it erased; while everything is sealed, those that it would count now.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.db import transaction

from consent.enforcement import remind_worker
from consent.holders import About, Wish, holder, holders, in_turn
from consent.hot_store import Unavailable
from consent.models import ConsentEvent, PropagationJob
from consent.state import lock

State = PropagationJob.State


class Stage(StrEnum):
    """How far the effect of a decision is."""

    NONE = "none"
    SEALED = "sealed"
    WORKING = "working"
    DONE = "done"
    UNDONE = "undone"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Effect:
    """What happened to what was kept; `units` are numbers with their words, such as "214 events"."""

    stage: Stage
    units: tuple[str, ...] = ()
    seconds: float = 0.0
    until: dt.datetime | None = None  # while it is sealed


def effects_of(decisions: Sequence[Sequence[ConsentEvent]], *, now: dt.datetime) -> list[Effect]:
    """Return what each decision did; one statement for all of them."""
    duties: dict[int, list[PropagationJob]] = {}
    for job in PropagationJob.objects.filter(
        consent_event__in=[e.pk for events in decisions for e in events]
    ):
        duties.setdefault(job.consent_event_id or 0, []).append(job)
    return [_effect([job for e in events for job in duties.get(e.pk, ())], now) for events in decisions]


def _effect(jobs: Sequence[PropagationJob], now: dt.datetime) -> Effect:
    if not jobs:
        return Effect(Stage.NONE)
    states = {job.state for job in jobs}
    due = max(job.due_at or job.created_at for job in jobs)
    if states == {State.UNDONE}:
        return Effect(Stage.UNDONE)
    if State.PENDING in states and due > now:
        return Effect(Stage.SEALED, foreseen(jobs[0].subject_key, jobs[0].purposes), until=due)
    units = in_words((job.holder, job.rows_affected) for job in jobs)
    if State.PENDING in states:
        return Effect(Stage.WORKING, units)
    if State.FAILED in states:
        return Effect(Stage.FAILED, units)
    ended = max((job.done_at for job in jobs if job.done_at), default=due)
    return Effect(Stage.DONE, units, max(0.0, (ended - due).total_seconds()))


def foreseen(subject: uuid.UUID, purposes: Collection[str]) -> tuple[str, ...]:
    """Return what would be deleted: each holder erases, and it is rolled back."""
    found = []
    with transaction.atomic():
        lock(subject)
        for one in in_turn():
            if one.units is not None:
                try:
                    found.append((one.name, one.erase(subject, purposes)))
                except Unavailable:
                    continue  # it cannot count now; it erases when it can
        transaction.set_rollback(True)
    return in_words(found)


def in_words(found: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    """Put numbers into words; holders that speak of the same things are counted together."""
    words = {one.name: one.units for one in holders()}
    counted: dict[Callable[[int], str], int] = {}
    for name, number in found:
        if (units := words.get(name)) is not None:
            counted[units] = counted.get(units, 0) + number
    return tuple(units(number) for units, number in counted.items() if number)


@dataclass(frozen=True, slots=True)
class Steered:
    """What a wish about one item did: groups that one is no longer in, or is in now, and things deleted."""

    left: int
    joined: int
    deleted: int


@transaction.atomic
def steer(name: str, subject: uuid.UUID, item: str, wish: Wish, value: str, *, now: dt.datetime) -> Steered:
    """Fulfil a wish about one item of a holder, and say what it did; raises KeyError and Impossible."""
    act = holder(name).steer
    if act is None:
        raise KeyError(name)
    lock(subject)
    before = _groups(subject, now)
    deleted = act(subject, item, wish, value, now)
    after = _groups(subject, now)
    return Steered(len(before - after), len(after - before), deleted)


def _groups(subject: uuid.UUID, now: dt.datetime) -> set[str]:
    """Return the groups that somebody is in and has not left."""
    items = (item for one in holders() if one.known for item in one.known(subject, now))
    return {item.name for item in items if item.about is About.SEGMENT and not item.hidden}


@transaction.atomic
def delete_now(subject: uuid.UUID, *, now: dt.datetime) -> int:
    """Let what is sealed be deleted at once; return how many duties there were."""
    sealed = PropagationJob.objects.filter(subject_key=subject, state=State.PENDING, due_at__gt=now)
    number = sealed.update(due_at=now, not_before=now)
    if number:
        transaction.on_commit(remind_worker)
    return number
