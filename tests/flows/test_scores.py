"""Scores: points for what is known, for segments and for what was done; a fact for rules, and a segment with two thresholds."""

import datetime as dt
import uuid
from typing import Any

import pytest
import time_machine

from personalization.lanes import catch_up, fall_due
from personalization.models import Profile, Segment, SegmentChange
from personalization.segments.directory import segment_problems
from personalization.segments.reach import reach_of
from personalization.segments.refresh import refresh
from tests.builders import committing, the_site
from tests.flows.front import Front, agreed, make_key
from tests.flows.shop import hero, inside, load, page, when

START = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
HOT = {
    "points": [
        {"when": {"segments": {"$in": ["zz_parents"]}}, "points": 10},
        {"when": {"tier": {"$eq": "gold"}}, "points": 5},
        {"event": "Product Viewed", "within": "P1D", "points": 2, "cap": 8},
    ],
    "enter": 12,
    "leave": 6,
}


def now(**later: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(**later)


@pytest.fixture
def scored(shop: None) -> None:
    """A score that counts a segment whose name sorts after its own, and pages that read one or the other."""
    load(
        {
            "tessera": 1,
            "segments": [
                {"key": "hot", "title": "Hot", "kind": "score", "score": HOT, "min_size": 0},
                {
                    "key": "zz_parents",
                    "title": "Parents",
                    "rule": {"kids": {"$exists": True, "$gte": 1}},
                    "min_size": 0,
                },
            ],
            "blocks": [hero("hero-hot", "Just for you")],
            "pages": [
                page("/hot", when("hot", inside("hot"))),
                page("/warm", when("hot", {"scores.hot": {"$exists": True, "$gte": 10}})),
            ],
        }
    )


@pytest.fixture
def ada(scored: None) -> Front:
    return agreed(personalization=True, analytics=True)


def view(front: Front, key: str, times: int) -> None:
    for _ in range(times):
        answer = front.send(key, "track", event="Product Viewed", properties={"product_id": "tent"})
        assert answer.json()["accepted"] == 1


def fold(**later: float) -> None:
    with committing():
        catch_up(the_site(), now=now(**later))
        fall_due(the_site(), now=now(**later))


def inside_of(front: Front) -> bool:
    pk = Segment.objects.get(key="hot").pk
    return Profile.objects.filter(pk=front.visitor, segments__contains=[pk]).exists()


def test_a_page_that_names_only_the_score_counts_the_segment_in_it(ada: Front, write_key: str) -> None:
    assert ada.variant("/warm") == ("default", "default")
    ada.tells(write_key, kids=2)
    assert ada.variant("/warm") == ("hot", "matched")  # ten points for being a parent
    assert ada.variant("/hot") == ("default", "default")
    view(ada, write_key, 1)
    assert ada.variant("/hot") == ("hot", "matched")  # twelve are enough to enter


def test_the_worker_the_set_and_the_profile_api_agree(ada: Front, write_key: str) -> None:
    ada.tells(write_key, kids=2)
    view(ada, write_key, 9)  # capped at eight points
    fold()
    assert inside_of(ada)
    told = ada.get(
        f"/api/v1/profiles/{ada.visitor}", headers={"Authorization": f"Api-Key {make_key('profiles')}"}
    ).json()
    assert told["scores"] == {"hot": 18}
    assert "hot" in told["segments"]
    Profile.objects.update(segments=[])
    with committing():
        run = refresh(the_site(), now=now())
    assert run is not None
    assert run.differences["hot"] == {"entered": 1, "left": 0}
    assert (run.profiles, run.total) == (1, 1)
    assert inside_of(ada)


def test_who_is_in_stays_until_the_lower_threshold(ada: Front, write_key: str) -> None:
    with time_machine.travel(START, tick=True):
        with committing():
            refresh(the_site(), now=now())  # counted once, so that changes are news
        ada = agreed(personalization=True, analytics=True)
        ada.tells(write_key, kids=2)
        view(ada, write_key, 1)
        fold(seconds=1)
        assert ada.variant("/hot") == ("hot", "matched")
    with time_machine.travel(START + dt.timedelta(days=1, minutes=1), tick=True):
        fold()
        assert ada.variant("/warm") == ("hot", "matched")
        assert ada.variant("/hot") == ("hot", "matched")  # ten points: too few to enter, enough to stay
        assert inside_of(ada)
        ben = agreed(personalization=True, analytics=True)
        ben.tells(write_key, kids=2)
        fold(seconds=1)
        assert ben.variant("/hot") == ("default", "default")
        assert not inside_of(ben)
        ada.tells(write_key, kids=0)
        fold(seconds=2)
        assert ada.variant("/hot") == ("default", "default")
        assert not inside_of(ada)
    assert list(
        SegmentChange.objects.filter(subject_key=ada.visitor, segment__key="hot").values_list(
            "entered", flat=True
        )
    ) == [True, False]


def test_points_fall_when_time_passes_and_nothing_else_happens(ada: Front, write_key: str) -> None:
    Segment.objects.filter(key="hot").update(score=HOT | {"enter": 6, "leave": 6})
    load({"tessera": 1, "segments": []})
    with time_machine.travel(START, tick=True):
        ada = agreed(personalization=True, analytics=True)
        view(ada, write_key, 3)
        fold(seconds=1)
        assert inside_of(ada)
        due = Profile.objects.get(pk=ada.visitor).due_at
        assert due is not None
        assert abs(due - (START + dt.timedelta(days=1))) < dt.timedelta(seconds=10)
    with time_machine.travel(START + dt.timedelta(days=1, minutes=1), tick=True):
        with committing():
            assert fall_due(the_site(), now=now()) == 1
        assert not inside_of(ada)
        assert ada.variant("/hot") == ("default", "default")


def test_a_score_is_withheld_with_what_it_reads(scored: None, write_key: str) -> None:
    ben = agreed(analytics=True)
    assert ben.variant("/warm") == ("default", "no_consent")
    assert ben.variant("/hot") == ("default", "no_consent")


def test_a_draft_counts_the_segments_that_give_points(ada: Front, write_key: str) -> None:
    ada.tells(write_key, kids=2)
    fold()
    draft = Segment(
        site=the_site(), key="draft", title="Draft", kind="score", score=HOT | {"enter": 10, "leave": 10}
    )
    found = reach_of(draft, now=now())
    assert not found.problems
    assert found.base.text
    assert found.people == found.base


@pytest.mark.parametrize(
    ("score", "code", "place"),
    [
        ({"points": [], "enter": 1}, "required", "/score/points"),
        ({"points": [{"points": 1}], "enter": 1}, "required", "/score/points/0"),
        ({"points": [{"event": "Product Viewed", "points": "two"}], "enter": 1}, "wrong_type", "/score/points/0/points"),
        ({"points": [{"event": "Product Viewed", "points": 2}]}, "required", "/score/enter"),
        ({"points": [{"event": "Product Viewed", "points": 2}], "enter": 1, "leave": 2}, "wrong_type", "/score/leave"),
        ({"points": [{"when": {"kids": {"$gte": "x"}}, "points": 2}], "enter": 1}, "operand_type", "/score/points/0/when/kids/$gte"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_score_is_refused_with_its_place(
    shop: None, score: Any, code: str, place: str
) -> None:
    draft = Segment(site=the_site(), key="draft", title="Draft", kind="score", score=score)
    found = [(one.code, one.pointer) for one in segment_problems(draft) if one.severity == "error"]
    assert found == [(code, place)]


def test_only_people_are_scored(ada: Front) -> None:
    assert Front().variant("/hot") == ("default", "no_consent")
    assert uuid.UUID(ada.visitor)
