"""Kleene's three-valued logic (S. C. Kleene, Introduction to Metamathematics, §64): true, false, unknown (``None``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Truth: TypeAlias = bool | None


def negate(truth: Truth) -> Truth:
    """Return the opposite; unknown stays unknown."""
    return None if truth is None else not truth


def every(truths: Iterable[Truth]) -> Truth:
    """Return the conjunction: one false decides, else one unknown does; of nothing it is true."""
    answer: Truth = True
    for truth in truths:
        if truth is False:
            return False
        if truth is None:
            answer = None
    return answer


def some(truths: Iterable[Truth]) -> Truth:
    """Return the disjunction: one true decides, else one unknown does; of nothing it is false."""
    return negate(every(negate(truth) for truth in truths))
