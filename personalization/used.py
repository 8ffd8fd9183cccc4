"""What about somebody an answer rests on. PURE.

In: a decision. Out: `Used` for each placement and for the layout, names alone. Rules: what decided is read off the same
walk over the rules as the trace; a text counts where something about the person stands in it; what was withheld was not
used, so that nothing here depends on it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cms.language.deciding import Deciding, deciding
from cms.language.evaluate import WITHHELD, Program
from personalization.assemble import Decision
from personalization.directory import CompiledSegment, base_name
from personalization.facts import HERE, PAGES
from personalization.fragments import ComponentHole, Hole, TextHole
from personalization.recommending import FAVOURITE_CATEGORY
from personalization.stored_rules import judge
from personalization.visitor import BEHAVIOUR

_NO_FAVOURITE: Final[Mapping[str, Any]] = {FAVOURITE_CATEGORY: None}


@dataclass(frozen=True, slots=True)
class Used:
    """Names, each once: segments one is in, segments one is not in, facts about one, and context.

    `paced`: it was looked at what one was shown before.
    """

    inside: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    paced: bool = False

    @property
    def personal(self) -> bool:
        """Whether any of it is about the person."""
        return bool(self.inside or self.outside or self.facts or self.paced)


def used_at(decision: Decision, index: int) -> Used:
    """Return what the variant that a placement shows rests on."""
    placement = decision.plan.placements[index]
    chosen, reason = decision.choices[index]
    variant = placement.variants[chosen]
    found = _Found(decision)
    if reason == "matched" and variant.rule is not None:
        found.rule(variant.rule)
    found.texts(variant.writer.holes)
    paced = placement.paced and reason in ("matched", "capped") and PAGES in decision.visitor.gates.granted
    return found.used(paced=paced)


def used_for_layout(decision: Decision) -> Used:
    """Return what the page's layout rests on."""
    rule = decision.plan.layouts[decision.layout].rule
    found = _Found(decision)
    if rule is not None:
        found.rule(rule)
    return found.used()


def facts_behind(decision: Decision, keys: Iterable[str]) -> tuple[str, ...]:
    """Return the facts about the person that put them into these segments."""
    segments = {segment.key: segment for segment in decision.plan.segments}
    personal = {fact.name for fact in decision.plan.facts if fact.purposes}
    waiting, seen, found = list(keys), set[str](), dict[str, None]()
    while waiting:
        key = waiting.pop(0)
        if key in seen or key not in segments:
            continue
        seen.add(key)
        for one in _behind(segments[key], decision.facts):
            waiting += one.segments
            found |= dict.fromkeys(name for name in map(base_name, one.facts) if name in personal)
            found |= {BEHAVIOUR: None} if one.behaviour else {}
    return tuple(found)


def _behind(segment: CompiledSegment, facts: Mapping[str, Any]) -> Iterator[Deciding]:
    """Yield what decided each of a segment's rules, and the conditions that gave points to its score."""
    for rule in segment.rules:
        yield deciding(rule.node, facts)
    if segment.score is not None:
        given = (condition for condition, _ in segment.score.conditions if judge(condition, facts) is True)
        yield from (deciding(condition.node, facts) for condition in given)
        yield Deciding(behaviour=bool(segment.score.behaviours))


class _Found:
    """Collects what was used, in the order in which it was found."""

    def __init__(self, decision: Decision) -> None:
        self.facts = decision.facts
        self.members: Mapping[str, Any] = decision.facts.get("segments") or {}
        self.segments = {segment.key: segment for segment in decision.plan.segments}
        self.personal = {fact.name for fact in decision.plan.facts if fact.purposes}
        self.names: dict[str, dict[str, None]] = {
            kind: {} for kind in ("inside", "outside", "facts", "context")
        }

    def used(self, *, paced: bool = False) -> Used:
        return Used(**{kind: tuple(names) for kind, names in self.names.items()}, paced=paced)

    def note(self, kind: str, name: str) -> None:
        self.names[kind][name] = None

    def rule(self, rule: Program) -> None:
        decided = deciding(rule.node, self.facts)
        for name in map(base_name, decided.facts):
            self.note("facts" if name in self.personal else "context", name)
        for key in decided.segments:
            self.segment(key)

    def segment(self, key: str) -> None:
        """Note a segment; one over context alone says nothing about anybody, and stands for its context."""
        segment = self.segments.get(key)
        if segment is not None and not segment.purposes:
            for rule in segment.rules:
                self.rule(rule)
        elif segment is not None:
            self.note("inside" if self.members.get(key) is True else "outside", key)

    def texts(self, holes: Iterable[Hole]) -> None:
        for hole in holes:
            if isinstance(hole, ComponentHole):
                self.recommendation(hole)
            else:
                self.text(hole)

    def text(self, hole: TextHole) -> None:
        if hole.placeholder.root == "by":
            keys = [hole.placeholder.name]
        elif hole.fact is None:
            keys = [key for key, _ in hole.candidates]
        else:
            keys = []
            value, name = self.facts.get(hole.fact), base_name(hole.fact)
            if value is not WITHHELD and value is not None and name in self.personal:
                self.note("facts", name)
        for key in [key for key in keys if self.members.get(key) is True][:1]:
            self.segment(key)

    def recommendation(self, hole: ComponentHole) -> None:
        """Note the segment that a component is of, or the favourite category where it changed what is recommended."""
        if hole.component.of:
            if self.members.get(hole.component.of) is True:
                self.segment(hole.component.of)
            return
        if self.facts.get(FAVOURITE_CATEGORY, WITHHELD) is WITHHELD:
            return
        if hole.chosen(self.facts)[0] != hole.chosen(_NO_FAVOURITE)[0]:
            self.note("facts", FAVOURITE_CATEGORY)


def switch_of(name: str) -> str:
    """Return what takes a fact out of use: of a page's history it is all that one did."""
    return BEHAVIOUR if name in HERE else name
