"""What a rule or placeholder may name: facts, segments and the attributes of segments.

Comes out: frozen descriptions, never values. Rules: a fact without purposes is context and never personal; every
date fact ``X`` also gives the number ``X.days_ago`` with the purposes of ``X``; context facts are always there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

DAYS_AGO: Final = ".days_ago"
SEGMENT_BY: Final = ("segment.", ".by")


@dataclass(frozen=True, slots=True)
class Fact:
    """A named, typed value: ``text``, ``number``, ``boolean``, ``date`` or ``list``."""

    name: str
    type: str
    purposes: frozenset[str] = frozenset()
    title: str = ""
    identifying: bool = False
    options: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def personal(self) -> bool:
        """Say whether a purpose must be granted before this may be read."""
        return bool(self.purposes)

    @property
    def label(self) -> str:
        """Return the words a person reads."""
        return self.title or self.name


@dataclass(frozen=True, slots=True)
class SegmentName:
    """A segment as rules see it; its purposes are those of every fact that its own rule reads.

    ``has_by``: its rule counts for one and the same value, which is the fact ``segment.KEY.by``.
    """

    key: str
    title: str
    purposes: frozenset[str]
    has_by: bool = False


@dataclass(frozen=True, slots=True)
class EventName:
    """An event as rules see it; ``properties`` maps a path such as ``properties.price`` to its declared type.

    ``seen`` are those that may be offered: the declared ones, and those of an event that came. They bind nobody.
    """

    key: str
    title: str = ""
    purposes: frozenset[str] = frozenset()
    properties: Mapping[str, str] = field(default_factory=dict, hash=False)
    seen: Mapping[str, str] = field(default_factory=dict, hash=False)


def _context(name: str, type_: str, title: str, *options: str) -> Fact:
    return Fact(f"context.{name}", type_, title=title, options=options)


CONTEXT: Final[Mapping[str, Fact]] = {
    fact.name: fact
    for fact in (
        _context("device", "text", "device", "mobile", "tablet", "desktop", "other"),
        _context("locale", "text", "language"),
        _context("country", "text", "country"),
        _context("hour", "number", "hour"),
        _context("weekday", "number", "weekday"),
        _context("time", "text", "time of day"),
        _context("referrer", "text", "referrer"),
        _context("campaign", "text", "campaign"),
        _context("weather", "text", "weather"),
        _context("path", "text", "path"),
    )
}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Facts by name, segments by key, attributes by name (each locale → its default), events by name.

    ``behaviour``: the rule may ask what people did. ``strict_events``: only of events that are known.
    """

    facts: Mapping[str, Fact] = field(default_factory=dict)
    segments: Mapping[str, SegmentName] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    events: Mapping[str, EventName] = field(default_factory=dict)
    strict_events: bool = False
    behaviour: bool = False

    def find(self, name: str) -> Fact | None:
        """Return the fact of this name, ``X.days_ago`` of a date fact included, or ``None``."""
        found = self.facts.get(name) or CONTEXT.get(name)
        if found is None and name.endswith(DAYS_AGO):
            return self._days_ago(name)
        if found is None and name.startswith(SEGMENT_BY[0]) and name.endswith(SEGMENT_BY[1]):
            return self._by(name)
        return found

    def _by(self, name: str) -> Fact | None:
        """Return ``segment.KEY.by``: the value for which somebody is in a segment."""
        key = name.removeprefix(SEGMENT_BY[0]).removesuffix(SEGMENT_BY[1])
        segment = self.segments.get(key)
        if segment is None or not segment.purposes:
            return None
        return Fact(name, "text", purposes=segment.purposes, title=f"what {segment.title} is about")

    def _days_ago(self, name: str) -> Fact | None:
        date = self.facts.get(name.removesuffix(DAYS_AGO))
        if date is None or date.type != "date":
            return None
        title = f"days since {date.label}"
        return Fact(name, "number", purposes=date.purposes, title=title, identifying=date.identifying)

    def names(self) -> tuple[str, ...]:
        """Return every name that ``find`` knows, for suggestions."""
        dates = (name + DAYS_AGO for name, fact in self.facts.items() if fact.type == "date")
        return (*self.facts, *dates, *(name for name in CONTEXT if name not in self.facts))

    def merged(self, other: Vocabulary) -> Vocabulary:
        """Return both vocabularies as one; where they name the same thing, ``other`` holds."""
        return Vocabulary(
            {**self.facts, **other.facts},
            {**self.segments, **other.segments},
            {**self.attributes, **other.attributes},
            {**self.events, **other.events},
            self.strict_events or other.strict_events,
            self.behaviour or other.behaviour,
        )
