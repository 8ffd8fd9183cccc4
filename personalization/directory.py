"""The directory of a site: its facts, segments and attributes, compiled once per version. PURE.

In: the JSON that `segments/directory.py` stores. Out: `Directory`, which answers whether a visitor is in a segment
from the facts of the request alone. A segment is withheld as a whole while one of its purposes is not granted, and
unknown while it holds fewer people than its minimum.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from cms.language.evaluate import Program
from cms.language.vocabulary import CONTEXT, Fact, SegmentName, Vocabulary
from personalization.stored_rules import ERROR, compile_stored, judge
from personalization.visitor import Visitor

_NOTHING: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True)
class CompiledSegment:
    """A segment with its effective rules: its own and those of its parents, all of which must hold."""

    key: str
    title: str
    kind: str
    purposes: frozenset[str]
    rules: tuple[Program, ...]
    attributes: Mapping[str, Any]
    open: bool
    min_size: int
    size: int | None

    @cached_property
    def alone(self) -> Program | None:
        """The segment's one rule, where it is open and has just one."""
        return self.rules[0] if self.open and self.kind == "rule" and len(self.rules) == 1 else None

    @property
    def reads(self) -> frozenset[str]:
        return frozenset(name for rule in self.rules for name in rule.reads.facts)


@dataclass(frozen=True, slots=True)
class Bestsellers:
    """The most bought items of one catalogue type, overall and per category, by block key."""

    overall: str | None = None
    by_category: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> set[str]:
        return {*self.by_category.values(), *([self.overall] if self.overall else [])}


@dataclass(frozen=True, slots=True)
class Directory:
    """Everything about people that plans refer to by name; segments are in the order of their priority."""

    version: int = 0
    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary(facts=CONTEXT))
    segments: Mapping[str, CompiledSegment] = field(default_factory=dict)
    bestsellers: Mapping[str, Bestsellers] = field(default_factory=dict)

    def with_attribute(self, name: str) -> list[CompiledSegment]:
        """Return the segments that carry an attribute, in the order of their priority."""
        return [segment for segment in self.segments.values() if name in segment.attributes]


def compile_directory(stored: Mapping[str, Any], *, version: int) -> Directory:
    """Compile a stored directory."""
    facts = dict(CONTEXT) | {f["name"]: _fact(f) for f in stored["facts"]}
    segments = {s["key"]: _segment(s) for s in stored["segments"]}
    names = {key: SegmentName(key, s.title, s.purposes) for key, s in segments.items()}
    attributes = {name: dict(defaults) for name, defaults in stored["attributes"].items()}
    bestsellers = {
        t: Bestsellers(b.get("overall"), b.get("by_category", {})) for t, b in stored["bestsellers"].items()
    }
    return Directory(version, Vocabulary(facts, names, attributes), segments, bestsellers)


def _fact(stored: Mapping[str, Any]) -> Fact:
    return Fact(
        name=stored["name"],
        type=stored["type"],
        purposes=frozenset(stored["purposes"]),
        title=stored.get("title", ""),
        identifying=stored.get("identifying", False),
        defaults=stored.get("defaults") or {},
    )


def _segment(stored: Mapping[str, Any]) -> CompiledSegment:
    return CompiledSegment(
        key=stored["key"],
        title=stored["title"],
        kind=stored["kind"],
        purposes=frozenset(stored["purposes"]),
        rules=tuple(compile_stored(rule) for rule in stored["rules"]),
        attributes=stored["attributes"],
        open=stored["open"],
        min_size=stored["min_size"],
        size=stored["size"],
    )


def belongs(segment: CompiledSegment, facts: Mapping[str, Any], visitor: Visitor) -> bool | None:
    """Say whether the visitor is in the segment: true, false, or None for unknown."""
    if segment.purposes and not (segment.purposes <= visitor.gates.granted and visitor.snapshot is not None):
        return None
    if not segment.open:
        return None
    if segment.kind == "list":
        return segment.key in visitor.snapshot.lists if visitor.snapshot else None
    answer: bool | None = True
    for rule in segment.rules:
        truth = judge(rule, facts)
        if truth is False:
            return False
        if truth is None or truth == ERROR:
            answer = None
    return answer


def memberships(
    segments: Iterable[CompiledSegment], facts: Mapping[str, Any], visitor: Visitor
) -> dict[str, bool | None]:
    """Return, for each of the segments, whether the visitor is in it."""
    granted = visitor.gates.granted if visitor.snapshot is not None else _NOTHING
    inside: dict[str, bool | None] = {}
    for segment in segments:
        if segment.alone is None or not segment.purposes <= granted:
            inside[segment.key] = belongs(segment, facts, visitor)
        else:  # the common case, without a call in between: open, by one rule, and all its purposes granted
            truth = judge(segment.alone, facts)
            inside[segment.key] = None if truth == ERROR else truth
    return inside


def facts_of(segments: Sequence[CompiledSegment], vocabulary: Vocabulary) -> set[str]:
    """Return the names of the facts that these segments read, `X.days_ago` as the date X."""
    return {base_name(name) for segment in segments for name in segment.reads}


def base_name(name: str) -> str:
    """Return the stored fact behind a name: `X.days_ago` is computed from X."""
    return name.removesuffix(".days_ago")
