"""Signals: whatever says no beside a decision closes pages, events and answers of the request that carries it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpRequest

from consent.api import signals
from consent.api.signals import Signal, register_signal
from consent.models import ConsentState
from personalization.models import Event, EventType
from tests.builders import the_site
from tests.flows.front import Front, agreed
from tests.flows.shop import load

pytestmark = pytest.mark.usefixtures("shop")


def says_no(request: HttpRequest) -> bool:
    return request.headers.get("X-Platform") == "no-personalization"


PLATFORM = Signal("platform", says_no, lambda site_id: frozenset({"personalization"}))
NO = {"X-Platform": "no-personalization"}


@pytest.fixture
def platform() -> Iterator[None]:
    """Register the signal of another consent platform for the block."""
    register_signal(PLATFORM)
    yield
    del signals._signals[PLATFORM.name]


@pytest.fixture
def ada(write_key: str) -> Front:
    front = agreed(personalization=True, analytics=True)
    front.buys(write_key, times=3)
    return front


def sent(front: Front, key: str, event: str = "Seen", **headers: str) -> dict[str, Any]:
    body = {"event": event, "anonymousId": front.visitor}
    answer = front.post(
        f"/v1/track?writeKey={key}",
        {**body, "writeKey": key},
        content_type="application/json",
        headers=headers,
    )
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def purposes_of(name: str) -> list[str]:
    return sorted(Event.objects.get(name=name).purposes)


def test_a_further_signal_closes_every_door_of_its_request_and_changes_no_decision(
    ada: Front, platform: None, write_key: str
) -> None:
    assert ada.variant() == ("loyal", "matched")
    assert ada.variant(X_Platform="no-personalization") == ("default", "no_consent")
    sent(ada, write_key, "With it", **NO)
    sent(ada, write_key, "Without it")
    assert purposes_of("With it") == ["analytics"]
    assert purposes_of("Without it") == ["analytics", "personalization"]
    told = ada.get("/api/v1/consent", headers=NO | {"X-Visitor": ada.token or ""}).json()
    assert told["signals"] == {"gpc": False, "platform": True}
    assert (told["purposes"]["personalization"], told["purposes"]["analytics"]) == ("refused", "granted")
    changed = ada.decide(headers=NO, personalization=True, analytics=True).json()["purposes"]
    assert (changed["personalization"], changed["analytics"]) == ("refused", "granted")
    ada.cookies["tessera_visitor"] = ada.token or ""
    assert '<option value="personalization">' not in ada.get("/privacy/", headers=NO).content.decode()
    assert '<option value="personalization">' in ada.get("/privacy/").content.decode()
    ada.cookies.clear()
    assert ConsentState.objects.get(pk=ada.visitor).state["personalization"] == "granted"
    assert ada.variant() == ("loyal", "matched")


def test_two_signals_of_one_name_are_a_mistake(platform: None) -> None:
    register_signal(PLATFORM)  # the same one again is none
    with pytest.raises(ValueError, match="two signals named 'platform'"):
        register_signal(Signal("platform", says_no, lambda site_id: frozenset()))


@pytest.mark.parametrize(("header", "kept"), [("1", False), ("0", True), ("true", True)])
def test_an_event_with_global_privacy_control_is_not_kept_for_what_it_covers(
    write_key: str, header: str, kept: bool
) -> None:
    load({"tessera": 1, "events": [{"key": "Ad Clicked", "title": "Ad", "purposes": ["marketing"]}]})
    assert EventType.objects.get(site=the_site(), key="Ad Clicked").purposes == ["marketing"]
    front = agreed(marketing=True, analytics=True)
    answer = sent(front, write_key, "Ad Clicked", **{"Sec-GPC": header})
    assert (answer["accepted"], answer["dropped"]) == ((1, {}) if kept else (0, {"no_consent": 1}))
    assert Event.objects.filter(name="Ad Clicked").exists() is kept
