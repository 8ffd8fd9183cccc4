"""Whom a rule would reach before it is saved: the same people that are in it afterwards, told so that nobody stands out."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.db import OperationalError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent.models import ConsentState
from personalization.models import Membership, Profile, Segment, Trait
from personalization.segments import reach
from personalization.segments.reach import _counted, _in_python, _in_sql, _some, drafted, overlap_of, reach_of
from personalization.segments.refresh import refresh
from tests.builders import build_directory, make_segment, make_trait, the_site
from tests.personalization.test_one_answer import NOW, TRAITS, people, rules, store

pytestmark = pytest.mark.django_db
USUAL = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


def make_people(count: int, *, granted: bool = True, **traits: Any) -> list[Profile]:
    """Make people with these traits; a callable is asked for each number."""
    return [
        store(
            {
                "traits": {k: v(n) if callable(v) else v for k, v in traits.items()},
                "granted": ("personalization",) if granted else (),
                "events": [],
            }
        )
        for n in range(count)
    ]


def draft(rule: dict[str, Any], **values: Any) -> Segment:
    return Segment(site=the_site(), rule=rule, **values)


@pytest.fixture
def number() -> None:
    make_trait("n", "number")
    build_directory()


def at_least(value: int) -> dict[str, Any]:
    return {"n": {"$exists": True, "$gte": value}}


def ids() -> dict[str, int]:
    return dict(Segment.objects.values_list("key", "pk"))


# -- the same people --------------------------------------------------------------------------------


@USUAL
@given(st.lists(rules, min_size=1, max_size=2), st.lists(people(), min_size=1, max_size=6))
def test_a_draft_reaches_exactly_those_who_are_in_it_once_it_is_saved(
    written: list[Any], crowd: list[dict[str, Any]]
) -> None:
    Segment.objects.update(parent=None)
    for model in (Segment, Profile):
        model.objects.all().delete()
    for key, (kind, purpose) in TRAITS.items():
        Trait.objects.get_or_create(site=the_site(), key=key, defaults={"type": kind, "purpose": purpose})
    for somebody in crowd:
        store(somebody)
    parent = make_segment("parent", written[-1])
    build_directory()
    refresh(the_site(), now=NOW)
    asked = draft(written[0], parent=parent if len(written) > 1 else None)
    directory = drafted(asked)
    if not directory.segments[reach.DRAFT].purposes:
        return  # decided by context alone: nobody is counted, before or after
    in_sql = _in_sql(the_site(), directory, ids(), NOW)
    in_python = _in_python(the_site(), directory, list(Profile.objects.values_list("pk", flat=True)), NOW)
    saved = make_segment("saved", written[0], parent=asked.parent)
    build_directory()
    refresh(the_site(), now=NOW)
    inside = Profile.objects.filter(segments__contains=[saved.pk]).count()
    assert (in_sql.people, in_python.people) == (inside, inside), written


def test_only_people_who_allowed_what_it_reads_are_counted(number: None) -> None:
    make_people(120, n=7)
    make_people(60, granted=False, n=7)
    found = _counted(the_site(), drafted(draft(at_least(5))), NOW)
    assert found.base.number is not None
    assert abs(found.base.number - 120) <= 10


def test_the_parent_and_the_segments_that_a_rule_names_are_part_of_it(number: None) -> None:
    make_people(200, n=lambda n: n)
    parent = make_segment("upper", at_least(100))
    make_segment("top", at_least(140))
    build_directory()
    refresh(the_site(), now=NOW)
    within = drafted(draft({"segments": {"$nin": ["top"]}}, parent=parent))
    assert _in_sql(the_site(), within, ids(), NOW).people == 40


def test_a_list_that_a_rule_names_is_read_from_its_rows(number: None) -> None:
    everybody = make_people(6, n=1)
    listed = make_segment("invited", {}, kind="list", purposes=["personalization"])
    for one in everybody[:2]:
        Membership.objects.create(segment=listed, subject_key=one.pk, entered_at=NOW)
    build_directory()
    found = _in_sql(the_site(), drafted(draft({"segments": {"$in": ["invited"]}})), ids(), NOW)
    assert (found.people, found.base) == (2, 6)


def test_who_took_a_fact_out_of_use_is_not_reached(number: None) -> None:
    first, *_ = make_people(3, n=9)
    Profile.objects.filter(pk=first.pk).update(excluded=["n"])
    found = _in_sql(the_site(), drafted(draft(at_least(5))), ids(), NOW)
    assert (found.people, found.base) == (2, 2)
    everybody = list(Profile.objects.values_list("pk", flat=True))
    assert _in_python(the_site(), drafted(draft(at_least(5))), everybody, NOW).people == 2


# -- what is told -----------------------------------------------------------------------------------


def test_small_groups_and_their_complements_are_a_phrase(number: None) -> None:
    make_people(130, n=lambda n: n)
    assert reach_of(draft(at_least(100)), now=NOW).people.text == "fewer than 50"
    assert reach_of(draft(at_least(1000)), now=NOW).people.text == "fewer than 50"
    assert reach_of(draft(at_least(20)), now=NOW).people.text == "all but fewer than 50"
    assert reach_of(draft(at_least(0)), now=NOW).people.text == "all but fewer than 50"
    told = reach_of(draft(at_least(65)), now=NOW)
    assert told.people.number is not None
    assert abs(told.people.number - 65) <= 10
    assert told.share.endswith(" %")
    assert reach_of(draft(at_least(100)), now=NOW).share == ""


def test_a_base_that_is_small_is_not_told_either(number: None) -> None:
    make_people(20, n=1)
    found = reach_of(draft(at_least(0)), now=NOW)
    assert (found.people.text, found.base.text) == ("fewer than 50", "fewer than 50")


def test_a_rule_and_its_sister_without_one_person_tell_nothing_about_that_person(number: None) -> None:
    """Whoever subtracts two answers learns as much when the person is in as when not: the moves do not hang together."""
    everybody = make_people(160, n=lambda n: n)
    differences = set()
    for low in range(50, 110):
        with_, without = at_least(low), {"$and": [at_least(low), {"n": {"$ne": 159}}]}
        shown = [reach_of(draft(rule), now=NOW).people.number for rule in (with_, without)]
        if None not in shown:
            differences.add(shown[0] - shown[1])  # type: ignore[operator]  # none is missing
    assert len(everybody) == 160
    assert min(differences) < 0 < max(differences)


def test_the_same_people_give_the_same_number_however_they_are_asked_for(number: None) -> None:
    make_people(160, n=lambda n: n)
    spellings = [
        at_least(60),
        {"$and": [at_least(60)]},
        {"$not": {"$not": at_least(60)}},
        {"n": {"$exists": True, "$gt": 59}},
        {"n": {"$exists": True, "$gte": 60, "$ne": 3}},
    ]
    assert len({reach_of(draft(rule), now=NOW).people.text for rule in spellings}) == 1


def test_context_alone_is_not_counted_and_mixed_rules_count_their_personal_part(number: None) -> None:
    make_people(150, n=lambda n: n)
    alone = reach_of(draft({"context.device": {"$eq": "mobile"}}), now=NOW)
    assert (alone.contextual, alone.people.text, alone.problems) == (True, "", ())
    mixed = reach_of(draft({"context.device": {"$eq": "mobile"}, **at_least(75)}), now=NOW)
    assert mixed.contextual
    assert mixed.people.text == reach_of(draft(at_least(75)), now=NOW).people.text


def test_what_is_wrong_with_a_rule_is_said_with_its_place(number: None) -> None:
    found = reach_of(draft({"n": {"$gte": "many"}}), now=NOW)
    assert [one.pointer for one in found.problems] == ["/rule/n/$gte"]
    assert found.people.text == ""
    listed = reach_of(draft({}, kind="list"), now=NOW)
    assert [one.code for one in listed.problems] == ["not_countable"]


# -- patience ---------------------------------------------------------------------------------------


def test_what_only_python_can_answer_is_asked_of_a_sample(
    number: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_trait("t")
    build_directory()
    make_people(120, t=lambda n: "red" if n < 60 else "blue")
    rule = {"t": {"$exists": True, "$regex": "^r"}}
    everybody = reach_of(draft(rule), now=NOW)
    assert (everybody.exact, everybody.people.number is not None) == (True, True)
    monkeypatch.setattr(reach, "SAMPLE_IN_PYTHON", 100)
    some = reach_of(draft(rule), now=NOW)
    assert not some.exact
    assert some.people.number is None or 40 <= some.people.number <= 80


def test_what_takes_longer_than_a_second_is_estimated(number: None, monkeypatch: pytest.MonkeyPatch) -> None:
    make_people(150, n=lambda n: n)
    monkeypatch.setattr(reach, "SAMPLE", 140)
    patiently = reach.patiently

    def tired(text: str, values: dict[str, Any]) -> Any:
        if "subjects" in values:
            return patiently(text, values)
        return patiently(f"SELECT 1, 1, 1, 1 FROM pg_sleep(2), ({text}) t", values)

    monkeypatch.setattr(reach, "patiently", tired)
    monkeypatch.setattr(reach, "PATIENCE", dt.timedelta(milliseconds=300))
    found = reach_of(draft(at_least(75)), now=NOW)
    assert not found.exact
    assert found.people.number is not None
    assert abs(found.people.number - 75) <= 20


def test_patience_ends_and_leaves_no_limit_behind() -> None:
    from django.db import connection

    with pytest.raises(OperationalError):
        reach.patiently("SELECT 1 FROM pg_sleep(3)", {})
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone()[0] == "0"


def test_a_sample_begins_anew_at_the_end_and_names_nobody_twice(number: None) -> None:
    make_people(30, n=1)
    some = _some(the_site(), 20)
    assert len(set(some)) == 20
    assert some == _some(the_site(), 20)
    assert isinstance(some[0], uuid.UUID)


# -- two segments -----------------------------------------------------------------------------------


def test_the_overlap_of_two_segments_hides_small_groups_on_every_side(number: None) -> None:
    make_people(300, n=lambda n: n)
    rows = {
        name: make_segment(name, rule)
        for name, rule in {
            "low": {"n": {"$exists": True, "$lt": 200}},
            "high": at_least(100),
            "top": at_least(180),
            "most": at_least(110),
        }.items()
    }
    build_directory()
    refresh(the_site(), now=NOW)
    shared = overlap_of(rows["low"], rows["high"])
    assert shared.number is not None
    assert abs(shared.number - 100) <= 10
    assert overlap_of(rows["low"], rows["top"]).text == "fewer than 50"
    assert overlap_of(rows["high"], rows["most"]).text == "all but fewer than 50"


def test_the_consent_of_nobody_reaches_nobody(number: None) -> None:
    make_people(60, n=1)
    ConsentState.objects.update(state={})
    assert reach_of(draft(at_least(0)), now=NOW).base.text == "fewer than 50"
