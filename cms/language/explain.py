"""Why a rule is true, false or unknown for these facts.

Goes in: a rule and the facts that ``evaluate`` saw. Comes out: a tree of the conditions with their truths, places and
phrases. Rules: a second walk of its own over the same rule, agreeing with the compiled one; every part is shown, also
where an earlier one had decided; no value of a visitor stands in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cms.language import moments
from cms.language.behaviour import compile_behaviour
from cms.language.kleene import Truth, every, negate, some
from cms.language.membership import compile_membership, members
from cms.language.nodes import (
    SEGMENTS,
    Comparison,
    Condition,
    Did,
    Field,
    Junction,
    Negation,
    Node,
    Operators,
    Sequence,
)
from cms.language.operators import WITHHELD, Groups, equals, passes
from cms.language.phrases import behaviour_phrase, comparison_phrase, field_phrase, node_phrase
from cms.language.vocabulary import Vocabulary

_PLAIN: Final = Vocabulary()


@dataclass(frozen=True, slots=True)
class Explanation:
    """One condition with its truth (``None``: unknown), its place in the rule and a short phrase."""

    truth: Truth
    pointer: str
    text: str
    children: tuple[Explanation, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        children = [child.to_json() for child in self.children]
        return {"truth": self.truth, "pointer": self.pointer, "text": self.text, "children": children}


def explain(
    node: Node, facts: Mapping[str, Any], groups: Groups | None = None, *, vocabulary: Vocabulary = _PLAIN
) -> Explanation:
    """Explain a rule; the vocabulary only lends its titles to the phrases."""
    return _Walk(facts, groups or {}, vocabulary).node(node)


def sentence(node: Node, vocabulary: Vocabulary) -> str:
    """Return a rule as one English sentence."""
    phrase = node_phrase(node, vocabulary)
    return phrase[:1].upper() + phrase[1:]


@dataclass(frozen=True, slots=True)
class _Walk:
    facts: Mapping[str, Any]
    groups: Groups
    vocabulary: Vocabulary

    def node(self, node: Node) -> Explanation:
        if isinstance(node, Field):
            return self._field(node)
        if isinstance(node, Did | Sequence):
            return Explanation(self._behaviour(node), node.pointer, behaviour_phrase(node, self.vocabulary))
        parts = (node.part,) if isinstance(node, Negation) else node.parts
        children = tuple(self.node(_lone(part)) for part in parts)
        truth = _joined(node, tuple(child.truth for child in children))
        return Explanation(truth, node.pointer, node_phrase(node, self.vocabulary), children)

    def _behaviour(self, node: Did | Sequence) -> Truth:
        timeline, moment = self.facts.get(node.key), moments.micros(self.facts)
        if timeline is WITHHELD or moment is None:
            return None
        known = compile_behaviour(node).empty if timeline is None else timeline
        return next(span.truth for span in known if span.until is None or moment < span.until)

    def _field(self, field: Field) -> Explanation:
        text, children = field_phrase(field, self.vocabulary), self._tests(field)
        if children:
            return Explanation(
                every(child.truth for child in children), field.pointer, text, self._shown(children)
            )
        return Explanation(self._constant(field), field.pointer, text)

    @staticmethod
    def _shown(children: tuple[Explanation, ...]) -> tuple[Explanation, ...]:
        """Leave out a single test: it says the same as its field."""
        return children if len(children) > 1 else ()

    def _tests(self, field: Field) -> tuple[Explanation, ...]:
        tests = field.value.tests if isinstance(field.value, Operators) else ()
        return tuple(self._test(field, test) for test in tests)

    def _test(self, field: Field, test: Comparison) -> Explanation:
        if field.name == SEGMENTS:
            alone = Field(SEGMENTS, Operators((test,)))
            truth, text = (
                compile_membership(alone.value)(members(self.facts)),
                field_phrase(alone, self.vocabulary),
            )
            return Explanation(truth, test.pointer, text)
        value, fact = moments.value(self.facts, field.name), self.vocabulary.find(field.name)
        truth = None if value is WITHHELD else passes(value, test, self.groups)
        return Explanation(truth, test.pointer, comparison_phrase(fact.label if fact else field.name, test))

    def _constant(self, field: Field) -> Truth:
        value = moments.value(self.facts, field.name)
        if field.name == SEGMENTS or value is WITHHELD or isinstance(field.value, Operators):
            return None
        return equals(value, field.value.value)


def _lone(node: Node) -> Node:
    """Return the one part of a condition that has only one, so that nothing is said twice."""
    match node:
        case Condition((part,)):
            return part
    return node


def _joined(node: Condition | Junction | Negation, truths: tuple[Truth, ...]) -> Truth:
    match node:
        case Negation():
            return negate(truths[0])
        case Junction("$or" | "$nor" as operator):
            either = some(truths) if truths else True
            return either if operator == "$or" else negate(either)
    return every(truths)
