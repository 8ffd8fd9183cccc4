"""Folding: in batches, one by one or in another order, a profile knows the same."""

import datetime as dt
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from personalization.fold import Change, fold

moments = st.integers(0, 2**31).map(lambda second: dt.datetime.fromtimestamp(second, dt.UTC))
orders = st.builds(
    Change,
    orders=st.just(1),
    revenue=st.decimals(-100, 1000, places=4),
    ordered_at=moments,
    categories=st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)),
)
EMPTY: dict[str, Any] = {
    "traits": {}, "identifying": {}, "orders": 0, "revenue": Decimal(0), "first_order_at": None, "last_order_at": None,
    "categories": {},
}  # fmt: skip


@given(st.lists(orders, max_size=12), st.integers(0, 12))
def test_two_batches_are_one(changes: list[Change], cut: int) -> None:
    assert fold(fold(EMPTY, changes[:cut]), changes[cut:]) == fold(EMPTY, changes)


@given(st.lists(orders, max_size=8).flatmap(lambda one: st.tuples(st.just(one), st.permutations(one))))
def test_the_order_of_orders_does_not_matter(both: tuple[list[Change], list[Change]]) -> None:
    assert fold(EMPTY, both[0]) == fold(EMPTY, both[1])


def test_what_was_said_last_counts_and_null_forgets() -> None:
    said = [
        Change(traits={"kids": 1, "tier": "gold"}),
        Change(traits={"kids": 2}),
        Change(traits={"tier": None}),
    ]
    assert fold(EMPTY, said)["traits"] == {"kids": 2}


def test_folding_changes_nothing_in_place() -> None:
    fold(EMPTY, [Change(traits={"kids": 1}, categories={"a": 1}, orders=1)])
    assert EMPTY["traits"] == {}
    assert EMPTY["categories"] == {}
