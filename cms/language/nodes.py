"""The tree of a rule, and how its faults are told: what ``parse`` makes of JSON, what everything else reads.

Comes out: frozen nodes, each knowing the JSON pointer it stood at (pointers do not count in comparisons).
Rules: a tree holds no reference to the JSON it came from; ``parse(to_json(node)) == node``; ``reads`` names every
fact and segment whose value can influence the answer, and names inside ``$elemMatch`` are no facts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2s
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
class Did:
    """``$did``: how much of something happened, in a window of time, for one value of a property at least."""

    event: str
    where: Condition | None
    within: str | None
    by: str | None
    aggregate: str
    of: str | None
    test: Value
    pointer: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """Return the name under which its timeline stands among facts."""
        return f"$did:{_digest(to_json(self))}"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a sequence: an event that comes next, or one that does not."""

    event: str
    where: Condition | None
    absent: bool
    pointer: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Sequence:
    """``$seq``: events in order, each at most ``gap`` after the one before."""

    steps: tuple[Step, ...]
    gap: str | None
    since: str | None
    by: str | None
    pointer: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """Return the name under which its timeline stands among facts."""
        return f"$seq:{_digest(to_json(self))}"


@dataclass(frozen=True, slots=True)
class Condition:
    """One JSON object of the grammar: all its parts must hold; an empty one is true."""

    parts: tuple[Field | Junction | Negation | Did | Sequence, ...]
    pointer: str = field(default="", compare=False)


Value: TypeAlias = Constant | Operators
Operand: TypeAlias = Constant | Operators | Choices | Condition
Behavioural: TypeAlias = Did | Sequence
Node: TypeAlias = Condition | Junction | Negation | Field | Did | Sequence


@dataclass(frozen=True, slots=True)
class Reads:
    """The facts and segments a rule can depend on, named as in the vocabulary, and what people did."""

    facts: frozenset[str]
    segments: frozenset[str]
    behaviours: frozenset[Did | Sequence] = frozenset()


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
        case Did() | Sequence():
            return _spelled_behaviour(node)


def _spelled_behaviour(node: Did | Sequence) -> dict[str, Any]:
    if isinstance(node, Sequence):
        steps = [_present(event=s.event, where=_where(s.where), absent=s.absent or None) for s in node.steps]
        return {"$seq": _present(steps=steps, gap=node.gap, since=node.since, by=node.by)}
    test = to_json(node.test)
    aggregate = test if node.aggregate == "count" else {"of": node.of, **test}
    said = _present(event=node.event, where=_where(node.where), within=node.within, by=node.by)
    return {"$did": {**said, node.aggregate: aggregate}}


def _where(condition: Condition | None) -> Any:
    return None if condition is None else to_json(condition)


def _present(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _digest(spelled: Any) -> str:
    """Return a short digest of a JSON value, the same however its members are ordered."""
    text = json.dumps(spelled, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return blake2s(text.encode(), digest_size=8).hexdigest()


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


def behaviours(node: Node) -> Iterator[Did | Sequence]:
    """Yield every behaviour of a rule in the order it was written."""
    match node:
        case Did() | Sequence():
            yield node
        case Negation(part):
            yield from behaviours(part)
        case Condition(parts) | Junction(_, parts):
            for child in parts:
                yield from behaviours(child)


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
    facts = frozenset(item.name for item in named) - {SEGMENTS}
    return Reads(facts, frozenset(keys), frozenset(behaviours(node)))
