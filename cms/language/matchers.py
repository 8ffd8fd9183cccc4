"""Tests of one value as closures: what ``operators`` means, without walking the tree again.

Goes in: the test below a fact's name. Comes out: a function from a known value to true or false. Rule: the common
operators on plain values have a short way; everything else takes the long one, and both answer alike.
"""

from __future__ import annotations

import operator as std
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from cms.language.nodes import Comparison, Constant, Frozen, Operators, Value
from cms.language.operators import Groups, equals, passes

Matcher: TypeAlias = Callable[[Any], bool]

_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$lt": std.lt,
    "$lte": std.le,
    "$gt": std.gt,
    "$gte": std.ge,
}


def matcher(test: Value, groups: Groups) -> Matcher:
    """Build the function that says whether a known value passes a test."""
    if isinstance(test, Constant):
        return lambda value: equals(value, test.value)
    parts = tuple(_comparison(comparison, groups) for comparison in test.tests)
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2 and _asks_existence(test.tests[0]):
        return _known_and(parts[1])
    return _every(parts)


def _asks_existence(comparison: Comparison) -> bool:
    operand = comparison.operand
    return comparison.operator == "$exists" and isinstance(operand, Constant) and operand.value is True


def _known_and(check: Matcher) -> Matcher:
    """Join ``$exists: true`` and one other test, the commonest pair of the authoring profile."""
    return lambda value: value is not None and check(value)


def _every(parts: tuple[Matcher, ...]) -> Matcher:
    def run(value: Any) -> bool:
        for part in parts:  # noqa: SIM110 -- a generator costs more than the tests
            if not part(value):
                return False
        return True

    return run


def _comparison(comparison: Comparison, groups: Groups) -> Matcher:
    operator, operand = comparison.operator, comparison.operand
    if operator == "$not" and isinstance(operand, Constant | Operators):
        inner = matcher(operand, groups)
        return lambda value: not inner(value)
    short = _short(operator, operand.value, comparison, groups) if isinstance(operand, Constant) else None
    return short or (lambda value: passes(value, comparison, groups))


def _short(operator: str, literal: Frozen, comparison: Comparison, groups: Groups) -> Matcher | None:
    if operator == "$exists":
        return (lambda value: value is not None) if literal else (lambda value: value is None)
    if operator in ("$eq", "$ne") and isinstance(literal, str):
        return (
            (lambda value: bool(value == literal))
            if operator == "$eq"
            else (lambda value: bool(value != literal))
        )
    if operator in _ORDERS:
        return _order(_ORDERS[operator], literal, lambda value: passes(value, comparison, groups))
    if (
        operator in ("$in", "$nin")
        and isinstance(literal, tuple)
        and all(isinstance(key, str) for key in literal)
    ):
        return _in_texts(frozenset(literal), wanted=operator == "$in")
    return None


def _order(compare: Callable[[Any, Any], bool], literal: Frozen, long_way: Matcher) -> Matcher:
    """Compare values of the literal's own type directly, all others as JavaScript would."""
    kinds = (str, str) if isinstance(literal, str) else (int, float)
    one, other = kinds

    def run(value: Any) -> bool:
        kind = type(value)
        return compare(value, literal) if kind is one or kind is other else long_way(value)

    return run


def _in_texts(texts: frozenset[Frozen], *, wanted: bool) -> Matcher:
    def run(value: Any) -> bool:
        if type(value) is str:
            return (value in texts) is wanted
        return _any_text(value, texts) is wanted

    return run


def _any_text(value: Any, texts: frozenset[Frozen]) -> bool:
    return isinstance(value, list) and any(isinstance(item, str) and item in texts for item in value)
