"""One event as behaviour sees it, and which events a rule means.

Goes in: a name and a ``where`` in the grammar of conditions over ``properties.…``. Comes out: a function that says
whether an event is meant. Rules: moments are whole microseconds since 1970; events are in the order of their moment,
then of their id; a test of a property that is missing is false, whatever the operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from cms.language.matchers import Matcher, matcher
from cms.language.nodes import Condition, Field, Junction, Negation, Node

ANY: Final = "*"
SECOND: Final = 1_000_000
DOORS: Final = frozenset({"track", "page", "screen"})  # calls that count as behaviour


@dataclass(frozen=True, slots=True)
class Happened:
    """One event: its name, its moment in microseconds since 1970, what it says, and its id."""

    name: str
    at: int
    properties: Mapping[str, Any]
    kind: str = "track"
    id: str = ""


Meant = Callable[[Happened], bool]
in_order: Final = attrgetter("at", "id")


def meant(name: str, where: Condition | None) -> Meant:
    """Build the function that says whether an event is of this name and meets the condition."""
    test = _holds(where) if where is not None and where.parts else None
    if name == ANY:
        return lambda event: event.kind == "track" and (test is None or test(event.properties))
    if test is None:
        return lambda event: event.name == name and event.kind in DOORS
    return lambda event: event.name == name and event.kind in DOORS and test(event.properties)


def read(properties: Mapping[str, Any], path: str) -> Any:
    """Return the property at ``properties.a.b``, or ``None`` when there is none."""
    value: Any = properties
    for part in path.split(".")[1:]:
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def _holds(node: Node) -> Callable[[Mapping[str, Any]], bool]:
    match node:
        case Field(name, value):
            return _field(name, matcher(value, {}))
        case Negation(part):
            inner = _holds(part)
            return lambda properties: not inner(properties)
        case Condition(parts) | Junction("$and", parts):
            tests = tuple(_holds(part) for part in parts)
            return lambda properties: all(test(properties) for test in tests)
        case Junction(operator, parts):
            tests, wanted = tuple(_holds(part) for part in parts), operator == "$or"
            return lambda properties: (not tests or any(test(properties) for test in tests)) is wanted
    raise TypeError(node)  # behaviour inside of behaviour is refused when it is read


def _field(path: str, check: Matcher) -> Callable[[Mapping[str, Any]], bool]:
    def holds(properties: Mapping[str, Any]) -> bool:
        value = read(properties, path)
        return value is not None and check(value)

    return holds
