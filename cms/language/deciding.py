"""Which tests of a rule made it true or false for these facts.

Goes in: a rule and the facts that ``evaluate`` saw. Comes out: the names of what decided, or nothing while the rule is
unknown. Rules: it agrees with ``explain``; with everything else withheld the rule would be what it is; what is
withheld never decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cms.language.explain import explain
from cms.language.membership import members
from cms.language.nodes import SEGMENTS, Did, Field, Junction, Negation, Node, Sequence, segment_keys


@dataclass(frozen=True, slots=True)
class Deciding:
    """Facts and segments by their names, and whether what somebody did was among it; in the order of the rule."""

    facts: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    behaviour: bool = False


def deciding(node: Node, facts: Mapping[str, Any]) -> Deciding:
    """Return what made a rule true or false."""
    if explain(node, facts).truth is None:
        return Deciding()
    found = list(_tests(node, facts))
    fields = [test for test in found if isinstance(test, Field)]
    keys = (key for field in fields if field.name == SEGMENTS for key in _members(field, facts))
    return Deciding(
        tuple(dict.fromkeys(field.name for field in fields if field.name != SEGMENTS)),
        tuple(dict.fromkeys(keys)),
        len(fields) < len(found),
    )


def _tests(node: Node, facts: Mapping[str, Any]) -> Iterator[Field | Did | Sequence]:
    """Yield the tests that suffice: of an `or` the sides that hold, of an `and` those that fail, else all of them."""
    match node:
        case Field() | Did() | Sequence():
            yield node
        case Negation(part):
            yield from _tests(part, facts)
        case _:
            sufficient = isinstance(node, Junction) and node.operator in ("$or", "$nor")
            parts: tuple[Node, ...] = node.parts
            alone = [part for part in parts if explain(part, facts).truth is sufficient]
            for one in alone or parts:
                yield from _tests(one, facts)


def _members(field: Field, facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the segments that suffice: those one is in, else those one is not in, else all."""
    inside = members(facts)
    keys = dict.fromkeys(key for key, _ in segment_keys(field.value))
    truth = explain(field, facts).truth
    for belongs in (True, False):
        some = {key: inside.get(key, False) for key in keys if inside.get(key, False) is belongs}
        narrowed = dict.fromkeys(keys) | some
        if explain(field, {**facts, SEGMENTS: narrowed}).truth is truth:
            return tuple(some)
    return tuple(keys)
