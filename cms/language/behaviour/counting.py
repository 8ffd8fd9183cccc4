"""``$did``: how much of something happened in a window that moves with time.

Goes in: the events of one profile in order, and a moment. Comes out: the timeline from that moment on. Rules: the
window is ``(now − within, now]``; sums are exact decimals; a sum of nothing is 0, every other aggregate of nothing is
absent. One pass over the events: what a window holds is a range of them, and both its ends only move forward.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from cms.language.behaviour.durations import duration
from cms.language.behaviour.events import DOORS, SECOND, Happened, Meant, meant, read
from cms.language.behaviour.reading import SESSION
from cms.language.behaviour.spans import Interval, Span, Timeline, joined, of_intervals
from cms.language.matchers import matcher
from cms.language.nodes import Did

SESSION_GAP: Final = 30 * 60 * SECOND


class Range(NamedTuple):
    """From ``since`` on, a window holds the events ``[low, high)``."""

    since: int
    low: int
    high: int


class Counting:
    """A compiled ``$did``."""

    def __init__(self, node: Did) -> None:
        self.key = node.key
        self.meant: Meant = meant(node.event, node.where)
        self.window = None if node.within in (None, SESSION) else duration(node.within)
        self.session = node.within == SESSION
        self.by = node.by
        self.of = node.of
        self.aggregate = node.aggregate
        self.check = matcher(node.test, {})

    def timeline(self, events: Sequence[Happened], moment: int) -> Timeline:
        found = [event for event in events if self.meant(event)]
        if self.by is None:
            return joined(self._spans(self._valued(found), events, moment))
        return of_intervals(self._intervals(found, events, moment), moment)

    def _spans(self, found: Sequence[Happened], events: Sequence[Happened], moment: int) -> Iterator[Span]:
        ranges = self._ranges(found, events, moment)
        amounts = _AMOUNTS[self.aggregate](found, self.of)
        for index, one in enumerate(ranges):
            until = ranges[index + 1].since if index + 1 < len(ranges) else None
            yield Span(until, self.check(amounts(one.low, one.high)))

    def _intervals(
        self, found: Sequence[Happened], events: Sequence[Happened], moment: int
    ) -> Iterator[Interval]:
        """Yield when each value of the property alone meets the test."""
        for value, group in _grouped(found, str(self.by)).items():
            valued = self._valued(group)
            ranges = self._ranges(valued, events, moment)
            amounts = _AMOUNTS[self.aggregate](valued, self.of)
            for index, one in enumerate(ranges):
                if one.low < one.high and self.check(amounts(one.low, one.high)):
                    until = ranges[index + 1].since if index + 1 < len(ranges) else None
                    last = valued[one.high - 1]
                    yield Interval(one.since, until, (last.at, last.id), value)

    def _valued(self, found: Sequence[Happened]) -> Sequence[Happened]:
        """Leave out the events that say nothing about what is asked."""
        if self.of is None:
            return found
        usable = is_number if self.aggregate in ("sum", "min", "max") else is_scalar
        return [event for event in found if usable(read(event.properties, self.of))]

    def _ranges(self, found: Sequence[Happened], events: Sequence[Happened], moment: int) -> list[Range]:
        if self.session:
            return _of_sessions(found, events, moment)
        moments = [event.at for event in found]
        edges = {moment, *moments[bisect_right(moments, moment) :]}
        if self.window is None:
            return [Range(at, 0, bisect_right(moments, at)) for at in sorted(edges)]
        edges |= {at + self.window for at in moments if at + self.window > moment}
        return [
            Range(at, bisect_right(moments, at - self.window), bisect_right(moments, at))
            for at in sorted(edges)
        ]


def _of_sessions(found: Sequence[Happened], events: Sequence[Happened], moment: int) -> list[Range]:
    """Return what the running session holds; thirty minutes after its last event there is none."""
    seen = [event.at for event in events if event.kind in DOORS]
    moments = [event.at for event in found]
    begins = session_begins(seen)
    ahead = seen[bisect_right(seen, moment) :]
    edges = {moment, *ahead}
    for at in (*seen[max(0, len(seen) - len(ahead) - 1) :],):
        edges.add(max(moment, at + SESSION_GAP))
    ranges = []
    for at in sorted(edges):
        last, high = bisect_right(seen, at) - 1, bisect_right(moments, at)
        running = last >= 0 and at < seen[last] + SESSION_GAP
        ranges.append(Range(at, bisect_left(moments, begins[last]) if running else high, high))
    return ranges


def session_begins(moments: Sequence[int]) -> list[int]:
    """Return, for each event, when its session began."""
    begins: list[int] = []
    for index, at in enumerate(moments):
        goes_on = index > 0 and at - moments[index - 1] <= SESSION_GAP
        begins.append(begins[-1] if goes_on else at)
    return begins


def _grouped(found: Sequence[Happened], path: str) -> dict[str, list[Happened]]:
    groups: dict[str, list[Happened]] = {}
    for event in found:
        value = spelled_value(read(event.properties, path))
        if value is not None:
            groups.setdefault(value, []).append(event)
    return groups


def spelled_value(value: Any) -> str | None:
    """Return the text of a value that can be grouped by: a text as it is, a number as JSON writes it."""
    if isinstance(value, str):
        return value
    return number_text(value) if is_number(value) else None


def number_text(value: Any) -> str:
    """Write a number without a needless fraction or exponent."""
    return format(Decimal(str(value)).normalize(), "f")


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def plain(number: Decimal) -> int | float:
    """Return a number as JSON has it: whole where it is."""
    return int(number) if number == number.to_integral_value() else float(number)


Amounts = Callable[[int, int], Any]


def _count(events: Sequence[Happened], of: str | None) -> Amounts:
    return lambda low, high: high - low


def _sum(events: Sequence[Happened], of: str | None) -> Amounts:
    sums = [Decimal(0)]
    for event in events:
        sums.append(sums[-1] + Decimal(str(read(event.properties, str(of)))))
    return lambda low, high: plain(sums[high] - sums[low])


def _extreme(
    events: Sequence[Happened], of: str | None, better: Callable[[Decimal, Decimal], bool]
) -> Amounts:
    """Keep the best of a moving range in a queue: what comes later and is better makes the earlier useless."""
    values = [Decimal(str(read(event.properties, str(of)))) for event in events]
    queue: deque[int] = deque()
    taken = 0

    def amount(low: int, high: int) -> Any:
        nonlocal taken
        for index in range(taken, high):
            while queue and not better(values[queue[-1]], values[index]):
                queue.pop()
            queue.append(index)
        taken = max(taken, high)
        while queue and queue[0] < low:
            queue.popleft()
        return plain(values[queue[0]]) if queue else None

    return amount


def _distinct(events: Sequence[Happened], of: str | None) -> Amounts:
    values = [_identity(read(event.properties, str(of))) for event in events]
    held: Counter[tuple[str, str]] = Counter()
    begin = end = 0

    def amount(low: int, high: int) -> Any:
        nonlocal begin, end
        for index in range(end, high):
            held[values[index]] += 1
        for index in range(begin, low):
            held[values[index]] -= 1
            if not held[values[index]]:
                del held[values[index]]
        begin, end = max(begin, low), max(end, high)
        return len(held) if low < high else 0

    return amount


def _identity(value: Any) -> tuple[str, str]:
    """Tell JSON values apart by kind: the text "1" is not the number 1, and 1.0 is 1."""
    if isinstance(value, bool):
        return "boolean", str(value)
    return ("number", number_text(value)) if is_number(value) else ("text", str(value))


def _end(events: Sequence[Happened], of: str | None, index: Callable[[int, int], int]) -> Amounts:
    values = [read(event.properties, str(of)) for event in events]
    return lambda low, high: values[index(low, high)] if low < high else None


_AMOUNTS: Final[dict[str, Callable[[Sequence[Happened], str | None], Amounts]]] = {
    "count": _count,
    "sum": _sum,
    "min": lambda events, of: _extreme(events, of, lambda kept, new: kept < new),
    "max": lambda events, of: _extreme(events, of, lambda kept, new: kept > new),
    "distinct": _distinct,
    "first": lambda events, of: _end(events, of, lambda low, high: low),
    "last": lambda events, of: _end(events, of, lambda low, high: high - 1),
}
