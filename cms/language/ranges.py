"""Ranges that no value lies in.

Goes in: a rule. Comes out: a problem for each fact whose order comparisons, joined by and, leave nothing. Rules: only
literals of one type are compared; hours, weekdays and days are whole numbers, hours and weekdays have their ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cms.language.nodes import (
    Comparison,
    Condition,
    Constant,
    Field,
    Junction,
    Negation,
    Node,
    Operators,
    Problem,
)
from cms.language.vocabulary import DAYS_AGO

_ENDS: Final[Mapping[str, tuple[Any, Any]]] = {
    "context.hour": (0, 23),
    "context.weekday": (1, 7),
    "context.time": ("00:00", "23:59"),
}


@dataclass(frozen=True, slots=True)
class _Bound:
    value: Any
    open: bool
    lower: bool
    pointer: str


def impossible_ranges(node: Node) -> Iterator[Problem]:
    """Yield a problem for each range that can never match, at the place of its last comparison."""
    match node:
        case Field():
            yield from _check([node])
        case Negation(part):
            yield from impossible_ranges(part)
        case Condition() | Junction("$and", _):
            joined = list(_conjunction(node))
            yield from _check([child for child in joined if isinstance(child, Field)])
            for child in joined:
                yield from () if isinstance(child, Field) else impossible_ranges(child)
        case Junction(_, parts):
            for branch in parts:
                yield from impossible_ranges(branch)


def _conjunction(node: Condition | Junction) -> Iterator[Node]:
    for part in node.parts:
        if isinstance(part, Condition) or (isinstance(part, Junction) and part.operator == "$and"):
            yield from _conjunction(part)
        else:
            yield part


def _check(joined: list[Field]) -> Iterator[Problem]:
    for name in dict.fromkeys(field.name for field in joined):
        bounds = [bound for field in joined if field.name == name for bound in _bounds(field)]
        if bounds and not _possible([*bounds, *_ends(name)]):
            yield Problem("impossible_range", bounds[-1].pointer, f"No '{name}' can ever lie in this range.")


def _bounds(field: Field) -> Iterator[_Bound]:
    tests = field.value.tests if isinstance(field.value, Operators) else ()
    whole = field.name in ("context.hour", "context.weekday") or field.name.endswith(DAYS_AGO)
    for test in tests:
        yield from _bounds_of(test, whole=whole)


def _bounds_of(test: Comparison, *, whole: bool) -> Iterator[_Bound]:
    value = test.operand.value if isinstance(test.operand, Constant) else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return
    if test.operator in ("$gt", "$gte", "$eq"):
        yield _whole(_Bound(value, test.operator == "$gt", True, test.pointer), whole)
    if test.operator in ("$lt", "$lte", "$eq"):
        yield _whole(_Bound(value, test.operator == "$lt", False, test.pointer), whole)


def _whole(bound: _Bound, whole: bool) -> _Bound:
    """Move a bound of whole numbers to the next one that it admits."""
    if not whole or isinstance(bound.value, str):
        return bound
    if bound.lower:
        value = math.floor(bound.value) + 1 if bound.open else math.ceil(bound.value)
    else:
        value = math.ceil(bound.value) - 1 if bound.open else math.floor(bound.value)
    return _Bound(value, False, bound.lower, bound.pointer)


def _ends(name: str) -> tuple[_Bound, ...]:
    if name not in _ENDS:
        return ()
    low, high = _ENDS[name]
    return _Bound(low, False, True, ""), _Bound(high, False, False, "")


def _possible(bounds: list[_Bound]) -> bool:
    if len({isinstance(bound.value, str) for bound in bounds}) > 1:
        return True  # a comparison of the wrong type is told elsewhere
    low = max(
        (bound for bound in bounds if bound.lower), key=lambda bound: (bound.value, bound.open), default=None
    )
    high = min(
        (bound for bound in bounds if not bound.lower),
        key=lambda bound: (bound.value, not bound.open),
        default=None,
    )
    if low is None or high is None:
        return True
    return bool(low.value < high.value or (low.value == high.value and not low.open and not high.open))
