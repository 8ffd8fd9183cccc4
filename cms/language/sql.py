"""Rules as typed SQL, for many people at once.

Goes in: a rule, and where its facts, segments and behaviours stand as expressions. Comes out: the text of a boolean
expression of PostgreSQL, whose NULL is unknown: AND, OR and NOT follow Kleene's tables there too. Rules: a fact that
is absent gives every test a definite answer, the same as in Python; text is compared by code points; what only Python
can answer (patterns, versions, conversions) raises ``NotInSql``. Literals travel as parameters, never as text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from cms.language.nodes import (
    SEGMENTS,
    Choices,
    Comparison,
    Condition,
    Constant,
    Did,
    Field,
    Frozen,
    Junction,
    Negation,
    Node,
    Operand,
    Operators,
    Sequence,
    Value,
)

UNKNOWN: Final = "NULL::boolean"
_ORDER: Final = {"$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">="}


class NotInSql(Exception):
    """Only Python can answer this rule."""


@dataclass(frozen=True, slots=True)
class Column:
    """Where a fact stands: an expression, and its kind.

    Kinds: ``text``, ``number`` (double precision), ``boolean``, ``date`` (text), ``moment`` (timestamptz), ``list``
    (jsonb array), ``json`` (a jsonb value of any type), ``unknown``.
    """

    text: str
    kind: str


class Names(Protocol):
    """What a rule may name, as expressions."""

    def fact(self, name: str) -> Column: ...
    def segment(self, key: str) -> str: ...
    def behaviour(self, node: Did | Sequence) -> str: ...


@dataclass(slots=True)
class Parameters:
    """The literals of a statement, by the names of their placeholders."""

    values: dict[str, Any] = field(default_factory=dict)
    _known: dict[tuple[type, Any], str] = field(default_factory=dict)

    def add(self, value: Any, cast: str) -> str:
        """Return the placeholder of a value, with its type."""
        key = (type(value), tuple(value) if isinstance(value, list) else value)
        name = self._known.get(key)
        if name is None:
            name = self._known[key] = f"p{len(self.values)}"
            self.values[name] = value
        return f"%({name})s::{cast}"


def to_sql(node: Node, names: Names, parameters: Parameters) -> str:
    """Return a rule as a boolean expression."""
    return _Writer(names, parameters).node(node)


@dataclass(frozen=True, slots=True)
class _Writer:
    names: Names
    parameters: Parameters

    def node(self, node: Node) -> str:
        match node:
            case Condition(parts) | Junction("$and", parts):
                return _joined("AND", map(self.node, parts))
            case Junction(operator, parts):
                some = _joined("OR", map(self.node, parts))
                return some if operator == "$or" else f"(NOT {some})"
            case Negation(part):
                return f"(NOT {self.node(part)})"
            case Did() | Sequence():
                return self.names.behaviour(node)
            case Field(name, value):
                return self.membership(value) if name == SEGMENTS else self.field(name, value)

    def field(self, name: str, value: Value) -> str:
        column = self.names.fact(name)
        if column.kind == "unknown":
            return UNKNOWN
        return self.value(column, value)

    def value(self, column: Column, value: Value) -> str:
        if isinstance(value, Constant):
            raise NotInSql("an equality without an operator converts types")
        return _joined("AND", (self.test(column, test) for test in value.tests))

    def test(self, column: Column, test: Comparison) -> str:
        operator, operand = test.operator, test.operand
        if operator == "$exists":
            if column.kind == "json":
                there = f"coalesce(jsonb_typeof({column.text}) <> 'null', FALSE)"
                return self._negated(not _literal(operand), there)
            return f"({column.text} IS {'NOT ' if _literal(operand) else ''}NULL)"
        if operator == "$not" and isinstance(operand, Operators):
            return f"(NOT {self.value(column, operand)})"
        if column.kind == "list":
            return self.of_list(column, operator, operand)
        if operator in ("$eq", "$ne"):
            return self._negated(operator == "$ne", self.equals(column, _literal(operand)))
        if operator in ("$in", "$nin"):
            literals = _literal(operand)
            some = _joined("OR", (self.equals(column, one) for one in literals)) if literals else "FALSE"
            return self._negated(operator == "$nin", some)
        if operator in _ORDER:
            return self.order(column, _ORDER[operator], _literal(operand))
        raise NotInSql(operator)

    @staticmethod
    def _negated(negated: bool, text: str) -> str:
        return f"(NOT {text})" if negated else text

    def equals(self, column: Column, literal: Frozen) -> str:
        """Return whether the value is this one; false where there is none."""
        return f"coalesce({self._typed(column, literal)} = {self._bound(column, literal)}, FALSE)"

    def order(self, column: Column, operator: str, literal: Frozen) -> str:
        """Compare; an absent number counts as 0, an absent text compares as nothing does."""
        value = self._typed(column, literal)
        if _is_number(literal) and column.kind == "number":
            return f"(coalesce({value}, 0) {operator} {self._bound(column, literal)})"
        return f"coalesce({value} {operator} {self._bound(column, literal)}, FALSE)"

    def _typed(self, column: Column, literal: Frozen) -> str:
        if column.kind == "json":
            return json_as(column.text, literal)
        return f'{column.text} COLLATE "C"' if column.kind in ("text", "date") else column.text

    def _bound(self, column: Column, literal: Frozen) -> str:
        kind = column.kind
        if kind == "json":
            kind = _kind_of(literal)
        wanted = {"number": "double precision", "boolean": "boolean", "moment": "timestamptz"}.get(
            kind, "text"
        )
        if wanted == "double precision" and not _is_number(literal):
            raise NotInSql("a number is compared with a text")
        if wanted in ("text", "timestamptz") and not isinstance(literal, str):
            raise NotInSql("a text is compared with something else")
        return self.parameters.add(float(literal) if _is_number(literal) else literal, wanted)  # type: ignore[arg-type]  # checked

    def of_list(self, column: Column, operator: str, operand: Operand) -> str:
        """Ask a list: every element that is asked for is a text or a number."""
        if operator == "$all" and isinstance(operand, Choices):
            items = [_literal(item) for item in operand.items]
            if not items:
                return f"({column.text} IS NOT NULL)"
            return _joined("AND", (self._holds(column, item) for item in items))
        if operator in ("$in", "$nin"):
            literals = _literal(operand)
            some = _joined("OR", (self._holds(column, one) for one in literals)) if literals else "FALSE"
            return self._negated(operator == "$nin", some)
        if operator == "$size":
            size = Column(f"jsonb_array_length({column.text})::double precision", "number")
            test = (
                self.equals(size, operand.value)
                if isinstance(operand, Constant)
                else self._sized(size, operand)
            )
            return f"({column.text} IS NOT NULL AND {test})"
        raise NotInSql(operator)

    def _sized(self, size: Column, operand: Operand) -> str:
        if isinstance(operand, Operators):
            return self.value(size, operand)
        raise NotInSql("$size")

    def _holds(self, column: Column, item: Frozen) -> str:
        cast = "to_jsonb(" + self.parameters.add(
            float(item) if _is_number(item) else item,  # type: ignore[arg-type]  # checked
            "double precision" if _is_number(item) else "text",
        )
        return f"coalesce({column.text} @> {cast}), FALSE)"

    def membership(self, value: Operand) -> str:
        """Ask for segments: and, or and not of one fact per key."""
        if not isinstance(value, Operators):
            raise NotInSql("segments")
        return _joined("AND", (self._member(test) for test in value.tests))

    def _member(self, test: Comparison) -> str:
        operator, operand = test.operator, test.operand
        if operator == "$not":
            return f"(NOT {self.membership(operand)})"
        if operator == "$elemMatch" and isinstance(operand, Operators):
            inner = operand.tests[0]
            literal = _literal(inner.operand)
            return self._any(literal if inner.operator == "$in" else (literal,))
        keys = _keys(operand)
        if operator == "$all":
            return _joined("AND", (self.names.segment(str(key)) for key in keys))
        return self._negated(operator == "$nin", self._any(keys))

    def _any(self, keys: Iterable[Frozen]) -> str:
        texts = [self.names.segment(str(key)) for key in keys]
        return _joined("OR", texts) if texts else "FALSE"


def json_as(text: str, literal: Frozen) -> str:
    """Return a jsonb value as the type of a literal; NULL where it is of another type."""
    kind = _kind_of(literal)
    name = {"number": "number", "boolean": "boolean"}.get(kind, "string")
    value = f"({text} #>> '{{}}')"
    cast = {"number": "::double precision", "boolean": "::boolean"}.get(kind, ' COLLATE "C"')
    return f"(CASE WHEN jsonb_typeof({text}) = '{name}' THEN {value}{cast} END)"


def _kind_of(literal: Frozen) -> str:
    if isinstance(literal, bool):
        return "boolean"
    return "number" if _is_number(literal) else "text"


def _is_number(literal: Any) -> bool:
    return isinstance(literal, int | float) and not isinstance(literal, bool)


def _literal(operand: Any) -> Any:
    if isinstance(operand, Constant):
        return operand.value
    raise NotInSql("a nested operand")


def _keys(operand: Operand) -> tuple[Frozen, ...]:
    if isinstance(operand, Choices):
        return tuple(_literal(item) for item in operand.items)
    keys = _literal(operand)
    return keys if isinstance(keys, tuple) else (keys,)


def _joined(operator: str, parts: Iterable[str]) -> str:
    texts = list(parts)
    if not texts:
        return "TRUE"
    return texts[0] if len(texts) == 1 else f"({f' {operator} '.join(texts)})"
