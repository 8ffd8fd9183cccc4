"""What is well formed and still wrong is told before it is published."""

from __future__ import annotations

from typing import Any

import pytest

from cms.language.check import check
from cms.language.explain import explain, sentence
from cms.language.parse import parse
from cms.language.vocabulary import CONTEXT, Fact, SegmentName, Vocabulary

PERSONAL = frozenset({"personalization"})
VOCABULARY = Vocabulary(
    facts={
        fact.name: fact
        for fact in (
            Fact("orders", "number", PERSONAL, title="number of orders"),
            Fact("city", "text", PERSONAL),
            Fact("member", "boolean", PERSONAL),
            Fact("born", "date", PERSONAL, title="birthday"),
            Fact("tags", "list", PERSONAL),
            Fact("tier", "text", PERSONAL, options=("gold", "silver")),
            Fact("email", "text", PERSONAL, identifying=True),
            Fact("features.last_order_at", "date", PERSONAL),
        )
    },
    segments={
        "vip": SegmentName("vip", "VIP", PERSONAL),
        "hikers": SegmentName("hikers", "Hikers", PERSONAL),
    },
)


def found(rule: Any) -> list[tuple[str, str]]:
    return [(problem.code, problem.pointer) for problem in check(parse(rule), VOCABULARY)]


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"orders": {"$exists": True, "$gte": 5}},
        {"orders": {"$exists": True, "$not": {"$gte": 5}}},
        {"orders": {"$in": [1, 2]}},
        {"born": {"$exists": True, "$lt": "2000-01-01T00:00:00Z"}},
        {"features.last_order_at.days_ago": {"$exists": True, "$gt": 2}},
        {"member": {"$eq": True}},
        {"tags": {"$all": ["a"], "$size": {"$gt": 2}, "$elemMatch": {"$eq": "b"}}},
        {"tier": {"$in": ["gold", "silver"]}},
        {"context.hour": {"$gte": 22}},
        {"context.time": {"$gte": "08:00", "$lt": "12:00"}},
        {"segments": {"$not": {"$all": ["vip", "hikers"]}}},
        {"segments": {"$elemMatch": {"$in": ["vip"]}}},
        {"$or": [{"context.hour": {"$gte": 22}}, {"context.hour": {"$lt": 2}}]},
    ],
)
def test_a_sound_rule_has_no_problem(rule: Any) -> None:
    assert found(rule) == []


@pytest.mark.parametrize(
    ("rule", "code", "pointer"),
    [
        ({"order": {"$eq": 1}}, "unknown_fact", "/order"),
        ({"orders.days_ago": {"$eq": 1}}, "unknown_fact", "/orders.days_ago"),
        ({"$xor": [1]}, "unknown_operator", "/$xor"),
        ({"email": {"$eq": "a@b.c"}}, "identifying_fact", "/email"),
        ({"orders": {"$eq": "5"}}, "operand_type", "/orders/$eq"),
        ({"orders": {"$eq": True}}, "operand_type", "/orders/$eq"),
        ({"orders": {"$eq": None}}, "operand_type", "/orders/$eq"),
        ({"orders": {"$exists": True, "$gt": "5"}}, "operand_type", "/orders/$gt"),
        ({"orders": {"$in": [1, "2"]}}, "operand_type", "/orders/$in/1"),
        ({"orders": {"$nin": 1}}, "operand_type", "/orders/$nin"),
        ({"orders": {"$regex": "5"}}, "operator_type", "/orders/$regex"),
        ({"orders": {"$inGroup": "x"}}, "operator_type", "/orders/$inGroup"),
        ({"city": {"$exists": True, "$gt": 5}}, "operand_type", "/city/$gt"),
        ({"city": {"$all": ["a"]}}, "operator_type", "/city/$all"),
        ({"city": {"a": 1}}, "operand_type", "/city"),
        ({"city": ["a"]}, "operand_type", "/city"),
        ({"member": {"$eq": "yes"}}, "operand_type", "/member/$eq"),
        ({"member": {"$gt": 1}}, "operator_type", "/member/$gt"),
        ({"born": {"$eq": "2000-01-01"}}, "operand_type", "/born/$eq"),
        ({"tags": {"$eq": "a"}}, "operator_type", "/tags/$eq"),
        ({"tags": {"$elemMatch": {"name": {"$eq": 1}}}}, "operand_type", "/tags/$elemMatch"),
        ({"tags": {"$size": {"$eq": "a"}}}, "operand_type", "/tags/$size/$eq"),
        ({"city": {"$regex": "a(?=b)"}}, "invalid_regex", "/city/$regex"),
        ({"city": {"$regex": "["}}, "invalid_regex", "/city/$regex"),
        ({"context.device": {"$eq": "mobil"}}, "unknown_option", "/context.device/$eq"),
        ({"tier": {"$in": ["gold", "sliver"]}}, "unknown_option", "/tier/$in/1"),
        ({"context.time": {"$gte": "8:00"}}, "operand_type", "/context.time/$gte"),
        ({"context.hour": {"$gte": 22, "$lt": 2}}, "impossible_range", "/context.hour/$lt"),
        ({"context.hour": {"$gte": 24}}, "impossible_range", "/context.hour/$gte"),
        ({"context.weekday": {"$eq": 0}}, "impossible_range", "/context.weekday/$eq"),
        ({"context.weekday": {"$gt": 5, "$lt": 6}}, "impossible_range", "/context.weekday/$lt"),
        ({"context.time": {"$gte": "22:00", "$lt": "02:00"}}, "impossible_range", "/context.time/$lt"),
        ({"orders": {"$exists": True, "$gt": 5, "$lt": 5}}, "impossible_range", "/orders/$lt"),
        (
            {"$and": [{"context.hour": {"$gte": 22}}, {"context.hour": {"$lt": 2}}]},
            "impossible_range",
            "/$and/1/context.hour/$lt",
        ),
        ({"$or": [{"context.hour": {"$gt": 3, "$lt": 3}}]}, "impossible_range", "/$or/0/context.hour/$lt"),
        ({"segments": {"$in": ["vpi"]}}, "unknown_segment", "/segments/$in/0"),
        ({"segments": {"$not": {"$in": ["vip", "x"]}}}, "unknown_segment", "/segments/$not/$in/1"),
        ({"segments": {"$all": ["x"]}}, "unknown_segment", "/segments/$all/0"),
        ({"segments": {"$elemMatch": {"$eq": "x"}}}, "unknown_segment", "/segments/$elemMatch/$eq"),
        ({"segments": {"$elemMatch": {"$ne": "vip"}}}, "operand_type", "/segments/$elemMatch"),
        ({"segments": {"$size": 1}}, "operator_type", "/segments/$size"),
        ({"segments": {"$in": [1]}}, "operand_type", "/segments/$in"),
        ({"segments": "vip"}, "operator_type", "/segments"),
        ({"segments": {"$exists": True}}, "operator_type", "/segments/$exists"),
    ],
)
def test_an_error_is_told_with_its_place(rule: Any, code: str, pointer: str) -> None:
    errors = [item for item in check(parse(rule), VOCABULARY) if item.severity == "error"]
    assert (code, pointer) in [(item.code, item.pointer) for item in errors]


