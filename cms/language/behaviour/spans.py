"""Timelines: how an answer about somebody's behaviour goes on while nothing new happens.

A timeline is a step function of time: ``Span``s in order, each good until its end (exclusive, microseconds since 1970,
``None`` for ever). The last span never ends; neighbours differ. As JSON: ``[[until, truth], [until, truth, by]]``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple, TypeAlias


class Span(NamedTuple):
    """A truth until a moment; ``by`` is the value of the property for which it holds."""

    until: int | None
    truth: bool
    by: str | None = None


Timeline: TypeAlias = tuple[Span, ...]
NEVER: Final[Timeline] = (Span(None, False),)
ALWAYS: Final[Timeline] = (Span(None, True),)


def timeline_at(timeline: Timeline, moment: int) -> Span:
    """Return the span that holds at a moment."""
    for span in timeline:
        if span.until is None or moment < span.until:
            return span
    return timeline[-1]


def joined(spans: Iterable[Span]) -> Timeline:
    """Make a timeline of spans in order: join equal neighbours, drop empty ones."""
    made: list[Span] = []
    begins: int | None = None
    for span in spans:
        if span.until is not None and begins is not None and span.until <= begins:
            continue
        if made and made[-1].truth == span.truth and made[-1].by == span.by:
            made[-1] = span
        else:
            made.append(span)
        begins = span.until
    return tuple(made)


class Interval(NamedTuple):
    """A time in which something is true, ``[start, end)``; of several the one of the highest rank gives ``by``."""

    start: int
    end: int | None
    rank: tuple[int, str]
    by: str | None = None


def of_intervals(intervals: Iterable[Interval], moment: int) -> Timeline:
    """Return the timeline from ``moment`` on that is true inside of the intervals."""
    live = [one for one in intervals if one.end is None or one.end > moment]
    live.sort(key=lambda one: (one.rank, one.by or ""), reverse=True)
    edges = {edge for one in live for edge in (one.start, one.end) if edge is not None and edge > moment}
    begun: list[int] = []  # heap of positions in `live`: the lowest one is the best
    waiting = deque(sorted(range(len(live)), key=lambda index: live[index].start))
    spans, at = [], moment
    for until in [*sorted(edges), None]:
        while waiting and live[waiting[0]].start <= at:
            heappush(begun, waiting.popleft())
        while begun and _over(live[begun[0]], at):
            heappop(begun)
        spans.append(Span(until, True, live[begun[0]].by) if begun else Span(until, False))
        at = until if until is not None else at
    return joined(spans)


def _over(one: Interval, at: int) -> bool:
    return one.end is not None and one.end <= at


def encode(timeline: Timeline) -> list[list[Any]]:
    """Return a timeline as JSON values."""
    return [[s.until, s.truth] if s.by is None else [s.until, s.truth, s.by] for s in timeline]


def decode(spelled: Sequence[Sequence[Any]]) -> Timeline:
    """Read a timeline from JSON values."""
    return tuple(Span(*one) for one in spelled)
