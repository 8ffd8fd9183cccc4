"""`/api/v1/privacy/why` and `/privacy/why/`: what one is told, that it counts nowhere, and that it gives nothing away."""

import re
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personalization.exclusions import change
from personalization.exposures import settle
from personalization.handles import handle_of
from personalization.models import Exposure, Profile
from tests.builders import committing, the_site
from tests.flows.front import Front, agreed
from tests.flows.shop import load, page, when
from tests.flows.test_non_interference import PATHS, PURPOSES, allowed_part, people, somebody

pytestmark = pytest.mark.usefixtures("shop")
API, PAGE = "/api/v1/privacy/why", "/privacy/why/"


def ask(front: Front, address: str = API, *, path: str = "/", **headers: str) -> Any:
    """Ask why in this visitor's name."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    if front.token:
        named.setdefault("X-Visitor", front.token)
    return front.get(address, {"path": path}, headers=named)


@pytest.fixture
def ada(server_key: str) -> Front:
    """Make somebody who is loyal."""
    front = agreed()
    front.buys(server_key, times=3)
    return front


def test_somebody_reads_why_and_nobody_that_nothing_was_used(ada: Front) -> None:
    answer = ask(ada)
    assert (answer.status_code, answer["Cache-Control"]) == (200, "private, no-store")
    assert answer.json()["used"] is True
    hero = answer.json()["placements"][0]
    assert hero["off"] == {"segment": handle_of("loyal")}
    assert hero["facts"] == ["orders", "last order"]
    nobody = ask(Front()).json()
    assert nobody["used"] is False
    assert nobody["summary"] == "Nothing about you was used for this page."
    assert nobody["placements"][0]["lines"][1] == "Nothing about you was used."


def test_it_is_told_in_the_language_of_the_page(ada: Front) -> None:
    german = ask(ada, Accept_Language="de-AT,de;q=0.9").json()
    assert german["locale"] == "de"
    assert german["placements"][0]["facts"] == ["Bestellungen", "letzte Bestellung"]
    asked = ada.get(API, {"path": "/", "locale": "de"}, headers={"X-Visitor": ada.token or ""}).json()
    assert asked == german


@pytest.mark.parametrize("address", [API, PAGE])
def test_what_is_not_published_is_not_told(ada: Front, address: str) -> None:
    for path in ("/nowhere", "/" + "x" * 600, "/a\x00b"):
        assert ask(ada, address, path=path).status_code == 404
    assert ada.get(address, headers={"X-Visitor": ada.token or ""}).status_code == 200, "home without a path"


@pytest.mark.parametrize("address", [API, PAGE])
def test_a_bad_token_is_nobody(ada: Front, address: str) -> None:
    nobody = ask(Front(), address)
    for token in ("x", (ada.token or "") + "x"):
        forged = Front()
        forged.token = token
        assert ask(forged, address).content == nobody.content


def test_a_token_in_the_cookie_is_as_good_as_in_the_header(ada: Front) -> None:
    browser = Front()
    browser.cookies["tessera_visitor"] = ada.token or ""
    assert ask(browser).json() == ask(ada).json()


def test_global_privacy_control_closes_what_it_covers(server_key: str) -> None:
    front = agreed(marketing=True)
    front.tells(server_key, letter="weekly")
    assert ask(front, path="/offers").json()["used"] is True
    closed = ask(front, path="/offers", Sec_GPC="1").json()
    assert closed["used"] is False
    assert closed["placements"][0]["off"] is None


def test_asking_counts_nowhere_and_keeps_nothing(ada: Front) -> None:
    load({"tessera": 1, "pages": [page("/x", when("new", {}, cap={"times": 1}))]})
    kept = list(Profile.objects.values())
    for address in (API, PAGE):
        for _ in range(2):
            assert ask(ada, address, path="/x").status_code == 200
    settle()
    assert Exposure.objects.count() == 0
    assert list(Profile.objects.values()) == kept
    assert ada.variant("/x") == ("new", "matched"), "the one time that it may be shown is not used up"
    settle()
    capped = ask(ada, path="/x").json()["placements"][0]
    assert capped["lines"][0] == "You have seen what else there is often enough."
    assert capped["lines"][1] == "Do not allow “Personal content” any more if you do not want this."
    assert capped["off"] is None


def test_what_one_switched_off_is_told_no_more(ada: Front) -> None:
    with committing():
        change(uuid.UUID(ada.visitor), site_id=the_site().pk, exclude=["segment:loyal"], now=_now())
    hero = ask(ada).json()["placements"][0]
    assert hero["off"] is None
    assert hero["lines"][0].endswith("would need what you have not allowed or have switched off.")


def _now() -> Any:
    import datetime as dt

    return dt.datetime.now(dt.UTC)


def test_a_site_that_demands_a_key_demands_it_here_too(ada: Front, deliver_key: str) -> None:
    site = the_site()
    site.requires_key = True
    with committing():
        site.save()
        site.advance()
    assert ask(ada).status_code == 401
    assert ask(ada, PAGE).status_code == 401
    assert ask(ada, Authorization=f"Api-Key {deliver_key}").status_code == 200


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    one=people, other=people, granted=st.frozensets(st.sampled_from(PURPOSES)), path=st.sampled_from(PATHS)
)
def test_two_people_who_differ_in_what_is_not_allowed_are_told_the_same(
    one: dict[str, Any], other: dict[str, Any], granted: frozenset[str], path: str
) -> None:
    twin = allowed_part(one, granted, other)
    first, second = somebody(one, granted), somebody(twin, granted)
    assert ask(first, path=path).content == ask(second, path=path).content
    assert _without_token(ask(first, PAGE, path=path)) == _without_token(ask(second, PAGE, path=path))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(known=people, path=st.sampled_from(PATHS))
def test_without_any_purpose_everybody_is_told_what_nobody_is(known: dict[str, Any], path: str) -> None:
    for address in (API, PAGE):
        answers = [ask(front, address, path=path) for front in (somebody(known, frozenset()), Front())]
        assert answers[0].content == answers[1].content
        assert not answers[0].cookies, "a cookie would tell two browsers apart"


def _without_token(answer: Any) -> str:
    """Return a page without what proves that a form is ours: it is different each time."""
    return re.sub(r'(csrfmiddlewaretoken" value=")[^"]+', r"\1", answer.content.decode())


# -- the page without script --------------------------------------------------------------------------


def test_the_page_has_a_form_for_everything_that_can_be_switched_off(ada: Front) -> None:
    answer = ask(ada, PAGE)
    text = answer.content.decode()
    assert answer["Cache-Control"] == "private, no-store"
    assert "<script" not in text
    assert '<section class="told" id="home-hero">' in text
    assert "You see this because you belong to: loyal." in text, "the shop's segments have no other words"
    (form,) = re.findall(r"<form.+?</form>", text, re.DOTALL)
    assert form.startswith('<form method="post" action="/privacy/items/">')
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
    assert fields.pop("csrfmiddlewaretoken")
    assert fields == {
        "holder": "memberships",
        "name": f"segment:{handle_of('loyal')}",
        "wish": "hide",
        "next": "/privacy/why/?path=/",
    }
    assert "Do not use “loyal”" in form


def test_the_page_comes_back_in_the_language_that_was_asked_for(ada: Front) -> None:
    text = ada.get(
        PAGE, {"path": "/", "locale": "de"}, headers={"X-Visitor": ada.token or ""}
    ).content.decode()
    assert '<html lang="de">' in text
    assert "Warum sehe ich das?" in text
    assert 'name="next" value="/privacy/why/?path=/&amp;locale=de"' in text
    assert "„loyal“ nicht verwenden" in text
    assert '<a href="/privacy/why/?path=/&amp;locale=en" lang="en" hreflang="en">English</a>' in text


def test_facts_are_switched_off_where_they_are_kept(server_key: str) -> None:
    front = agreed(marketing=True)
    front.tells(server_key, letter="weekly")
    text = ask(front, PAGE, path="/offers").content.decode()
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', text))
    assert (fields["holder"], fields["name"]) == ("profile", "letter")


def test_only_a_place_that_rests_on_somebody_leads_to_its_reason(ada: Front) -> None:
    source = "{% for one in slots.hero %}{{ one.html }}{% if one.why %}<a href='{{ one.why }}'>?</a>{% endif %}{% endfor %}"
    load({"tessera": 1, "templates": [{"key": "landing", "title": "L", "slots": [{"key": "hero"}, {"key": "footer"}], "source": source}]})  # fmt: skip
    address = "/privacy/why/?path=/&amp;locale=en#home-hero"
    assert address in ada.page(Accept="text/html").content.decode()
    assert "/privacy/why/" not in Front().page(Accept="text/html").content.decode()
    phone = Front().page("/device", Accept="text/html", User_Agent="iPhone Mobile")
    assert "/privacy/why/" not in phone.content.decode(), "context is never personal"
    assert phone["Cache-Control"].startswith("public")


def test_a_front_end_of_another_origin_may_ask_and_switch_off() -> None:
    for address in (API, "/api/v1/privacy/items"):
        answer = Front().options(
            address,
            headers={
                "Origin": "https://shop.example",
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "x-visitor",
            },
        )
        assert answer["Access-Control-Allow-Origin"] == "*", address
        assert "x-visitor" in answer["Access-Control-Allow-Headers"], address
