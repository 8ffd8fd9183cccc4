"""What people did: timelines agree with the definition at every moment, and rules read them."""

import datetime as dt
import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cms.language.behaviour import Happened, compile_behaviour, timeline_at
from cms.language.behaviour.durations import duration, words
from cms.language.behaviour.events import in_order
from cms.language.behaviour.spans import decode, encode
from cms.language.check import check
from cms.language.evaluate import WITHHELD, compile_rule
from cms.language.explain import explain, sentence
from cms.language.nodes import RuleError, to_json
from cms.language.parse import parse
from cms.language.vocabulary import EventName, Vocabulary
from tests.cms.language.definition import holds

MINUTE = 60_000_000
START = 1_790_000_000_000_000
NAMES = ("Viewed", "Added", "Bought")
windows = st.sampled_from([None, "PT5M", "PT30M", "PT1H", "session"])
wheres = st.sampled_from(
    [None, {"properties.c": {"$eq": "a"}}, {"properties.n": {"$gte": 2}}, {"properties.gone": {"$ne": 1}}]
)
tests = st.sampled_from([{"$gte": 1}, {"$gt": 2}, {"$eq": 0}, {"$lte": 1}, {"$eq": 2}, {"$ne": 2}])


@st.composite
def counts(draw: Any) -> dict[str, Any]:
    did: dict[str, Any] = {"event": draw(st.sampled_from([*NAMES, "*"]))}
    for name, strategy in (("within", windows), ("where", wheres)):
        if (value := draw(strategy)) is not None:
            did[name] = value
    aggregate = draw(st.sampled_from(["count", "sum", "min", "max", "distinct", "first", "last"]))
    test = draw(tests)
    did[aggregate] = test if aggregate == "count" else {"of": "properties.n", "$exists": True, **test}
    if draw(st.booleans()):
        did["by"] = "properties.c"
    return {"$did": did}


@st.composite
def sequences(draw: Any) -> dict[str, Any]:
    steps = [{"event": draw(st.sampled_from(NAMES))}]
    for _ in range(draw(st.integers(0, 3))):
        step: dict[str, Any] = {"event": draw(st.sampled_from(NAMES))}
        if (where := draw(wheres)) is not None:
            step["where"] = where
        if draw(st.integers(0, 2)) == 0:
            step["absent"] = True
        steps.append(step)
    seq: dict[str, Any] = {"steps": steps}
    for name in ("gap", "since"):
        if (value := draw(st.sampled_from([None, "PT5M", "PT20M", "PT1H"]))) is not None:
            seq[name] = value
    if draw(st.booleans()):
        seq["by"] = "properties.c"
    return {"$seq": seq}


@st.composite
def histories(draw: Any) -> list[Happened]:
    """Return up to a dozen events in two hours; half minutes, so that edges meet."""
    events = []
    for number in range(draw(st.integers(0, 12))):
        properties = {
            "n": draw(st.sampled_from([0, 1, 2, 2.5, "x"])),
            "c": draw(st.sampled_from(["a", "b", 3])),
        }
        if draw(st.integers(0, 5)) == 0:
            del properties["c"]
        at = START + draw(st.integers(0, 48)) * 5 * MINUTE // 2
        events.append(Happened(draw(st.sampled_from(NAMES)), at, properties, "track", f"{number:02}"))
    return sorted(events, key=in_order)


@settings(max_examples=600, deadline=None)
@given(st.one_of(counts(), sequences()), histories(), st.integers(0, 48))
def test_a_timeline_says_what_the_definition_says_at_every_moment(
    rule: dict[str, Any], events: list[Happened], now: int
) -> None:
    (node,) = parse(rule).parts
    moment = START + now * 5 * MINUTE // 2
    timeline = compile_behaviour(node).timeline(events, moment)
    assert decode(encode(timeline)) == timeline
    for step in range(100):
        later = moment + step * 5 * MINUTE // 4
        span = timeline_at(timeline, later)
        assert (span.truth, span.by) == holds(node, events, later), later
    ends = [span.until for span in timeline]
    assert ends[-1] is None
    assert all(a.truth != b.truth or a.by != b.by for a, b in itertools.pairwise(timeline))


@settings(max_examples=200, deadline=None)
@given(st.one_of(counts(), sequences()))
def test_what_is_printed_is_read_again_and_keeps_its_key(rule: dict[str, Any]) -> None:
    node = parse(rule)
    again = parse(to_json(node))
    assert again == node
    assert [part.key for part in again.parts] == [part.key for part in node.parts]
    assert sentence(node, Vocabulary())


@settings(max_examples=200, deadline=None)
@given(st.one_of(counts(), sequences()), histories(), st.booleans())
def test_explain_agrees_and_the_horizon_is_exact(
    rule: dict[str, Any], events: list[Happened], negated: bool
) -> None:
    node = parse({"$not": rule} if negated else rule)
    program = compile_rule(node)
    moment = START + 60 * MINUTE
    facts: dict[str, Any] = {"$now": dt.datetime.fromtimestamp(moment / 1e6, dt.UTC)}
    for behaviour in program.behaviours:
        facts[behaviour.key] = behaviour.timeline(events, moment)
    assert explain(node, facts).truth == program.evaluate(facts)
    until = program.valid_until(facts)
    if until is not None:
        before = {**facts, "$now": until - dt.timedelta(microseconds=1)}
        assert program.evaluate(before) == program.evaluate(facts)
        if "by" not in str(rule):  # there the value for which it holds may change while the truth stays
            assert program.evaluate({**facts, "$now": until}) != program.evaluate(facts)
    assert program.evaluate({**facts, **dict.fromkeys((b.key for b in program.behaviours), WITHHELD)}) is None


