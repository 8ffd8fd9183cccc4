"""What is no rule is refused with its place, however large or deep it is."""

from __future__ import annotations

from typing import Any

import pytest

from cms.language.nodes import RuleError
from cms.language.parse import parse


def problems(rule: Any) -> list[tuple[str, str]]:
    with pytest.raises(RuleError) as refused:
        parse(rule)
    return [(problem.code, problem.pointer) for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("rule", "code", "pointer"),
    [
        ([], "not_an_object", ""),
        (None, "not_an_object", ""),
        ({"$and": {}}, "operand_type", "/$and"),
        ({"$or": [{"a": 1}, 5]}, "not_an_object", "/$or/1"),
        ({"a": {"$regx": "b"}}, "unknown_operator", "/a/$regx"),
        ({"a": {"$gt": 1, "b": 2}}, "unknown_operator", "/a/b"),
        ({"a": {"$not": {"$foo": 2}}}, "unknown_operator", "/a/$not/$foo"),
        ({"$did": {}}, "operand_type", "/$did/event"),
        ({"$seq": {}}, "empty_sequence", "/$seq/steps"),
        ({"a": {"$did": {}}}, "unknown_operator", "/a/$did"),
        ({"$in": [1]}, "misplaced_operator", "/$in"),
        ({"a": {"$gt": [1]}}, "operand_type", "/a/$gt"),
        ({"a": {"$gt": True}}, "operand_type", "/a/$gt"),
        ({"a": {"$exists": 1}}, "operand_type", "/a/$exists"),
        ({"a": {"$regex": 1}}, "operand_type", "/a/$regex"),
        ({"a": {"$type": "text"}}, "operand_type", "/a/$type"),
        ({"a": {"$elemMatch": "x"}}, "operand_type", "/a/$elemMatch"),
        ({"a": {"$size": "2"}}, "operand_type", "/a/$size"),
        ({"a/b~c": {"$foo": 1}}, "unknown_operator", "/a~1b~0c/$foo"),
        ({"a\0": 1}, "bad_text", "/a\0"),
        ({"a": {"$eq": "b\0"}}, "bad_text", "/a/$eq"),
        ({"a": {"$eq": "\ud800"}}, "bad_text", "/a/$eq"),
        ({1: 2}, "not_json", "/1"),
        ({"a": float("nan")}, "not_json", "/a"),
        ({"a": {"$eq": object()}}, "not_json", "/a/$eq"),
        ({"a": {"$in": list(range(1001))}}, "list_too_long", "/a/$in"),
        ({"a": {"$regex": "x" * 257}}, "pattern_too_long", "/a/$regex"),
    ],
)
def test_a_fault_is_told_with_its_place(rule: Any, code: str, pointer: str) -> None:
    assert (code, pointer) in problems(rule)


def test_every_fault_is_told_at_once() -> None:
    assert len(problems({"a": {"$foo": 1}, "b": {"$bar": 1}, "$or": 5})) == 3
    assert len(problems({f"f{n}": {"$foo": 1} for n in range(90)})) == 50


def nested(levels: int) -> Any:
    rule: Any = {"a": 1}
    for _ in range(levels):
        rule = {"$not": rule}
    return rule


def test_ten_levels_are_read_and_eleven_refused() -> None:
    parse(nested(10))
    assert problems(nested(11)) == [("too_deep", "/$not" * 11)]


def test_two_hundred_nodes_are_the_limit() -> None:
    parse({"$or": [{"a": 1}] * 99})
    assert problems({"$or": [{"a": 1}] * 100})[0][0] == "too_many_nodes"


@pytest.mark.parametrize(
    "wrap", [lambda x: [x], lambda x: {"$not": x}, lambda x: {"$and": [x]}, lambda x: {"a": x}]
)
def test_a_bottomless_rule_exhausts_nothing(wrap: Any) -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = wrap(deep)
    for rule in (
        deep,
        {"a": deep},
        {"a": {"$in": deep}},
        {"a": {"$all": [deep]}},
        {"a": {"$elemMatch": deep}},
    ):
        with pytest.raises(RuleError):
            parse(rule)
