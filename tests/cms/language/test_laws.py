"""Laws that hold for every rule and all facts."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cms.language.check import check
from cms.language.deciding import deciding
from cms.language.evaluate import WITHHELD, compile_rule
from cms.language.explain import explain, sentence
from cms.language.nodes import to_json
from cms.language.parse import parse
from cms.language.vocabulary import Fact, SegmentName, Vocabulary

from .strategies import FACTS, JSON_FACTS, KEYS, NAMES, RULES

many = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
VOCABULARY = Vocabulary(
    {"orders": Fact("orders", "number", frozenset({"personalization"})), "born": Fact("born", "date")},
    {"vip": SegmentName("vip", "VIP", frozenset())},
)


def truth_of(rule: Any, facts: dict[str, Any]) -> bool | None:
    return compile_rule(parse(rule)).evaluate(facts)


@settings(many, max_examples=2000)
@given(RULES, FACTS)
def test_evaluating_never_raises_and_explaining_agrees(rule: dict[str, Any], facts: dict[str, Any]) -> None:
    node = parse(rule)
    program = compile_rule(node)
    truth = program.evaluate(facts)
    assert truth is True or truth is False or truth is None
    assert explain(node, facts).truth is truth
    program.valid_until(facts)


@many
@given(RULES, FACTS)
def test_a_double_negation_changes_nothing(rule: dict[str, Any], facts: dict[str, Any]) -> None:
    assert truth_of({"$not": {"$not": rule}}, facts) is truth_of(rule, facts)


@many
@given(
    RULES,
    FACTS,
    st.dictionaries(st.sampled_from(NAMES), JSON_FACTS),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
@example({"segments": {"$nin": ["vip"]}}, {"segments": {"vip": None}}, {}, [True, False, False])
@example(
    {"orders": {"$not": {"$exists": True}}}, {"orders": WITHHELD, "segments": {}}, {"orders": 1}, [True] * 3
)
def test_more_facts_never_change_an_answer_already_known(
    rule: dict[str, Any], facts: dict[str, Any], learned: dict[str, Any], members: list[bool]
) -> None:
    before = truth_of(rule, facts)
    known = {name: learned.get(name) if value is WITHHELD else value for name, value in facts.items()}
    doubts = {
        key: truth
        for key, truth in zip(KEYS, members, strict=True)
        if facts["segments"].get(key, False) is None
    }
    after = truth_of(rule, {**known, "segments": {**facts["segments"], **doubts}})
    assert before is None or after is before


@many
@given(RULES, FACTS)
def test_a_rule_of_withheld_facts_alone_is_decided_without_looking_at_them(
    rule: dict[str, Any], facts: dict[str, Any]
) -> None:
    withheld = {**dict.fromkeys(NAMES, WITHHELD), "segments": dict.fromkeys(KEYS)}
    assert truth_of(rule, withheld) is truth_of(rule, dict(withheld, unrelated=facts))


@many
@given(RULES)
def test_a_rule_survives_being_written_and_read_again(rule: dict[str, Any]) -> None:
    node = parse(rule)
    assert parse(to_json(node)) == node
    assert to_json(node) == rule


@many
@given(RULES)
def test_checking_and_telling_a_rule_never_raise(rule: dict[str, Any]) -> None:
    node = parse(rule)
    assert all(problem.message.endswith((".", "?")) for problem in check(node, VOCABULARY))
    assert sentence(node, VOCABULARY)


@settings(many, max_examples=1000)
@given(RULES, FACTS)
def test_what_decided_suffices_and_the_rest_may_be_withheld(
    rule: dict[str, Any], facts: dict[str, Any]
) -> None:
    node = parse(rule)
    decided = deciding(node, facts)
    kept = {name: value for name, value in facts.items() if name in decided.facts}
    if "born.days_ago" in decided.facts:
        kept["born"] = facts.get("born")
    inside = {key: facts["segments"].get(key, False) for key in decided.segments}
    rest = {**dict.fromkeys(NAMES, WITHHELD), "segments": {**dict.fromkeys(KEYS), **inside}}
    named = {**rest, **dict.fromkeys(decided.facts), **kept}
    truth = truth_of(rule, facts)
    assert truth is None or truth_of(rule, named) is truth
    assert not any(facts.get(name) is WITHHELD for name in decided.facts)
