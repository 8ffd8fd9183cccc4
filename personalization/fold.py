"""Fold what happened into what is known. PURE, and indifferent to order: batches = one by one = recomputed.

In: the state of a profile and changes. Out: the new state. Order counts and sums add up, first and last are minimum
and maximum, categories are counted; a trait is what was said last by the time of saying it is folded in.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

MAX_CATEGORIES = 50
ORDER = "Order Completed"


@dataclass(frozen=True, slots=True)
class Change:
    """What one event means for a profile; `purposes` are those for which something is kept now."""

    traits: Mapping[str, Any] = field(default_factory=dict)
    identifying: Mapping[str, Any] = field(default_factory=dict)
    orders: int = 0
    revenue: Decimal = Decimal(0)
    ordered_at: dt.datetime | None = None
    categories: Mapping[str, int] = field(default_factory=dict)
    purposes: frozenset[str] = frozenset()


def fold(state: Mapping[str, Any], changes: Iterable[Change]) -> dict[str, Any]:
    """Return the state after the changes; a trait set to None is removed."""
    new = {**state, "traits": dict(state["traits"]), "identifying": dict(state["identifying"])}
    categories = dict(state["categories"])
    for change in changes:
        _set(new["traits"], change.traits)
        _set(new["identifying"], change.identifying)
        new["orders"] += change.orders
        new["revenue"] += change.revenue
        if change.ordered_at is not None:
            new["first_order_at"] = min(new["first_order_at"] or change.ordered_at, change.ordered_at)
            new["last_order_at"] = max(new["last_order_at"] or change.ordered_at, change.ordered_at)
        for name, count in change.categories.items():
            categories[name] = categories.get(name, 0) + count
    kept = sorted(categories, key=lambda name: (-categories[name], name))[:MAX_CATEGORIES]
    new["categories"] = {name: categories[name] for name in sorted(kept)}
    return new


def _set(known: dict[str, Any], said: Mapping[str, Any]) -> None:
    for key, value in said.items():
        if value is None:
            known.pop(key, None)
        else:
            known[key] = value
