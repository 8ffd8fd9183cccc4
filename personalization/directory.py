"""The directory of a site: its facts, segments and attributes, compiled once per version. PURE.

In: the JSON that `segments/directory.py` stores. Out: `Directory`, which answers whether a visitor is in a segment
from the facts of the request alone. A segment is withheld as a whole while one of its purposes is not granted or
something that it rests on is excluded by the person, and unknown while it holds fewer people than its minimum.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from cms.language.behaviour import Behaviour
from cms.language.evaluate import Program
from cms.language.vocabulary import CONTEXT, Fact, SegmentName, Vocabulary
from personalization.scoring import Score, compile_score
from personalization.stored_rules import ERROR, compile_stored, judge
from personalization.visitor import BEHAVIOUR, Visitor

_NOTHING: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True)
class CompiledSegment:
    """A segment with its effective rules: its own and those of its parents, all of which must hold.

    Of segments that name the same `tiers` somebody is in the first that holds; `before` are those that come first.
    """

    key: str
    title: str
    kind: str
    purposes: frozenset[str]
    rules: tuple[Program, ...]
    attributes: Mapping[str, Any]
    open: bool
    min_size: int
    size: int | None
    score: Score | None = None
    tiers: str = ""
    before: tuple[str, ...] = ()
    lies_in: tuple[str, ...] = ()
    topic: str = ""
    label: Mapping[str, str] = field(default_factory=dict)
    rests_on: frozenset[str] = _NOTHING  # what somebody may exclude, and is then not in it

    @cached_property
    def alone(self) -> Program | None:
        """The segment's one rule, where it is open and nothing else decides."""
        simple = self.open and self.kind == "rule" and len(self.rules) == 1 and not self.needs
        return self.rules[0] if simple else None

    @cached_property
    def needs(self) -> frozenset[str]:
        """The segments that must be decided before this one."""
        named = {key for rule in self.rules for key in rule.reads.segments}
        named |= self.score.segments if self.score else _NOTHING
        return frozenset(named | set(self.before))

    @cached_property
    def behaviours(self) -> tuple[Behaviour, ...]:
        """What people did, as far as this segment asks."""
        found = {one.key: one for rule in self.rules for one in rule.behaviours}
        return (*found.values(), *(self.score.behaviours if self.score else ()))

    @cached_property
    def by(self) -> Behaviour | None:
        """The behaviour whose value is the fact `segment.KEY.by`."""
        return next((one for one in self.behaviours if one.node.by), None)

    @property
    def deciding(self) -> tuple[Program | Score, ...]:
        """The rules and the score that decide who is in it."""
        return (*self.rules, self.score) if self.score else self.rules

    @property
    def timed(self) -> bool:
        """Whether time alone can change who is in it."""
        return any(rule.timed for rule in self.rules) or self.score is not None

    @property
    def reads(self) -> frozenset[str]:
        """The names of the facts that it reads itself."""
        found = {name for rule in self.rules for name in rule.reads.facts}
        return frozenset(found | (self.score.reads if self.score else set()))


@dataclass(frozen=True, slots=True)
class Bestsellers:
    """The most bought items of one catalogue type, overall and per category, by block key."""

    overall: str | None = None
    by_category: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> set[str]:
        return {*self.by_category.values(), *([self.overall] if self.overall else [])}


@dataclass(frozen=True)
class Directory:
    """Everything about people that plans refer to by name; segments are in the order of their priority."""

    version: int = 0
    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary(facts=CONTEXT))
    segments: Mapping[str, CompiledSegment] = field(default_factory=dict)
    bestsellers: Mapping[str, Bestsellers] = field(default_factory=dict)
    behaviour_version: int = 0
    order: tuple[str, ...] = ()

    @cached_property
    def behaviours(self) -> tuple[Behaviour, ...]:
        """What people did, as far as any segment asks, each once."""
        found = {one.key: one for segment in self.segments.values() for one in segment.behaviours}
        return tuple(found.values())

    @cached_property
    def stored(self) -> tuple[CompiledSegment, ...]:
        """The segments that are kept with profiles, in the order in which they can be decided."""
        listed = (self.segments[key] for key in self.order)
        return tuple(segment for segment in listed if segment.kind != "list" and segment.purposes)

    @cached_property
    def lists(self) -> frozenset[str]:
        return frozenset(key for key, segment in self.segments.items() if segment.kind == "list")

    def closure(self, keys: Iterable[str]) -> tuple[CompiledSegment, ...]:
        """Return these segments and all that decide about them, in the order in which they can be decided."""
        wanted, waiting = set[str](), [key for key in keys if key in self.segments]
        while waiting:
            key = waiting.pop()
            if key not in wanted:
                wanted.add(key)
                waiting += [needed for needed in self.segments[key].needs if needed in self.segments]
        return tuple(self.segments[key] for key in self.order if key in wanted)

    def with_attribute(self, name: str) -> list[CompiledSegment]:
        """Return the segments that carry an attribute, in the order of their priority."""
        return [segment for segment in self.segments.values() if name in segment.attributes]