@pytest.mark.parametrize(
    ("rule", "pointer"),
    [
        ({"orders": {"$gte": 5}}, "/orders/$gte"),
        ({"orders": {"$not": {"$gte": 5}}}, "/orders/$not/$gte"),
        ({"born.days_ago": {"$lt": 5}}, "/born.days_ago/$lt"),
        ({"orders": 5}, "/orders"),
        ({"city": {"$regex": "a"}}, "/city/$regex"),
        ({"city": {"$vgt": "1.0.0"}}, "/city/$vgt"),
    ],
)
def test_what_other_engines_may_see_otherwise_is_a_warning(rule: Any, pointer: str) -> None:
    problem, *others = check(parse(rule), VOCABULARY)
    assert (problem.code, problem.severity, problem.pointer) == (
        "outside_authoring_profile",
        "warning",
        pointer,
    )
    assert others == []


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"order": {"$eq": 1}}, "Did you mean 'orders'?"),
        ({"contxt.device": {"$eq": "x"}}, "Did you mean 'context.device'?"),
        ({"segment": {"$in": ["vip"]}}, "Did you mean 'segments'?"),
        ({"context.device": {"$eq": "mobil"}}, "Did you mean 'mobile'?"),
        ({"segments": {"$in": ["vipp"]}}, "Did you mean 'vip'?"),
    ],
)
def test_a_misspelled_name_gets_a_suggestion(rule: Any, words: str) -> None:
    assert words in check(parse(rule), VOCABULARY)[0].message


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({}, "Always"),
        (
            {
                "orders": {"$exists": True, "$gte": 5},
                "$or": [{"context.country": {"$eq": "DE"}}, {"context.device": {"$eq": "mobile"}}],
            },
            "Number of orders is at least 5 and (country is DE or device is mobile)",
        ),
        ({"segments": {"$in": ["vip", "hikers"]}}, "Visitor is in VIP or Hikers"),
        ({"segments": {"$nin": ["vip"]}}, "Visitor is not in VIP"),
        ({"context.weekday": {"$in": [6, 7]}}, "Weekday is one of Saturday or Sunday"),
        (
            {"context.time": {"$gte": "08:00", "$lt": "12:00"}},
            "Time of day is from 08:00 until 12:00",
        ),
        ({"$not": {"city": {"$exists": True}}}, "Not (city is known)"),
        ({"born.days_ago": {"$exists": True, "$lt": 7}}, "Days since birthday is less than 7"),
    ],
)
def test_a_rule_is_one_sentence(rule: Any, words: str) -> None:
    assert sentence(parse(rule), VOCABULARY) == words


def test_an_explanation_shows_every_part_with_its_place() -> None:
    rule = {"orders": {"$exists": True, "$gte": 5}, "$or": [{"city": {"$eq": "Bonn"}}]}
    told = explain(parse(rule), {"orders": 3}, vocabulary=VOCABULARY).to_json()
    assert told["truth"] is False
    orders, either = told["children"]
    assert [(child["pointer"], child["truth"]) for child in orders["children"]] == [
        ("/orders/$exists", True),
        ("/orders/$gte", False),
    ]
    assert either["children"][0] == {
        "truth": False,
        "pointer": "/$or/0/city",
        "text": "city is Bonn",
        "children": [],
    }


def test_a_vocabulary_knows_context_ages_and_its_own() -> None:
    age = VOCABULARY.find("born.days_ago")
    assert age is not None
    assert (age.type, age.purposes) == ("number", PERSONAL)
    assert VOCABULARY.find("orders.days_ago") is None
    assert VOCABULARY.find("context.device") is CONTEXT["context.device"]
    other = Vocabulary({"orders": Fact("orders", "text")}, attributes={"discount": {"en": "5 %"}})
    merged = VOCABULARY.merged(other)
    assert merged.facts["orders"].type == "text"
    assert set(merged.segments) == {"vip", "hikers"}
    assert merged.attributes == other.attributes
