"""Whether one known value passes one test: the meaning of every operator, said once.

Goes in: a test and a JSON value (``None`` for absent). Comes out: true or false, never unknown; a withheld fact does
not come this far. Rules: as in the grammar's JavaScript SDK; nothing raises. ``evaluate`` compiles these meanings to
faster closures, ``explain`` calls them as they stand.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeAlias

import re2

from cms.language import coercion
from cms.language.nodes import (
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
    Object,
    Operand,
    Operators,
    Sequence,
    Value,
    thaw,
)

Groups: TypeAlias = Mapping[str, abc.Sequence[Any]]
_ABSENT: Final = object()


class Withheld(Enum):
    """The value of a fact that may not or could not be read."""

    WITHHELD = "withheld"


WITHHELD: Final = Withheld.WITHHELD


class PatternError(ValueError):
    """A pattern that the linear-time engine does not take."""


def holds(value: Any, test: Value, groups: Groups, *, folded: bool = False) -> bool:
    """Say whether a known value passes a test; ``folded`` ignores case in an implicit equality of texts."""
    if isinstance(test, Operators):
        return all(passes(value, comparison, groups) for comparison in test.tests)
    return equals(value, test.value, folded=folded)


def equals(value: Any, literal: Frozen, *, folded: bool = False) -> bool:
    """Say whether a value equals a literal that stands without an operator (it converts, as JavaScript does)."""
    if isinstance(literal, bool):
        return value is not None and coercion.truthy(value) == literal
    if isinstance(literal, str):
        return _fold(coercion.text(value)) == _fold(literal) if folded else coercion.text(value) == literal
    if isinstance(literal, int | float):
        return coercion.number(value) == literal
    return coercion.same_json(value, literal)


def passes(value: Any, comparison: Comparison, groups: Groups) -> bool:
    """Say whether a known value passes one operator."""
    operand = comparison.operand
    if isinstance(operand, Constant):
        return _constant(comparison.operator, value, operand.value, groups)
    return _nested(comparison.operator, value, operand, groups)


def lookup(facts: Any, name: str) -> Any:
    """Return the value under the full name, else along its dots through objects, else ``None``."""
    if not isinstance(facts, Mapping):
        return None
    found = facts.get(name, _ABSENT)
    return _walk(facts, name) if found is _ABSENT and "." in name else None if found is _ABSENT else found


def _walk(facts: Any, name: str) -> Any:
    current = facts
    for part in name.split("."):
        if not isinstance(current, Mapping):
            break
        current = current.get(part)
    else:
        return current
    return WITHHELD if current is WITHHELD else None


def matches(element: Any, condition: Node, groups: Groups) -> bool:
    """Say whether an element of a list meets a condition on its own members."""
    match condition:
        case Condition(parts):
            return all(matches(element, part, groups) for part in parts)
        case Field(name, value):
            return holds(lookup(element, name), value, groups)
        case Negation(part):
            return not matches(element, part, groups)
        case Junction("$and", parts):
            return all(matches(element, part, groups) for part in parts)
        case Did() | Sequence():
            return False  # behaviour is asked of people, never of the elements of a list
        case Junction(operator, parts):
            some = not parts or any(matches(element, part, groups) for part in parts)
            return some == (operator == "$or")


@lru_cache(maxsize=1024)
def pattern(source: str, *, folded: bool) -> Any:
    """Compile a pattern on the linear-time engine; raise ``PatternError`` with its words."""
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not folded
    try:
        return re2.compile(source, options)
    except re2.error as error:
        raise PatternError(_words(error)) from error


def finds(source: str, value: Any, *, folded: bool) -> bool:
    """Say whether a pattern occurs in a value; a pattern that does not compile occurs nowhere."""
    try:
        return pattern(source, folded=folded).search(coercion.text(value)) is not None
    except (PatternError, UnicodeEncodeError):  # half a surrogate pair can be in no text
        return False


def is_in(value: Any, choices: abc.Sequence[Any], *, folded: bool = False) -> bool:
    """Say whether a value, or an element of a list, is one of the choices."""
    values = value if isinstance(value, list) else [value]
    if folded:
        values, choices = [_fold(item) for item in values], [_fold(item) for item in choices]
    return any(coercion.strictly_equal(item, choice) for item in values for choice in choices)


def _constant(operator: str, value: Any, literal: Frozen, groups: Groups) -> bool:
    simple = _SIMPLE.get(operator)
    if simple is not None:
        return simple(value, literal)
    if operator in ("$inGroup", "$notInGroup"):
        return is_in(value, groups.get(str(literal), ())) == (operator == "$inGroup")
    if operator == "$size":
        return isinstance(value, list) and equals(len(value), literal)
    return operator == "$not" and not equals(value, literal)


def _nested(operator: str, value: Any, operand: Operand, groups: Groups) -> bool:
    match operand:
        case Operators() if operator == "$not":
            return not holds(value, operand, groups)
        case Operators() if operator == "$size":
            return isinstance(value, list) and holds(len(value), operand, groups)
        case Operators():
            return any(holds(item, operand, groups) for item in _elements(value))
        case Condition():
            return any(matches(item, operand, groups) for item in _elements(value))
        case Choices(items):
            folded = operator == "$alli"
            found = (any(holds(item, choice, groups, folded=folded) for item in value) for choice in items)
            return isinstance(value, list) and all(found)
    return False


def _elements(value: Any) -> list[Any]:
    """Return the elements that ``$elemMatch`` looks at: the SDK passes over 0, empty texts, false and null."""
    return [item for item in value if coercion.truthy(item)] if isinstance(value, list) else []


def _fold(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _words(error: Exception) -> str:
    words = error.args[0] if error.args else error
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "boolean", str: "string", list: "array", dict: "object", int: "number", float: "number"}
    return kinds.get(type(value), "unknown")


def _is_in_list(value: Any, literal: Frozen, *, folded: bool, wanted: bool) -> bool:
    return isinstance(literal, tuple) and is_in(value, literal, folded=folded) == wanted


def _order(accepted: tuple[int, ...]) -> Callable[[Any, Frozen], bool]:
    return lambda value, literal: coercion.order(value, _plain(literal)) in accepted


def _version(accepted: tuple[int, ...]) -> Callable[[Any, Frozen], bool]:
    return lambda value, literal: (
        coercion.order(coercion.version(value), coercion.version(literal)) in accepted
    )


def _plain(literal: Frozen) -> Any:
    return thaw(literal) if isinstance(literal, tuple | Object) else literal


_LESS, _SAME, _MORE = (-1,), (0,), (1,)

_SIMPLE: Final[Mapping[str, Callable[[Any, Frozen], bool]]] = {
    "$eq": coercion.strictly_equal,
    "$ne": lambda value, literal: not coercion.strictly_equal(value, literal),
    "$lt": _order(_LESS),
    "$lte": _order(_LESS + _SAME),
    "$gt": _order(_MORE),
    "$gte": _order(_MORE + _SAME),
    "$veq": _version(_SAME),
    "$vne": _version(_LESS + _MORE),
    "$vlt": _version(_LESS),
    "$vlte": _version(_LESS + _SAME),
    "$vgt": _version(_MORE),
    "$vgte": _version(_MORE + _SAME),
    "$exists": lambda value, literal: (value is not None) == literal,
    "$type": lambda value, literal: _kind(value) == literal,
    "$in": lambda value, literal: _is_in_list(value, literal, folded=False, wanted=True),
    "$nin": lambda value, literal: _is_in_list(value, literal, folded=False, wanted=False),
    "$ini": lambda value, literal: _is_in_list(value, literal, folded=True, wanted=True),
    "$nini": lambda value, literal: _is_in_list(value, literal, folded=True, wanted=False),
    "$regex": lambda value, literal: finds(str(literal), value, folded=False),
    "$regexi": lambda value, literal: finds(str(literal), value, folded=True),
}