def compile_directory(stored: Mapping[str, Any], *, version: int) -> Directory:
    """Compile a stored directory."""
    facts = dict(CONTEXT) | {f["name"]: _fact(f) for f in stored["facts"]}
    segments = resting({s["key"]: _segment(s) for s in stored["segments"]})
    names = {key: SegmentName(key, s.title, s.purposes, s.by is not None) for key, s in segments.items()}
    attributes = {name: dict(defaults) for name, defaults in stored["attributes"].items()}
    bestsellers = {
        t: Bestsellers(b.get("overall"), b.get("by_category", {})) for t, b in stored["bestsellers"].items()
    }
    return Directory(
        version,
        Vocabulary(facts, names, attributes),
        segments,
        bestsellers,
        stored.get("behaviour_version", 0),
        in_order(segments),
    )


def resting(segments: Mapping[str, CompiledSegment]) -> dict[str, CompiledSegment]:
    """Return the segments with everything that each rests on: itself, its topic, its facts, and those it needs."""
    done: dict[str, CompiledSegment] = {}
    for key in in_order(segments):
        segment = segments[key]
        own = {f"segment:{one}" for one in (key, *segment.lies_in)} | {*map(base_name, segment.reads)}
        around = [segment, *(segments[one] for one in segment.lies_in if one in segments)]
        own |= {f"topic:{one.topic}" for one in around if one.topic}
        own |= {BEHAVIOUR} if segment.behaviours else set()
        inner = (done[needed].rests_on for needed in segment.needs - set(segment.before) if needed in done)
        done[key] = replace(segment, rests_on=frozenset(own).union(*inner))
    return {key: done[key] for key in segments}


def in_order(segments: Mapping[str, CompiledSegment]) -> tuple[str, ...]:
    """Return the keys so that every segment comes after those it needs; cycles were refused when they were written."""
    done: dict[str, None] = {}

    def visit(key: str, above: frozenset[str]) -> None:
        if key in done or key in above or key not in segments:
            return
        for needed in sorted(segments[key].needs):
            visit(needed, above | {key})
        done[key] = None

    for key in segments:
        visit(key, frozenset())
    return tuple(done)


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
        score=compile_score(stored["key"], stored["score"]) if stored.get("score") else None,
        tiers=stored.get("tiers", ""),
        before=tuple(stored.get("before", ())),
        lies_in=tuple(stored.get("lies_in", ())),
        topic=stored.get("topic", ""),
        label=stored.get("label") or {},
    )


def belongs(segment: CompiledSegment, facts: Mapping[str, Any], visitor: Visitor) -> bool | None:
    """Say whether the visitor is in the segment: true, false, or None for unknown."""
    if segment.purposes and not (segment.purposes <= visitor.gates.granted and visitor.snapshot is not None):
        return None
    if not segment.open or is_excluded(segment, visitor):
        return None
    if segment.kind == "list":
        return segment.key in visitor.snapshot.lists if visitor.snapshot else None
    return holds(
        segment, facts, was_in=visitor.snapshot is not None and segment.key in visitor.snapshot.inside
    )


def is_excluded(segment: CompiledSegment, visitor: Visitor) -> bool:
    """Say whether the person left the segment, or took something out of use that it rests on."""
    excluded = visitor.snapshot.excluded if visitor.snapshot is not None else _NOTHING
    return bool(excluded) and not excluded.isdisjoint(segment.rests_on)


def holds(segment: CompiledSegment, facts: Mapping[str, Any], *, was_in: bool) -> bool | None:
    """Say whether the facts put somebody into a segment, whatever its size; None for unknown.

    `facts["segments"]` must hold the answers about the segments that it needs.
    """
    answer: bool | None = True
    for rule in segment.rules:
        truth = judge(rule, facts)
        if truth is False:
            return False
        if truth is None or truth == ERROR:
            answer = None
    if segment.score is not None:
        answer = _and(answer, segment.score.entered(facts, was_in=was_in))
    for key in segment.before:
        earlier = facts["segments"].get(key)
        answer = _and(answer, None if earlier is None else not earlier)
    return answer


def _and(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def memberships(
    segments: Iterable[CompiledSegment],
    facts: dict[str, Any],
    visitor: Visitor,
    prescribed: Mapping[str, bool] = MappingProxyType({}),
) -> dict[str, bool | None]:
    """Return, for each of the segments, whether the visitor is in it; `facts["segments"]` grows along.

    The segments come in the order in which they can be decided. `prescribed` answers are those of a preview.
    """
    snapshot = visitor.snapshot
    granted = visitor.gates.granted if snapshot is not None and not snapshot.excluded else _NOTHING
    inside: dict[str, bool | None] = {}
    facts["segments"] = inside
    for segment in segments:
        if segment.key in prescribed:
            inside[segment.key] = prescribed[segment.key]
        elif segment.alone is None or not segment.purposes <= granted:
            inside[segment.key] = belongs(segment, facts, visitor)
        else:  # the common case, without a call in between: open, by one rule, all granted, nothing excluded
            truth = judge(segment.alone, facts)
            inside[segment.key] = None if truth == ERROR else truth
    return inside


def facts_of(segments: Sequence[CompiledSegment], vocabulary: Vocabulary) -> set[str]:
    """Return the names of the facts that these segments read, `X.days_ago` as the date X."""
    return {base_name(name) for segment in segments for name in segment.reads}


def base_name(name: str) -> str:
    """Return the stored fact behind a name: `X.days_ago` is computed from X."""
    return name.removesuffix(".days_ago")
