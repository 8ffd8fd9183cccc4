"""``$seq``: one event after the other, each at most a gap after the one before.

Goes in: the events of one profile in order, and a moment. Comes out: the timeline from that moment on. One pass: of
all chains that end in a step, the one that ended last is the best to go on from, because it also began last; an event
that must not happen breaks the chains that wait for the next step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cms.language.behaviour.counting import spelled_value
from cms.language.behaviour.durations import duration
from cms.language.behaviour.events import Happened, Meant, meant, read
from cms.language.behaviour.spans import Interval, Timeline, of_intervals
from cms.language.nodes import Sequence as SequenceNode


class Chain(NamedTuple):
    """A chain of events: when it began, and when its last event was."""

    began: int
    ended: int


@dataclass(slots=True)
class _Course:
    """How far the chains of one value have come: the last chain of each step, and those that are complete."""

    reached: list[Chain | None]
    complete: list[tuple[Chain, str]] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)


class Following:
    """A compiled ``$seq``."""

    def __init__(self, node: SequenceNode) -> None:
        self.key = node.key
        self.steps: list[Meant] = []
        self.never: list[list[Meant]] = []  # after each step, what must not happen before the next
        for step in node.steps:
            if step.absent:
                self.never[-1].append(meant(step.event, step.where))
            else:
                self.steps.append(meant(step.event, step.where))
                self.never.append([])
        self.gap = duration(node.gap)
        self.since = duration(node.since)
        self.by = node.by

    def timeline(self, events: Sequence[Happened], moment: int) -> Timeline:
        courses: dict[str | None, _Course] = {}
        for event in events:
            value = None if self.by is None else spelled_value(read(event.properties, self.by))
            if self.by is None or value is not None:
                course = courses.setdefault(value, _Course([None] * len(self.steps)))
                self._advance(course, event, value)
        return of_intervals(self._intervals(courses), moment)

    def _advance(self, course: _Course, event: Happened, value: str | None) -> None:
        """Let one event lengthen chains, then break those that it must not have followed."""
        reached = course.reached
        longer = [self._longer(reached, index, event) for index in range(len(self.steps))]
        for index, never in enumerate(self.never):
            if never and any(test(event) for test in never):
                if index < len(reached) - 1:
                    reached[index] = None
                else:
                    self._settle(course, event.at, value)
        for index, chain in enumerate(longer):
            if chain is not None:
                reached[index] = chain
        if longer[-1] is not None:
            course.complete.append((longer[-1], event.id))

    def _longer(self, reached: Sequence[Chain | None], index: int, event: Happened) -> Chain | None:
        """Return the chain that ends with this event as the step of an index."""
        if not self.steps[index](event):
            return None
        if index == 0:
            return Chain(event.at, event.at)
        before = reached[index - 1]
        if before is None or (self.gap is not None and event.at - before.ended > self.gap):
            return None
        return Chain(before.began, event.at)

    def _settle(self, course: _Course, until: int | None, value: str | None) -> None:
        """Turn the complete chains into times in which they count, which end when something breaks them."""
        for chain, event_id in course.complete:
            start = chain.ended + (self.gap or 0) if self.never[-1] else chain.ended
            ends = [end for end in (until, self._forgotten(chain)) if end is not None]
            end = min(ends, default=None)
            if end is None or end > start:
                course.intervals.append(Interval(start, end, (chain.ended, event_id), value))
        course.complete.clear()

    def _forgotten(self, chain: Chain) -> int | None:
        return None if self.since is None else chain.began + self.since

    def _intervals(self, courses: dict[str | None, _Course]) -> Iterator[Interval]:
        for value, course in courses.items():
            self._settle(course, None, value)
            yield from course.intervals
