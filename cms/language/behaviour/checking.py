"""What is wrong with a behaviour before it is published.

Goes in: a parsed behaviour and the vocabulary. Comes out: problems with their places. Rules: behaviour stands in
segments only; an event nobody ever heard of is a warning, or an error where the site is strict; a property is compared
as its declared type, where the catalogue declares one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cms.language.behaviour.events import ANY
from cms.language.fitness import check_value, hint
from cms.language.nodes import Condition, Constant, Did, Field, Operators, Problem, Sequence, Value, fields
from cms.language.vocabulary import EventName, Fact, Vocabulary

_NUMBER: Final = frozenset({"count", "sum", "min", "max", "distinct"})
_NOTHING: Final = "What somebody did belongs into a segment; name the segment here."


def check_behaviour(node: Did | Sequence, vocabulary: Vocabulary) -> Iterator[Problem]:
    """Yield what is wrong with one behaviour."""
    if not vocabulary.behaviour:
        yield Problem("behaviour_in_display_rule", node.pointer, _NOTHING)
        return
    for name, where, pointer in _parts(node):
        event = vocabulary.events.get(name)
        if event is None and name != ANY:
            yield _unknown(name, pointer, vocabulary)
        yield from _check_where(where, event)
    if isinstance(node, Did):
        yield from _check_aggregate(node)


def _parts(node: Did | Sequence) -> Iterator[tuple[str, Condition | None, str]]:
    if isinstance(node, Did):
        yield node.event, node.where, f"{node.pointer}/event"
    else:
        for step in node.steps:
            yield step.event, step.where, f"{step.pointer}/event"


def _unknown(name: str, pointer: str, vocabulary: Vocabulary) -> Problem:
    message = f"No event '{name}' is declared or was ever seen.{hint(name, vocabulary.events)}"
    return Problem("unknown_event", pointer, message, "error" if vocabulary.strict_events else "warning")


def _check_where(where: Condition | None, event: EventName | None) -> Iterator[Problem]:
    if where is None:
        return
    types = event.properties if event is not None else {}
    for field in fields(where):
        if not field.name.startswith("properties."):
            yield Problem(
                "unknown_fact", field.pointer, f"'{field.name}' is no property: write properties.NAME."
            )
        else:
            yield from check_value(
                _property(field, types.get(field.name, "element")), field.value, field.pointer
            )
    for pointer in _inner(where):
        yield Problem("misplaced_operator", pointer, "A behaviour cannot stand inside of another.")


def _property(field: Field, kind: str) -> Fact:
    return Fact(field.name, kind)


def _inner(where: Condition) -> Iterator[str]:
    from cms.language.nodes import behaviours

    yield from (node.pointer for node in behaviours(where))


def _check_aggregate(node: Did) -> Iterator[Problem]:
    kind = "number" if node.aggregate in _NUMBER else "element"
    place = f"{node.pointer}/{node.aggregate}"
    yield from check_value(Fact(f"the {node.aggregate}", kind), node.test, place)
    if node.aggregate in ("count", "distinct"):
        yield from _check_count(node.test, place)


def _check_count(test: Value, place: str) -> Iterator[Problem]:
    """Say when a count is asked for what it never is, or always is."""
    for comparison in test.tests if isinstance(test, Operators) else ():
        value = comparison.operand.value if isinstance(comparison.operand, Constant) else None
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        if (comparison.operator == "$lt" and value <= 0) or (comparison.operator == "$lte" and value < 0):
            yield Problem("impossible", comparison.pointer or place, "A count is never below 0.")
        elif (comparison.operator == "$gte" and value <= 0) or (comparison.operator == "$gt" and value < 0):
            yield Problem(
                "always_true", comparison.pointer or place, "A count is always 0 or more.", "warning"
            )