@pytest.mark.parametrize(
    ("rule", "code", "pointer"),
    [
        ({"$did": {"event": "x", "within": "P1M"}}, "operand_type", "/$did/within"),
        ({"$did": {"event": "x", "within": "PT0S"}}, "empty_window", "/$did/within"),
        ({"$did": {"event": "x", "count": {"$gt": 1}, "sum": {"of": "properties.a", "$gt": 1}}}, "operand_type", "/$did/sum"),
        ({"$did": {"event": "x", "sum": {"$gt": 1}}}, "operand_type", "/$did/sum/of"),
        ({"$did": {"event": "x", "since": "PT1H"}}, "unknown_member", "/$did/since"),
        ({"$did": {"event": "x", "by": "category"}}, "operand_type", "/$did/by"),
        ({"$did": []}, "operand_type", "/$did"),
        ({"$seq": {"steps": []}}, "empty_sequence", "/$seq/steps"),
        ({"$seq": {"steps": [{"event": "x", "absent": True}]}}, "absent_first", "/$seq/steps/0"),
        ({"$seq": {"steps": [{"event": "x"}] * 11}}, "too_many_nodes", "/$seq/steps"),
        ({"$seq": {"steps": [{"event": "x"}], "gap": "PT0M"}}, "empty_window", "/$seq/gap"),
        ({"a": {"$did": {}}}, "unknown_operator", "/a/$did"),
    ],
)  # fmt: skip
def test_a_behaviour_nobody_could_answer_is_refused_with_its_place(
    rule: Any, code: str, pointer: str
) -> None:
    with pytest.raises(RuleError) as refused:
        parse(rule)
    assert (code, pointer) in [(problem.code, problem.pointer) for problem in refused.value.problems]


class TestChecks:
    known = Vocabulary(
        behaviour=True, events={"Viewed": EventName("Viewed", properties={"properties.price": "number"})}
    )

    def problems(self, rule: Any, vocabulary: Vocabulary | None = None) -> list[tuple[str, str, str]]:
        found = check(parse(rule), vocabulary or self.known)
        return [(one.code, one.pointer, one.severity) for one in found]

    def test_behaviour_belongs_into_segments(self) -> None:
        assert self.problems({"$did": {"event": "Viewed"}}, Vocabulary()) == [
            ("behaviour_in_display_rule", "/$did", "error")
        ]

    def test_an_event_never_heard_of_is_a_warning_or_an_error(self) -> None:
        rule = {"$did": {"event": "Veiwed"}}
        assert self.problems(rule) == [("unknown_event", "/$did/event", "warning")]
        strict = Vocabulary(behaviour=True, events=self.known.events, strict_events=True)
        assert self.problems(rule, strict) == [("unknown_event", "/$did/event", "error")]

    def test_properties_have_the_types_that_the_catalogue_declares(self) -> None:
        rule = {"$did": {"event": "Viewed", "where": {"properties.price": {"$gt": "dear"}}}}
        assert self.problems(rule) == [("operand_type", "/$did/where/properties.price/$gt", "error")]
        assert (
            self.problems({"$did": {"event": "Viewed", "where": {"price": {"$gt": 1}}}})[0][0]
            == "unknown_fact"
        )

    def test_a_count_is_never_below_nothing(self) -> None:
        assert self.problems({"$did": {"event": "Viewed", "count": {"$lt": 0}}})[0][0] == "impossible"


@pytest.mark.parametrize(
    ("text", "seconds", "said"),
    [
        ("PT30M", 1800, "30 minutes"),
        ("P1DT12H", 129_600, "1 day 12 hours"),
        ("P2W", 1_209_600, "14 days"),
        ("PT1S", 1, "1 second"),
    ],
)
def test_durations(text: str, seconds: int, said: str) -> None:
    assert duration(text) == seconds * 1_000_000
    assert words(seconds * 1_000_000) == said


@pytest.mark.parametrize("text", ["P1Y", "P1M", "P", "PT", "1D", "P1.5D", "-P1D", "", None, 5, "P1DT"])
def test_what_is_no_duration(text: Any) -> None:
    assert duration(text) is None


def test_sums_are_exact() -> None:
    (node,) = parse({"$did": {"event": "Bought", "sum": {"of": "properties.n", "$eq": 0.3}}}).parts
    events = [Happened("Bought", START + n, {"n": 0.1}, "track", str(n)) for n in range(3)]
    assert timeline_at(compile_behaviour(node).timeline(events, START + 9), START + 9).truth
    assert Decimal("0.1") * 3 == Decimal("0.3")


def test_many_events_cost_no_more_than_they_must() -> None:
    """Ten thousand events in a window, of which one leaves after the other."""
    import time

    (node,) = parse(
        {"$did": {"event": "Viewed", "within": "P30D", "distinct": {"of": "properties.n", "$gt": 3}}}
    ).parts
    behaviour = compile_behaviour(node)

    def seconds(count: int) -> float:
        events = [Happened("Viewed", START + n * MINUTE, {"n": n % 7}, "track", str(n)) for n in range(count)]
        started = time.perf_counter()
        behaviour.timeline(events, START + count * MINUTE)
        return time.perf_counter() - started

    small, large = min(seconds(1_000) for _ in range(3)), min(seconds(10_000) for _ in range(3))
    assert large < 40 * small
