"""The grammar's own cases: what a rule of the GrowthBook SDKs means, here too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cms.language.evaluate import compile_rule
from cms.language.explain import explain
from cms.language.parse import parse

CASES = json.loads((Path(__file__).parents[2] / "cases" / "growthbook-cases.json").read_text())[
    "evalCondition"
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_a_rule_means_what_the_javascript_sdk_says(case: list[Any]) -> None:
    _, rule, facts, expected, *rest = case
    groups = rest[0] if rest else {}
    node = parse(rule)
    assert compile_rule(node, groups).evaluate(facts) is expected
    assert explain(node, facts, groups).truth is expected


def test_the_case_file_is_whole() -> None:
    assert len(CASES) == 124
