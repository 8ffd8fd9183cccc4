"""The fact ``segments``: one fact per segment, joined by Kleene's tables.

Goes in: a test of ``segments`` and a mapping key → true, false or ``None`` (unknown); a key that is not there is
false. Comes out: a truth. Rule: an operator that has no meaning on memberships gives unknown, never a match;
``check`` refuses it before it is published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from cms.language.kleene import Truth, every, negate, some
from cms.language.nodes import SEGMENTS, Choices, Comparison, Constant, Frozen, Operand, Operators
from cms.language.operators import WITHHELD

Members: TypeAlias = Mapping[str, Any]
Membership: TypeAlias = Callable[[Members], Truth]
OPERATORS: Final = frozenset({"$in", "$nin", "$all", "$elemMatch", "$not"})


class _AllUnknown(dict[str, Any]):
    """Memberships of which none is known."""

    def get(self, key: str, default: Any = None) -> None:
        return None


_UNKNOWN: Final = _AllUnknown()


def members(facts: Mapping[str, Any]) -> Members:
    """Return the memberships among the facts; a plain list names those that hold."""
    found = facts.get(SEGMENTS)
    if type(found) is dict or isinstance(found, Mapping):  # the first of these is much quicker to ask
        return found
    if isinstance(found, list):
        return {key: True for key in found if isinstance(key, str)}
    return _UNKNOWN if found is WITHHELD else {}


def belongs(known: Members, key: Frozen) -> Truth:
    """Say whether one membership holds."""
    value = known.get(key, False) if isinstance(key, str) else False
    return None if value is None or value is WITHHELD else value is True


def compile_membership(test: Operand) -> Membership:
    """Build the function from memberships to the truth of a test of ``segments``."""
    if not isinstance(test, Operators):
        return _unknown
    parts = tuple(_compile_comparison(comparison) for comparison in test.tests)
    if len(parts) == 1:
        return parts[0]
    return lambda known: every(part(known) for part in parts)


def _compile_comparison(comparison: Comparison) -> Membership:
    operator, operand = comparison.operator, comparison.operand
    if operator == "$not":
        inner = compile_membership(operand)
        return lambda known: negate(inner(known))
    if operator == "$elemMatch":
        return _any_of(_wanted(operand))
    return _listed(operator, _keys(operand))


def _listed(operator: str, keys: tuple[Frozen, ...] | None) -> Membership:
    if keys is None or operator not in ("$in", "$nin", "$all"):
        return _unknown
    if operator == "$all":
        return lambda known: every(belongs(known, key) for key in keys)
    inside = _any_of(keys)
    return inside if operator == "$in" else lambda known: negate(inside(known))


def _any_of(keys: tuple[Frozen, ...] | None) -> Membership:
    if keys is None:
        return _unknown
    if len(keys) == 1:
        return lambda known: belongs(known, keys[0])
    return lambda known: some(belongs(known, key) for key in keys)


def _keys(operand: Operand) -> tuple[Frozen, ...] | None:
    match operand:
        case Constant(tuple() as keys):
            return keys
        case Choices(items):
            constants = tuple(item.value for item in items if isinstance(item, Constant))
            return constants if len(constants) == len(items) else None
    return None


def _wanted(operand: Operand) -> tuple[Frozen, ...] | None:
    """Return the keys of ``$elemMatch`` with ``$eq`` or ``$in``, else ``None``."""
    match operand:
        case Operators((Comparison("$eq", Constant(value)),)):
            return (value,)
        case Operators((Comparison("$in", Constant(tuple() as keys)),)):
            return keys
    return None


def _unknown(known: Members) -> Truth:
    return None
