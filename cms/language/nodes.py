"""The tree of a rule, and how its faults are told: what ``parse`` makes of JSON, what everything else reads.

Comes out: frozen nodes, each knowing the JSON pointer it stood at (pointers do not count in comparisons).
Rules: a tree holds no reference to the JSON it came from; ``parse(to_json(node)) == node``; ``reads`` names every
fact and segment whose value can influence the answer, and names inside ``$elemMatch`` are no facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

SEGMENTS = "segments"
Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Say what is wrong with a rule or text, where, and how bad it is."""

    code: str
    pointer: str
    message: str
    severity: Severity = "error"


class RuleError(Exception):
    """Refuse a rule; ``problems`` holds at least one error."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{problem.pointer or '/'}: {problem.message}" for problem in problems))
        self.problems = problems


class TextError(Exception):
    """Refuse a text; ``problems`` holds at least one error."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems

    @classmethod
    def of(cls, code: str, message: str) -> TextError:
        """Build the error of one problem; a text has no places, so its pointer is empty."""
        return cls((Problem(code, "", message),))


@dataclass(frozen=True, slots=True)
class Object:
    """A JSON object inside a literal, in the order it was written."""

    items: tuple[tuple[str, Frozen], ...]


Frozen: TypeAlias = "str | int | float | bool | tuple[Frozen, ...] | Object | None"


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal: the operand of most operators, or an implicit equality."""

    value: Frozen
    pointer: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One operator with its operand."""

    operator: str
    operand: Operand
    pointer: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Operators:
    """Several operators on one value: all of them must hold."""

    tests: tuple[Comparison, ...]
    pointer: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Choices:
    """The operand of ``$all``: each item is a test that some element must pass."""

    items: tuple[Value, ...]
    pointer: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Field:
    """A named fact and the test of its value."""

    name: str
    value: Value
    pointer: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Junction:
    """``$and``, ``$or`` or ``$nor`` of conditions."""

    operator: str
    parts: tuple[Condition, ...]
    pointer: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Negation:
    """``$not`` of a condition."""

    part: Condition
    pointer: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Condition:
    """One JSON object of the grammar: all its parts must hold; an empty one is true."""

    parts: tuple[Field | Junction | Negation, ...]
    pointer: str = field(default="", compare=False)


Value: TypeAlias = Constant | Operators
Operand: TypeAlias = Constant | Operators | Choices | Condition
Node: TypeAlias = Condition | Junction | Negation | Field


@dataclass(frozen=True, slots=True)
class Reads:
    """The facts and segments a rule can depend on, named as in the vocabulary."""

    facts: frozenset[str]
    segments: frozenset[str]


def thaw(value: Frozen) -> Any:
    """Return the plain JSON value of a literal."""
    if isinstance(value, tuple):
        return [thaw(item) for item in value]
    if isinstance(value, Object):
        return {key: thaw(item) for key, item in value.items}
    return value


def to_json(node: Node | Operand | Comparison) -> Any:
    """Return the JSON that parses to this node; a part of a condition becomes an object of its own."""
    match node:
        case Condition(parts):
            return {key: value for part in parts for key, value in to_json(part).items()}
        case Field(name, value):
            return {name: to_json(value)}
        case Junction(operator, parts):
            return {operator: [to_json(part) for part in parts]}
        case Negation(part):
            return {"$not": to_json(part)}
        case Operators(tests):
            return {test.operator: to_json(test.operand) for test in tests}
        case Comparison(operator, operand):
            return {operator: to_json(operand)}
        case Choices(items):
            return [to_json(item) for item in items]
        case Constant(value):
            return thaw(value)


def fields(node: Node) -> Iterator[Field]:
    """Yield every field of a rule in the order it was written; names inside ``$elemMatch`` are none."""
    match node:
        case Field():
            yield node
        case Negation(part):
            yield from fields(part)
        case Condition(parts) | Junction(_, parts):
            for child in parts:
                yield from fields(child)


def segment_keys(value: Operand) -> Iterator[tuple[str, str]]:
    """Yield the segment keys that a test of ``segments`` names, each with its pointer."""
    match value:
        case Operators(tests):
            for test in tests:
                yield from segment_keys(test.operand)
        case Choices(items):
            for choice in items:
                yield from segment_keys(choice)
        case Constant(tuple() as keys, pointer):
            yield from ((key, f"{pointer}/{index}") for index, key in enumerate(keys) if isinstance(key, str))
        case Constant(str() as key, pointer):
            yield key, pointer


def reads(node: Node) -> Reads:
    """Collect what a rule reads; ``X.days_ago`` is listed under that name, ``segments`` by their keys."""
    named = list(fields(node))
    keys = (key for item in named if item.name == SEGMENTS for key, _ in segment_keys(item.value))
    return Reads(frozenset(item.name for item in named) - {SEGMENTS}, frozenset(keys))
