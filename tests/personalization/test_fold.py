"""Folding is indifferent to order: batches = one by one = recomputed. And what the features say."""

import random
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cms.language.behaviour.events import Happened
from personalization.fold import (
    MAX_NAMES,
    MAX_SESSIONS,
    SESSION_GAP,
    Features,
    bounded,
    combined,
    computed_facts,
    fold,
    fold_on,
    from_json,
    to_json,
)

START = 1_790_000_000_000_000
MINUTE = 60_000_000
amounts = st.decimals(min_value=-50, max_value=5_000, places=2).map(float)
items = st.fixed_dictionaries(
    {
        "product_id": st.sampled_from(["tent", "stove", "rope"]),
        "category": st.sampled_from(["hiking", "climbing", ""]),
        "quantity": st.integers(0, 3),
    }
)
orders = st.fixed_dictionaries({"revenue": amounts, "products": st.lists(items, max_size=3)})


@st.composite
def events(draw: Any) -> Happened:
    name, kind, properties = draw(
        st.one_of(
            st.tuples(st.just("Order Completed"), st.just("track"), orders),
            st.tuples(st.just("Product Viewed"), st.just("track"), items),
            st.tuples(
                st.just("Page Viewed"),
                st.just("page"),
                st.fixed_dictionaries({"path": st.sampled_from(["/", "/a", "/b"])}),
            ),
        )
    )
    at = START + draw(st.integers(0, 600)) * MINUTE
    return Happened(name, at, properties, kind, str(draw(st.integers(0, 10**9))))


@settings(max_examples=150)
@given(st.lists(events(), max_size=30), st.integers(0, 2**31))
def test_batches_are_one_by_one_are_recomputed(happened: list[Happened], seed: int) -> None:
    at_once = fold(Features(), happened)
    shuffled = random.Random(seed).sample(happened, len(happened))
    one_by_one = Features()
    for event in shuffled:
        one_by_one = fold(one_by_one, [event])
    half = len(shuffled) // 2
    assert fold(fold(Features(), shuffled[half:]), shuffled[:half]) == at_once
    assert one_by_one == at_once


@settings(max_examples=60, deadline=None)
@given(
    st.integers(MAX_SESSIONS + 1, MAX_SESSIONS + 30),
    st.lists(st.integers(0, 2_400), max_size=12),
    st.integers(0, 2**31),
)
def test_so_are_more_visits_than_are_kept_one_by_one(visits: int, late: list[int], seed: int) -> None:
    moments = [START + n * 40 * MINUTE for n in range(visits)] + [START + n * MINUTE for n in late]
    happened = [
        Happened("Page Viewed", at, {"path": f"/{n}"}, "page", str(n)) for n, at in enumerate(moments)
    ]
    at_once = fold(Features(), happened)
    random.Random(seed).shuffle(happened)
    seen: list[Happened] = []
    one_by_one = Features()
    for event in happened:
        seen.append(event)
        one_by_one = fold_on(one_by_one, [event], lambda: seen)
    assert one_by_one == at_once
    half = len(happened) // 2
    first = fold(Features(), happened[:half])
    assert fold_on(first, happened[half:], lambda: happened) == at_once


def test_everything_is_asked_for_only_where_something_came_that_late() -> None:
    def page(minute: int) -> Happened:
        return Happened("Page Viewed", START + minute * MINUTE, {}, "page", str(minute))

    def refuse() -> list[Happened]:
        raise AssertionError

    many = fold(Features(), [page(n * 40) for n in range(MAX_SESSIONS + 10)])
    assert fold_on(many, [page(10 * 40), page(100_000)], refuse).earlier_sessions == 11
    few = fold(Features(), [page(100)])
    assert len(fold_on(few, [page(0)], refuse).sessions) == 2


@settings(max_examples=50)
@given(st.lists(events(), max_size=10))
def test_what_is_kept_can_be_read_again(happened: list[Happened]) -> None:
    features = fold(Features(), happened)
    columns = {
        name: getattr(features, name)
        for name in ("orders", "revenue", "first_order_at", "last_order_at", "categories")
    }
    assert from_json(to_json(features), **columns) == features


def test_the_same_names_stay_whatever_comes_first() -> None:
    names = [f"item-{n}" for n in range(3 * MAX_NAMES)]
    forward: dict[str, int] = {}
    for name in names:
        forward = bounded({**forward, name: forward.get(name, 0) + 1})
    backward: dict[str, int] = {}
    for name in reversed(names):
        backward = bounded({**backward, name: backward.get(name, 0) + 1})
    assert forward == backward == bounded(dict.fromkeys(names, 1))
    assert len(forward) == MAX_NAMES


def test_half_an_hour_ends_a_visit() -> None:
    def page(at: int, path: str) -> Happened:
        return Happened("Page Viewed", at, {"path": path}, "page", str(at))

    visits = [
        page(START, "/"),
        page(START + 10 * MINUTE, "/a"),
        page(START + 10 * MINUTE + SESSION_GAP, "/b"),
        page(START + 10 * MINUTE + 2 * SESSION_GAP + 1, "/c"),
    ]
    facts = computed_facts(fold(Features(), visits))
    assert facts["features.sessions"] == 2
    assert facts["features.session_depth"] == 1
    assert facts["features.session_paths"] == ["/c"]
    earlier = computed_facts(fold(Features(), visits[:3]))
    assert (earlier["features.session_duration"], earlier["features.session_depth"]) == (40 * 60, 3)


def test_sums_are_exact() -> None:
    ten_cents = [Happened("Order Completed", START + n, {"revenue": 0.1}, "track", str(n)) for n in range(3)]
    features = fold(Features(), ten_cents)
    assert features.revenue == Decimal("0.3")
    assert computed_facts(features)["features.average_order"] == 0.1


@settings(max_examples=150)
@given(st.lists(events(), max_size=30), st.lists(events(), max_size=30))
def test_two_who_are_one_are_as_if_they_had_always_been(mine: list[Happened], theirs: list[Happened]) -> None:
    assert combined(fold(Features(), mine), fold(Features(), theirs)) == fold(Features(), [*mine, *theirs])
