"""Pacing through HTTP, with a moving clock: caps over all offers, steady content, turns."""

import datetime as dt
from typing import Any

import pytest
import redis
import time_machine
from django.conf import settings

from cms.models import Block
from cms.publishing import unpublish_block
from personalization import exposures
from personalization.bundle import load_bundle
from personalization.models import Exposure
from tests.builders import committing, the_site
from tests.flows.front import Front, agreed
from tests.flows.shop import load, page, when

pytestmark = pytest.mark.usefixtures("shop")
ALWAYS: dict[str, Any] = {"features.orders": {"$exists": True}}
PARENTS = {"kids": {"$exists": True, "$gte": 1}}
START = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)


def publish(*pages: dict[str, Any], **parts: Any) -> None:
    with committing():
        load({"tessera": 1, "pages": list(pages), **parts})


def paced(path: str, *variants: dict[str, Any], **pacing: Any) -> dict[str, Any]:
    spelled = page(path, *variants)
    spelled["slots"]["hero"][0] |= pacing
    return spelled


def shown(front: Front, path: str) -> tuple[str, str]:
    """Ask for a page, and wait until it is remembered."""
    found = front.variant(path)
    exposures.settle()
    return found


def test_at_most_one_offer_a_week_over_all_offers() -> None:
    site = the_site()
    site.offer_cap = {"times": 1, "within": "P7D"}
    site.save()
    publish(
        page("/one", when("gold", ALWAYS, "hero-loyal", offer=True)),
        page("/two", when("silver", ALWAYS, "hero-loyal", offer=True)),
    )
    with time_machine.travel(START, tick=False) as clock:
        front = agreed()
        assert shown(front, "/one") == ("gold", "matched")
        assert shown(front, "/two") == ("default", "capped")
        assert shown(front, "/one") == ("default", "capped")
        clock.move_to(START + dt.timedelta(days=7, seconds=-1))
        assert shown(front, "/two") == ("default", "capped")
        clock.move_to(START + dt.timedelta(days=7))
        assert shown(front, "/two") == ("silver", "matched")


def test_the_answer_says_until_when_a_cap_holds() -> None:
    publish(page("/one", when("gold", ALWAYS, "hero-loyal", cap={"times": 1, "within": "PT1H"})))
    with time_machine.travel(START, tick=False):
        front = agreed()
        shown(front, "/one")
        until = front.page("/one").json()["decision"]["valid_until"]
        assert until == "2026-11-23T10:00:00Z"


def test_without_consent_a_cap_cannot_be_kept_and_nothing_is_shown_or_counted() -> None:
    publish(page("/one", when("gold", {"context.device": {"$ne": "tablet"}}, "hero-loyal", cap={"times": 1})))
    assert Front().variant("/one") == ("default", "no_consent")
    exposures.settle()
    assert exposures.store() == 0


def test_an_experience_is_capped_over_its_variants_and_counts_survive_an_empty_redis() -> None:
    publish(
        page("/one", when("gold", ALWAYS, "hero-loyal", experience="autumn")),
        page("/two", when("silver", ALWAYS, "hero-loyal", experience="autumn")),
        experiences=[{"key": "autumn", "title": "Autumn", "cap": {"times": 2, "within": "P1D"}}],
    )
    front = agreed()
    assert [shown(front, path)[1] for path in ("/one", "/two", "/one")] == ["matched", "matched", "capped"]
    assert exposures.store() == 3  # the default is remembered too: it is what the placement showed
    assert exposures.store() == 0
    redis.Redis.from_url(settings.REDIS_HOT_URL).flushdb()
    assert shown(front, "/two") == ("default", "capped")


def test_content_is_steady_for_a_quarter_of_an_hour_but_never_keeps_what_no_longer_holds(
    write_key: str,
) -> None:
    family = when("family", PARENTS, "hero-loyal")
    buyer = when("buyer", {"features.orders": {"$exists": True, "$gte": 1}}, "hero-loyal")
    publish(paced("/steady", family, buyer, min_interval="PT15M"))
    with time_machine.travel(START, tick=False) as clock:
        front = agreed()
        front.buys(write_key)
        assert shown(front, "/steady") == ("buyer", "matched")
        clock.move_to(START + dt.timedelta(minutes=5))
        front.tells(write_key, kids=1)
        assert shown(front, "/steady") == ("buyer", "matched")  # both hold: not yet
        clock.move_to(START + dt.timedelta(minutes=15))
        assert shown(front, "/steady") == ("family", "matched")
        front.tells(write_key, kids=0)
        assert shown(front, "/steady") == ("buyer", "matched")  # it no longer holds: at once
        front.decide(personalization=False)
        assert shown(front, "/steady") == ("default", "no_consent")


