"""When the truth of one operand can next change without any event.

Goes in: a test of ``context.hour``, ``context.weekday``, ``context.time`` or ``X.days_ago``, or a behaviour, and the facts. Comes out:
an aware UTC instant, exact over changes of summer time, or ``None``. Rule: a fact that is absent or withheld has no
horizon, and neither has a test that time cannot change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final, TypeAlias

from cms.language import coercion, moments
from cms.language.behaviour import Behaviour, timeline_at
from cms.language.matchers import Matcher
from cms.language.nodes import Choices, Comparison, Constant, Field, Frozen, Object, Operand, Operators
from cms.language.operators import WITHHELD
from cms.language.vocabulary import DAYS_AGO

Horizon: TypeAlias = Callable[[Mapping[str, Any]], datetime | None]
MINUTES_OF_DAY: Final = 1440
SEARCH_DAYS: Final = 9  # a weekday comes again after seven
UNSTEADY: Final = frozenset({"$regex", "$regexi", "$inGroup", "$notInGroup"})
UNSTEADY_DAYS: Final = 1000


def _time_text(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


_TIMES: Final = tuple(_time_text(minute) for minute in range(MINUTES_OF_DAY))

_CLOCKS: Final[Mapping[str, Callable[[datetime], Any]]] = {
    "context.hour": lambda at: at.hour,
    "context.weekday": lambda at: at.isoweekday(),
    "context.time": lambda at: _TIMES[at.hour * 60 + at.minute],
}


def horizon(field: Field, check: Matcher) -> Horizon | None:
    """Build the function from facts to the next change of this operand; ``None`` if time never changes it."""
    if field.name in _CLOCKS:
        return _clock(field.name, check)
    if field.name.endswith(DAYS_AGO):
        return _ages(field, check)
    return None


def behaviour_horizon(behaviour: Behaviour) -> Horizon | None:
    """Build the function from facts to when a behaviour's answer next changes while nothing new happens."""

    def next_change(facts: Mapping[str, Any]) -> datetime | None:
        timeline, moment = facts.get(behaviour.key), moments.micros(facts)
        if timeline is WITHHELD or moment is None:
            return None
        until = timeline_at(behaviour.empty if timeline is None else timeline, moment).until
        return None if until is None else moments.EPOCH + timedelta(microseconds=until)

    return next_change


def _clock(name: str, check: Matcher) -> Horizon | None:
    marks, read = _marks(name, check), _CLOCKS[name]
    if not marks:
        return None

    def next_change(facts: Mapping[str, Any]) -> datetime | None:
        at = moments.now(facts)
        if at is None or facts.get(name) in (None, WITHHELD):
            return None
        return next_local(at, marks, lambda local: check(read(local)))

    return next_change


def _marks(name: str, check: Matcher) -> tuple[int, ...]:
    """Return the minutes of the day at which the truth of a clock's test can change."""
    if name == "context.weekday":
        return (0,) if len({check(day) for day in range(1, 8)}) > 1 else ()
    step, values = (60, range(24)) if name == "context.hour" else (1, _TIMES)
    table = [check(value) for value in values]
    return tuple(index * step for index in range(len(table)) if table[index] != table[index - 1])


def next_local(at: datetime, marks: tuple[int, ...], truth: Callable[[datetime], bool]) -> datetime | None:
    """Return the first instant after ``at`` when a truth about local time differs from now."""
    zone = at.tzinfo or UTC
    current = truth(at)
    try:
        changes = (moment for moment in _candidates(at, marks) if truth(moment.astimezone(zone)) != current)
        return next(changes, None)
    except OverflowError:  # the calendar ends
        return None


def _candidates(at: datetime, marks: tuple[int, ...]) -> Iterator[datetime]:
    """Yield, in order, the instants at which local clocks reach a mark or jump."""
    zone, start = at.tzinfo or UTC, at.astimezone(UTC)
    for offset in range(SEARCH_DAYS):
        moments_of_day = _moments_of_day(at.date() + timedelta(days=offset), marks, zone)
        yield from (moment for moment in moments_of_day if moment > start)


def _moments_of_day(day: date, marks: tuple[int, ...], zone: tzinfo) -> list[datetime]:
    jump = _jump(_instant(day, 0, 0, zone), _instant(day + timedelta(days=1), 0, 0, zone), zone)
    if jump is None:
        return [_instant(day, minute, 0, zone) for minute in marks]
    return sorted({jump, *(_instant(day, minute, fold, zone) for minute in marks for fold in (0, 1))})


def _instant(day: date, minute: int, fold: int, zone: tzinfo) -> datetime:
    local = datetime.combine(day, time(minute // 60, minute % 60, fold=fold), zone)
    return local.astimezone(UTC)


def _jump(start: datetime, end: datetime, zone: tzinfo) -> datetime | None:
    """Find the second between two instants at which the zone's offset changes."""
    before = _offset(start, zone)
    if _offset(end, zone) == before:
        return None
    low, high = 0, int((end - start).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        same = _offset(start + timedelta(seconds=middle), zone) == before
        low, high = (middle, high) if same else (low, middle)
    return start + timedelta(seconds=high)


def _offset(moment: datetime, zone: tzinfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


def _ages(field: Field, check: Matcher) -> Horizon | None:
    steady, stops = not _unsteady(field.value), _stops(field.value)
    if steady and not stops:
        return None

    def next_change(facts: Mapping[str, Any]) -> datetime | None:
        moment = moments.instant(moments.value(facts, field.name.removesuffix(DAYS_AGO)))
        at = moments.now(facts)
        if moment is None or at is None:
            return None
        age = moments.age(moment, at)
        ahead = (days for days in stops if days > age) if steady else range(age + 1, age + UNSTEADY_DAYS)
        return _after(moment, next((days for days in ahead if check(days) != check(age)), None))

    return next_change


def _after(moment: datetime, days: int | None) -> datetime | None:
    try:
        return None if days is None else moment + days * moments.DAY
    except OverflowError:  # the calendar ends
        return None


def _stops(operand: Operand) -> tuple[int, ...]:
    """Return, in order, the ages at which a test's truth can change: those around its numbers."""
    numbers = {coercion.number(value) for value in _literals(operand)}
    whole = (math.floor(number) for number in numbers if math.isfinite(number))
    return tuple(sorted({number + extra for number in whole for extra in (0, 1)}))


def _literals(operand: Operand) -> Iterator[Any]:
    match operand:
        case Operators(tests):
            for test in tests:
                yield from () if test.operator in ("$exists", "$type") else _literals(test.operand)
        case Choices(items):
            for item in items:
                yield from _literals(item)
        case Constant(value):
            yield from _scalars(value)


def _scalars(value: Frozen) -> Iterator[Any]:
    if isinstance(value, tuple):
        for item in value:
            yield from _scalars(item)
    elif isinstance(value, bool):
        yield from (0, -1)  # only the age 0 is false
    elif not isinstance(value, Object):
        yield value


def _unsteady(operand: Operand) -> bool:
    """Say whether a test looks at a number's digits, so that no few ages tell where it changes."""
    match operand:
        case Operators(tests):
            return any(_unsteady_test(test) for test in tests)
        case Choices(items):
            return any(_unsteady(item) for item in items)
    return False


def _unsteady_test(test: Comparison) -> bool:
    return test.operator in UNSTEADY or test.operator.startswith("$v") or _unsteady(test.operand)
