"""Assignment: the grammar's own cases, shares that match their weights, and experiments that do not know each other."""

import json
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalization.experiments import (
    Namespace,
    Range,
    bucket_of,
    bucket_ranges,
    choose_arm,
    equal_weights,
    in_namespace,
)

CASES: dict[str, list[Any]] = json.loads(
    (Path(__file__).parents[1] / "cases" / "growthbook-cases.json").read_text()
)
PEOPLE = [str(uuid.UUID(int=n)) for n in range(20_000)]


@pytest.mark.parametrize("case", CASES["hash"], ids=str)
def test_a_hash_is_that_of_the_javascript_sdk(case: list[Any]) -> None:
    seed, value, version, expected = case
    assert bucket_of(seed, value, version) == expected


def test_a_hash_counts_the_units_that_javascript_counts() -> None:
    assert bucket_of("s", "😀", 1) == bucket_of("s", "\ud83d\ude00", 1)


@pytest.mark.parametrize("case", CASES["getBucketRange"], ids=lambda case: case[0])
def test_ranges_are_those_of_the_javascript_sdk(case: list[Any]) -> None:
    _, (arms, coverage, weights), expected = case
    found = [list(one) for one in bucket_ranges(arms, coverage, weights)]
    assert [pytest.approx(one) for one in expected] == found


@pytest.mark.parametrize("case", CASES["chooseVariation"], ids=lambda case: case[0])
def test_an_arm_is_that_of_the_javascript_sdk(case: list[Any]) -> None:
    _, point, ranges, expected = case
    chosen = choose_arm(point, [Range(*one) for one in ranges])
    assert (-1 if chosen is None else chosen) == expected


@pytest.mark.parametrize("case", CASES["inNamespace"], ids=lambda case: case[0])
def test_a_namespace_is_that_of_the_javascript_sdk(case: list[Any]) -> None:
    _, value, namespace, expected = case
    assert in_namespace(value, Namespace(*namespace)) is expected


@pytest.mark.parametrize("case", CASES["getEqualWeights"], ids=str)
def test_equal_weights_are_those_of_the_javascript_sdk(case: list[Any]) -> None:
    arms, expected = case
    assert equal_weights(arms) == pytest.approx(expected, abs=1e-6)


def test_every_group_of_the_case_file_is_tried() -> None:
    groups = {name for name, cases in CASES.items() if isinstance(cases, list)}
    assert groups == {
        "evalCondition", "hash", "getBucketRange", "chooseVariation", "inNamespace", "getEqualWeights",
    }  # fmt: skip


def test_shares_are_the_weights() -> None:
    weights = [0.2, 0.3, 0.5]
    ranges = bucket_ranges(3, 1.0, weights)
    arms = Counter(choose_arm(bucket_of("offer", one) or 0.0, ranges) for one in PEOPLE)
    for index, weight in enumerate(weights):
        expected = len(PEOPLE) * weight
        sigma = (expected * (1 - weight)) ** 0.5
        assert abs(arms[index] - expected) < 4 * sigma


def test_two_experiments_do_not_know_each_other() -> None:
    ranges = bucket_ranges(2)
    pairs = Counter(
        (choose_arm(bucket_of("one", p) or 0.0, ranges), choose_arm(bucket_of("two", p) or 0.0, ranges))
        for p in PEOPLE
    )
    expected = len(PEOPLE) / 4
    chi_squared = sum((count - expected) ** 2 / expected for count in pairs.values())
    assert len(pairs) == 4
    assert chi_squared < 16.3  # three degrees of freedom, p = 0.001


@given(st.text(max_size=20), st.text(max_size=40), st.floats(0, 1), st.integers(1, 6))
def test_who_takes_part_stays_in_their_arm_when_more_take_part(
    seed: str, value: str, coverage: float, arms: int
) -> None:
    point = bucket_of(seed, value)
    assert point is not None
    assert 0 <= point < 1
    chosen = choose_arm(point, bucket_ranges(arms, coverage))
    assert chosen is None or chosen == choose_arm(point, bucket_ranges(arms))