def test_what_belongs_to_an_experience_is_steady_wherever_it_is_shown(write_key: str) -> None:
    family = when("family", PARENTS, "hero-loyal")
    buyer = when("buyer", {"features.orders": {"$exists": True, "$gte": 1}}, "hero-loyal", experience="calm")
    publish(
        page("/calm", family, buyer),
        experiences=[{"key": "calm", "title": "Calm", "min_interval": "PT15M"}],
    )
    with time_machine.travel(START, tick=False) as clock:
        front = agreed()
        front.buys(write_key)
        assert shown(front, "/calm") == ("buyer", "matched")
        clock.move_to(START + dt.timedelta(minutes=5))
        front.tells(write_key, kids=1)
        assert shown(front, "/calm") == ("buyer", "matched")
        assert front.page("/calm").json()["decision"]["valid_until"] == "2026-11-23T09:15:00Z"
        clock.move_to(START + dt.timedelta(minutes=15))
        assert shown(front, "/calm") == ("family", "matched")
        front.tells(write_key, kids=0)
        assert shown(front, "/calm") == ("buyer", "matched")
        clock.move_to(START + dt.timedelta(minutes=16))
        front.tells(write_key, kids=1)
        assert shown(front, "/calm") == ("buyer", "matched")
    wrong = load_bundle({"tessera": 1, "experiences": [{"key": "x", "min_interval": "soon"}]}, now=START)
    assert [(one.code, one.pointer) for one in wrong.problems] == [
        ("wrong_type", "/experiences/0/min_interval")
    ]


def test_an_interval_keeps_nothing_past_its_own_end(write_key: str) -> None:
    """An expiry and an unpublish take effect at once, however short a variant has been shown."""
    ends = (START + dt.timedelta(minutes=5)).isoformat()
    offer = when("offer", ALWAYS, "hero-loyal", ends_at=ends)
    other = when("other", ALWAYS, "hero-new")
    publish(paced("/steady", offer, other, min_interval="PT15M"))
    with time_machine.travel(START, tick=False) as clock:
        front = agreed()
        assert shown(front, "/steady") == ("offer", "matched")
        clock.move_to(START + dt.timedelta(minutes=5))
        assert shown(front, "/steady") == ("other", "matched")
    publish(paced("/steady", when("blocked", ALWAYS, "hero-mobile"), other, min_interval="PT15M"))
    with time_machine.travel(START + dt.timedelta(minutes=6), tick=False):
        front = agreed()
        assert shown(front, "/steady") == ("blocked", "matched")
        with committing():
            unpublish_block(Block.objects.get(key="hero-mobile"), now=START)
        assert shown(front, "/steady")[0] == "other"


@pytest.mark.parametrize(
    "rotation",
    [{"kind": "weighted", "every": "P1D"}, {"kind": "decayed", "every": "P1D", "half_life": "P2D"}],
)
def test_weights_and_age_decide_how_often_it_is_whose_turn(rotation: dict[str, str]) -> None:
    often = when("often", {}, "hero-loyal", weight=9, starts_at=START.isoformat())
    seldom = when(
        "seldom", {}, "hero-default", weight=1, starts_at=(START - dt.timedelta(days=60)).isoformat()
    )
    publish(paced("/turns", often, seldom, rotation=rotation))
    seen: list[str] = []
    for days in range(40):
        with time_machine.travel(START + dt.timedelta(days=days), tick=False):
            seen.append(Front().variant("/turns")[0])
    assert 0.75 <= seen.count("often") / len(seen) <= 1
    if rotation["kind"] == "weighted":
        assert "seldom" in seen


def test_turns_are_the_same_for_everybody_unknown_and_end_when_they_say() -> None:
    first = when("first", {}, "hero-loyal")
    second = when("second", {}, "hero-default")
    publish(paced("/turns", first, second, rotation={"kind": "shuffled", "every": "P1D"}))
    seen = []
    with time_machine.travel(START, tick=False) as clock:
        for days in range(6):
            clock.move_to(START + dt.timedelta(days=days))
            answers = {Front().variant("/turns")[0] for _ in range(3)}
            assert len(answers) == 1
            seen += answers
        until = Front().page("/turns").json()["decision"]["valid_until"]
        assert until == "2026-11-29T00:00:00Z"
    assert sorted(seen) == ["first"] * 3 + ["second"] * 3


def test_a_withdrawal_forgets_what_was_shown() -> None:
    publish(page("/one", when("gold", ALWAYS, "hero-loyal", cap={"times": 1})))
    front = agreed()
    shown(front, "/one")
    front.decide(personalization=False)
    assert exposures.store() == 1  # what waited is taken out, and not kept
    assert not Exposure.objects.exists()


def test_a_cap_counts_what_was_seen_where_the_snippet_tells(write_key: str) -> None:
    publish(page("/one", when("gold", ALWAYS, "hero-loyal", cap={"times": 1, "within": "P7D"})))
    site = the_site()
    site.counts_when_seen = True
    site.save()
    with committing():
        site.advance()
    front = agreed()
    assert [shown(front, "/one") for _ in range(3)] == [("gold", "matched")] * 3
    sight = {
        "event": "Placement Seen",
        "properties": {"path": "/one", "placement": "one-hero", "variant": "gold"},
    }
    for wrong in ({"variant": "silver"}, {"placement": "two-hero"}, {"path": "/nowhere"}):
        front.send(write_key, "track", **(sight | {"properties": sight["properties"] | wrong}))
    exposures.settle()
    assert shown(front, "/one") == ("gold", "matched")
    message = {"messageId": "m-1", **sight}
    assert front.send(write_key, "track", **message).json()["accepted"] == 1
    assert front.send(write_key, "track", **message).json()["accepted"] == 0
    exposures.settle()
    assert shown(front, "/one") == ("default", "capped")
    exposures.store()
    redis.Redis.from_url(settings.REDIS_HOT_URL).flushdb()
    assert shown(front, "/one") == ("default", "capped")
