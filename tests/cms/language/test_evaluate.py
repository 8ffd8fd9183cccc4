"""Truths: absent, withheld and known facts under every connective."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from cms.language.evaluate import WITHHELD, Truth, compile_rule
from cms.language.explain import explain
from cms.language.nodes import reads
from cms.language.parse import parse

STATES: dict[Truth, Any] = {True: 1, False: 0, None: WITHHELD}
CONJUNCTION: dict[tuple[Truth, Truth], Truth] = {
    (True, True): True,
    (True, False): False,
    (True, None): None,
    (False, True): False,
    (False, False): False,
    (False, None): False,
    (None, True): None,
    (None, False): False,
    (None, None): None,
}


def truth_of(rule: Any, facts: dict[str, Any]) -> Truth:
    node = parse(rule)
    truth = compile_rule(node).evaluate(facts)
    assert explain(node, facts).truth is truth
    return truth


def opposite(truth: Truth) -> Truth:
    return None if truth is None else not truth


@pytest.mark.parametrize(("left", "right"), list(product(STATES, STATES)))
def test_connectives_follow_kleenes_tables(left: Truth, right: Truth) -> None:
    facts = {"a": STATES[left], "b": STATES[right]}
    parts = [{"a": {"$eq": 1}}, {"b": {"$eq": 1}}]
    both = CONJUNCTION[left, right]
    either = opposite(CONJUNCTION[opposite(left), opposite(right)])
    assert truth_of({"$and": parts}, facts) is both
    assert truth_of({"a": {"$eq": 1}, "b": {"$eq": 1}}, facts) is both
    assert truth_of({"$or": parts}, facts) is either
    assert truth_of({"$nor": parts}, facts) is opposite(either)
    assert truth_of({"$not": {"$and": parts}}, facts) is opposite(both)


@pytest.mark.parametrize(
    "test",
    [
        {"$eq": 1},
        {"$ne": 1},
        {"$exists": True},
        {"$exists": False},
        {"$nin": [1]},
        {"$not": {"$eq": 1}},
        {"$gt": 1, "$lt": 0},
        {"$size": 0},
        None,
    ],
)
def test_a_withheld_fact_makes_every_operator_unknown(test: Any) -> None:
    assert truth_of({"orders": test}, {"orders": WITHHELD}) is None
    assert truth_of({"features.orders": test}, {"features.orders": WITHHELD}) is None
    assert truth_of({"features.orders": test}, {"features": WITHHELD}) is None


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ({"$lt": 1}, True),  # null counts as 0
        ({"$gte": 0}, True),
        ({"$gt": 0}, False),
        ({"$ne": 5}, True),
        ({"$nin": [5]}, True),
        ({"$not": {"$eq": 5}}, True),
        ({"$eq": None}, True),
        ({"$exists": False}, True),
        ({"$in": [5]}, False),
        ({"$lt": "z"}, False),
    ],
)
def test_an_absent_fact_is_null(test: Any, expected: bool) -> None:
    assert truth_of({"orders": test}, {}) is expected
    assert truth_of({"orders": test}, {"orders": None}) is expected


@pytest.mark.parametrize(
    ("test", "value", "expected"),
    [
        ({"$gt": 5}, "8", True),
        ({"$gt": 5}, " 0x0A ", True),
        ({"$gt": 5}, "1_0", False),
        ({"$gt": 5}, [8], True),
        ({"$gt": 5}, {"a": 8}, False),
        ({"$gt": 0}, True, True),
        ({"$gt": "10"}, "9", True),
        ({"$eq": 1}, True, False),
        ({"$eq": True}, 1, False),
        ({"$eq": 1}, 1.0, True),
        ({"$in": [1]}, True, False),
        ({"$in": ["a"]}, {"a": 1}, False),
        ("1", 1, True),
        ("1e+21", 1e21, True),
        ("0.000001", 1e-6, True),
        ("1e-7", 1e-7, True),
        (True, [], True),
        ({"$elemMatch": {"$lt": 5}}, [0], False),
        ({"$size": 2}, [1, 2], True),
        ({"$type": "array"}, [], True),
        ({"$regex": "^n"}, None, True),
    ],
)
def test_values_convert_as_in_javascript(test: Any, value: Any, expected: bool) -> None:
    assert truth_of({"x": test}, {"x": value}) is expected


MEMBERS = {"in": True, "out": False, "hidden": None}


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ({"$in": ["in"]}, True),
        ({"$in": ["out"]}, False),
        ({"$in": ["missing"]}, False),
        ({"$in": ["hidden"]}, None),
        ({"$in": ["hidden", "in"]}, True),
        ({"$in": []}, False),
        ({"$nin": ["hidden"]}, None),
        ({"$nin": ["hidden", "in"]}, False),
        ({"$nin": ["out"]}, True),
        ({"$all": ["in", "hidden"]}, None),
        ({"$all": ["out", "hidden"]}, False),
        ({"$all": ["in"]}, True),
        ({"$elemMatch": {"$eq": "in"}}, True),
        ({"$elemMatch": {"$in": ["out", "hidden"]}}, None),
        ({"$not": {"$in": ["hidden"]}}, None),
        ({"$not": {"$in": ["in"]}}, False),
        ({"$size": 1}, None),
        ("in", None),
    ],
)
def test_segments_are_one_fact_each(test: Any, expected: Truth) -> None:
    assert truth_of({"segments": test}, {"segments": MEMBERS}) is expected


def test_withheld_segments_are_all_unknown() -> None:
    assert truth_of({"segments": {"$nin": ["vip"]}}, {"segments": WITHHELD}) is None
    assert truth_of({"segments": {"$in": ["vip"]}}, {"segments": ["vip"]}) is True
    assert truth_of({"segments": {"$in": ["vip"]}}, {}) is False


def test_the_full_name_comes_before_the_dots() -> None:
    rule = {"father.age": {"$eq": 70}}
    assert truth_of(rule, {"father.age": 70, "father": {"age": 1}}) is True
    assert truth_of(rule, {"father": {"age": 70}}) is True
    assert truth_of(rule, {"father": "old"}) is False


def test_deep_facts_exhaust_nothing() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for test in ({"$eq": "a"}, {"$gt": 5}, "a", {"$in": [1]}, {"$regex": "a"}, {"$all": ["a"]}, ["a"]):
        assert truth_of({"x": test}, {"x": deep}) is False


def test_a_rule_names_what_it_reads() -> None:
    rule = {
        "$or": [{"orders": {"$gt": 1}}, {"born.days_ago": {"$lt": 3}}],
        "segments": {"$not": {"$all": ["vip", "new"]}},
        "tags": {"$elemMatch": {"inner": 1}},
    }
    found = reads(parse(rule))
    assert found.facts == {"orders", "born.days_ago", "tags"}
    assert found.segments == {"vip", "new"}
