"""One answer: compiled Python = explain = SQL, for random rules over random people and what they did."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cms.language.behaviour import Happened
from cms.language.behaviour.events import in_order
from cms.language.evaluate import WITHHELD
from cms.language.explain import explain
from cms.language.vocabulary import CONTEXT
from consent.gates import Gates
from consent.models import ConsentState, Subject
from personalization.directory import Directory, compile_directory, holds
from personalization.fold import Features, fold
from personalization.models import Event, Profile
from personalization.profiles import facts_of, set_features
from personalization.segments import passes
from personalization.segments.sets import answers, in_sql
from personalization.timelines import timelines_of
from tests.builders import the_site
from tests.cms.language.test_behaviour import counts, sequences

NOW = dt.datetime(2026, 11, 22, 8, 0, tzinfo=dt.UTC)
MOMENT = int(NOW.timestamp()) * 1_000_000
STEP = 150_000_000  # two and a half minutes: windows and events meet at their edges
PURPOSES = ("personalization", "marketing")
TRAITS = {
    "n": ("number", "personalization"),
    "m": ("number", "marketing"),
    "t": ("text", "personalization"),
    "b": ("boolean", "marketing"),
    "d": ("date", "personalization"),
    "l": ("list", "personalization"),
}
dates = st.sampled_from(
    ["2026-11-20T08:00:00Z", "2026-11-21T08:00:00Z", "2026-11-21T08:00:01Z", "2020-01-01T00:00:00Z"]
)
numbers = st.sampled_from([-1, 0, 1, 2, 2.5, 7])
texts = st.sampled_from(["", "a", "b", "Z", "ä"])
orders = st.sampled_from(["$lt", "$lte", "$gt", "$gte"])


def known(test: Any) -> Any:
    """Write `$exists: true` beside, as the builder does."""
    return test.map(lambda one: {"$exists": True, **one})


def asks(values: Any) -> Any:
    listed = st.lists(values, min_size=1, max_size=3)
    return st.one_of(
        known(st.tuples(orders, values).map(lambda pair: {pair[0]: pair[1]})),
        st.tuples(st.sampled_from(["$eq", "$ne"]), values).map(lambda pair: {pair[0]: pair[1]}),
        st.tuples(st.sampled_from(["$in", "$nin"]), listed).map(lambda pair: {pair[0]: pair[1]}),
        st.booleans().map(lambda yes: {"$exists": yes}),
        values.map(lambda one: {"$not": {"$eq": one}}),
    )


elements = st.sampled_from(["x", "y", 1])
lists = st.one_of(
    st.lists(elements, min_size=1, max_size=2).map(lambda items: {"$all": items}),
    st.lists(elements, min_size=1, max_size=2).map(lambda items: {"$in": items}),
    st.lists(elements, min_size=1, max_size=2).map(lambda items: {"$nin": items}),
    st.integers(0, 3).map(lambda n: {"$size": n}),
    st.integers(0, 3).map(lambda n: {"$size": {"$gte": n}}),
)
facts = st.one_of(
    st.tuples(
        st.sampled_from(["n", "m", "features.orders", "features.revenue", "features.sessions"]), asks(numbers)
    ),
    st.tuples(st.sampled_from(["d.days_ago", "features.last_order_at.days_ago"]), asks(numbers)),
    st.tuples(st.sampled_from(["t", "features.favourite_category"]), asks(texts)),
    st.tuples(
        st.just("b"), asks(st.booleans()).filter(lambda test: not set(test) & {"$lt", "$lte", "$gt", "$gte"})
    ),
    st.tuples(st.sampled_from(["d", "features.last_order_at"]), asks(dates)),
    st.tuples(st.just("l"), lists),
    st.tuples(st.just("context.device"), st.just({"$eq": "mobile"})),
).map(lambda pair: {pair[0]: pair[1]})
leaves = st.one_of(facts, facts, counts(), sequences())
rules = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["$and", "$or", "$nor"]), st.lists(inner, min_size=1, max_size=3)).map(lambda p: {p[0]: p[1]}),
        inner.map(lambda one: {"$not": one}),
        st.tuples(facts, inner).map(lambda pair: {**pair[0], **pair[1]}),
    ),
    max_leaves=5,
)  # fmt: skip


@st.composite
def people(draw: Any) -> dict[str, Any]:
    values = {
        "n": numbers, "m": numbers, "t": texts, "b": st.booleans(), "d": dates,
        "l": st.lists(elements, max_size=3),
    }  # fmt: skip
    traits = {key: draw(one) for key, one in values.items() if draw(st.integers(0, 3))}
    granted = draw(st.sampled_from([PURPOSES, PURPOSES, PURPOSES[:1], PURPOSES[1:], ()]))
    events = [draw(_event(number)) for number in range(draw(st.integers(0, 8)))]
    return {"traits": traits, "granted": granted, "events": events}


@st.composite
def _event(draw: Any, number: int) -> Happened:
    name = draw(st.sampled_from(["Viewed", "Added", "Bought", "Order Completed"]))
    properties: dict[str, Any] = {
        "n": draw(st.sampled_from([0, 1, 2, 2.5, "x"])),
        "c": draw(st.sampled_from(["a", "b", 3])),
    }
    if name == "Order Completed":
        properties = {"revenue": draw(numbers), "products": [{"product_id": "p", "category": draw(texts)}]}
    if draw(st.integers(0, 5)) == 0:
        properties.pop("c", None)
    return Happened(name, MOMENT - draw(st.integers(0, 48)) * STEP, properties, "track", f"{number:02}")


def directory_for(written: list[Any], *, nested: bool) -> Directory:
    """Compile a directory of these rules, the last of them also by way of another segment."""
    stored = [_segment(f"s{number}", [rule]) for number, rule in enumerate(written)]
    if nested and len(written) > 1:
        stored.append(_segment("outer", [{"segments": {"$in": ["s0"]}}, {"segments": {"$nin": ["s1"]}}]))
        stored.append({**_segment("tier", [{"n": {"$exists": True}}]), "before": ["s0"]})
    features = [
        {"name": f"features.{name}", "type": kind, "purposes": ["personalization"]}
        for name, kind in (
            ("orders", "number"), ("revenue", "number"), ("sessions", "number"), ("last_order_at", "date"),
            ("favourite_category", "text"),
        )
    ]  # fmt: skip
    traits = [{"name": key, "type": kind, "purposes": [purpose]} for key, (kind, purpose) in TRAITS.items()]
    program = {"facts": features + traits, "segments": stored, "attributes": {}, "bestsellers": {}}
    return compile_directory(program, version=1)


def _segment(key: str, written: list[Any]) -> dict[str, Any]:
    return {
        "key": key, "title": key, "kind": "rule", "purposes": list(PURPOSES), "rules": written, "attributes": {},
        "open": True, "min_size": 0, "size": None,
    }  # fmt: skip


def store(somebody: dict[str, Any]) -> Profile:
    """Put somebody with everything they did into the tables."""
    subject = Subject.objects.create(created_at=NOW)
    state = dict.fromkeys(somebody["granted"], "granted")
    ConsentState.objects.create(subject=subject, state=state, updated_at=NOW)
    profile = Profile(
        subject_key=subject.pk,
        site=the_site(),
        traits=somebody["traits"],
        first_seen_at=NOW,
        last_seen_at=NOW,
    )
    set_features(profile, fold(Features(), somebody["events"]))
    profile.save()
    Event.objects.bulk_create(
        Event(
            site=the_site(),
            key_prefix="k",
            message_id=one.id,
            subject_key=subject.pk,
            kind=one.kind,
            name=one.name,
            properties=one.properties,
            happened_at=dt.datetime.fromtimestamp(one.at // 1_000_000, dt.UTC),
            received_at=NOW,
            purposes=["personalization"],
        )
        for one in somebody["events"]
    )
    profile.refresh_from_db()
    return profile


def in_python(directory: Directory, profile: Profile, somebody: dict[str, Any]) -> dict[str, bool | None]:
    """Decide every segment as the worker does: a purpose that is not granted withholds the segment."""
    gates = Gates(frozenset(somebody["granted"]))
    history = sorted(somebody["events"], key=in_order)
    spelled = timelines_of(directory.behaviours, history, moment=MOMENT)
    from cms.language.behaviour.spans import decode

    known_facts: dict[str, Any] = {
        **dict.fromkeys(CONTEXT, WITHHELD),
        **facts_of(profile),
        **{key: decode(one) for key, one in spelled.items()},
        "$now": NOW,
    }
    inside: dict[str, bool | None] = {}
    known_facts["segments"] = inside
    for segment in directory.stored:
        open_ = segment.purposes <= gates.granted
        inside[segment.key] = holds(segment, known_facts, was_in=False) if open_ else None
        for rule in segment.rules if open_ else ():
            assert explain(rule.node, known_facts).truth == rule.evaluate(known_facts)
    return inside


@pytest.mark.django_db
@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(st.lists(rules, min_size=1, max_size=8), st.lists(people(), min_size=1, max_size=6))
def test_python_and_explain_and_sql_give_one_answer(written: list[Any], crowd: list[dict[str, Any]]) -> None:
    directory = directory_for(written, nested=True)
    stored = [store(somebody) for somebody in crowd]
    found = answers(the_site(), directory, directory.stored, [one.pk for one in stored], now=NOW)
    for profile, somebody in zip(stored, crowd, strict=True):
        expected = in_python(directory, profile, somebody)
        assert found[uuid.UUID(str(profile.pk))] == expected, (written, somebody)


@pytest.mark.django_db
def test_many_long_sequences_fit_into_one_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    def sequence(number: int) -> dict[str, Any]:
        names = ["Viewed", "Added"] * 5
        steps: list[dict[str, Any]] = [
            {"event": name, "where": {"properties.n": {"$gte": -number}}} for name in names[:5]
        ]
        never = {"event": "Bought", "where": {"properties.n": {"$gte": number}}, "absent": True}
        apart = [one for step in steps for one in (step, never)][:-1]
        return {"$seq": {"steps": apart, "gap": "PT1H" if number % 2 else "PT2M", "since": "P2D"}}

    events = [
        Happened(
            ["Viewed", "Added"][k % 2],
            MOMENT - (20 - k) * STEP,
            {"n": k % 3},
            "track",
            f"{k:02}",
        )
        for k in range(20)
    ]
    somebody = {"traits": {}, "granted": PURPOSES, "events": events}
    directory = directory_for([sequence(number) for number in range(60)], nested=False)
    profile = store(somebody)
    found = answers(the_site(), directory, directory.stored, [profile.pk], now=NOW)
    expected = in_python(directory, profile, somebody)
    assert found[profile.pk] == expected
    assert len(set(expected.values())) > 1
    monkeypatch.setattr(passes, "MOST", 10_000)  # all in one: more columns than a query can have
    with pytest.raises(DatabaseError, match="target lists can have"), transaction.atomic():
        answers(the_site(), directory, directory.stored, [profile.pk], now=NOW)


@pytest.mark.django_db
def test_what_sql_cannot_say_is_left_to_python_and_the_others_are_decided() -> None:
    said = {"event": "Viewed", "where": {"properties.c": {"$regex": "^a"}}}
    bare = {"event": "Viewed", "where": {"properties.c": "a"}}
    written = [
        {"$did": said}, {"$did": bare}, {"$did": {**said, "by": "properties.c"}}, {"$seq": {"steps": [said, bare]}},
        {"$did": {**bare, "within": "session"}}, {"$did": {"event": "Viewed"}},
    ]  # fmt: skip
    statement, done = in_sql(the_site(), directory_for(written, nested=False))
    assert [segment.key for segment in done] == ["s5"]
    assert statement.source().count("LEFT JOIN (SELECT") == 1
