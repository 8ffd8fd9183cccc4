"""The snippet on the demo shop: tells what is seen, clicked and left, only of whoever agreed, and keeps what cannot be sent."""

from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.running import System
from tests.e2e.shop import answer, banner, choices, open_shop

pytestmark = pytest.mark.e2e
QUEUE = "() => JSON.parse(localStorage.getItem('tessera.queue') || '[]').map((one) => one.event ?? one.type)"


def events_of(page: Page, system: System) -> list[dict[str, Any]]:
    """Return what arrived of this visitor."""
    visitor = page.request.get("/api/v1/consent").json()["visitor_id"]
    key = system.manage("api_key", "create", "reader", "--scope", "profiles").splitlines()[-1]
    answer_ = page.request.get(
        f"/api/v1/profiles/{visitor}?include=events", headers={"Authorization": f"Api-Key {key}"}
    )
    found: list[dict[str, Any]] = answer_.json()["events"]
    return found


def test_nothing_is_told_of_who_was_not_asked_or_refused(page: Page) -> None:
    sent: list[str] = []
    page.on(
        "request",
        lambda one: sent.append(one.url) if "/v1/batch" in one.url or "tessera.js" in one.url else None,
    )
    open_shop(page)
    page.mouse.wheel(0, 3000)
    page.wait_for_timeout(1500)
    answer(page, "Refuse all")
    page.mouse.wheel(0, 3000)
    page.wait_for_timeout(1500)
    assert sent == []
    assert page.evaluate("localStorage.length") == 0


def test_what_is_seen_clicked_and_left_is_told(page: Page, system: System) -> None:
    open_shop(page)
    answer(page, "Accept all")
    page.wait_for_timeout(1800)  # a placement counts as seen after a second
    hero = page.locator("[data-placement=home-hero]")
    box = hero.bounding_box()
    assert box is not None
    for _ in range(3):
        page.mouse.click(box["x"] + 5, box["y"] + 5)
    page.mouse.wheel(0, 6000)
    page.wait_for_timeout(1200)
    page.goto("/about")
    expect(page.locator(".dock")).to_be_visible()
    page.wait_for_timeout(1500)
    told: dict[str, list[dict[str, Any]]] = {}
    for event in events_of(page, system):
        told.setdefault(event["name"], []).append(event["properties"])
    assert {one["path"] for one in told["Page Viewed"]} == {"/", "/about"}
    assert {"placement": "home-hero", "variant": "new"}.items() <= {
        k: v for one in told["Placement Seen"] if one["placement"] == "home-hero" for k, v in one.items()
    }.items()
    assert len([one for one in told["Placement Clicked"] if one["placement"] == "home-hero"]) == 3
    assert len(told["Clicked Repeatedly"]) == 1
    (left,) = told["Page Left"]
    assert left["path"] == "/"
    assert left["seconds"] >= 2
    assert 50 <= left["scroll_depth"] <= 100


def test_what_cannot_be_sent_is_kept_bounded_and_sent_once_later(
    context: BrowserContext, system: System
) -> None:
    page = context.new_page()  # not watched: being offline is an error on its console
    open_shop(page)
    answer(page, "Accept all")
    page.wait_for_timeout(1500)
    page.context.set_offline(True)
    page.evaluate("() => { for (let n = 0; n < 130; n += 1) tessera.track('Offline', { n }); }")
    page.wait_for_timeout(800)
    assert len(page.evaluate(QUEUE)) == 100
    page.context.set_offline(False)
    page.evaluate("() => dispatchEvent(new Event('online'))")
    page.wait_for_function("() => !localStorage.getItem('tessera.queue')")
    numbers = [e["properties"]["n"] for e in events_of(page, system) if e["name"] == "Offline"]
    assert sorted(numbers) == list(range(30, 130))


def test_a_withdrawal_empties_what_waits(context: BrowserContext) -> None:
    page = context.new_page()  # not watched: being offline is an error on its console
    open_shop(page)
    answer(page, "Accept all")
    page.wait_for_timeout(1200)
    page.context.set_offline(True)
    page.evaluate("() => tessera.track('Offline', {})")
    assert "Offline" in page.evaluate(QUEUE)
    page.context.set_offline(False)
    notice = page.request.get("/api/v1/consent").json()["notice"]["version"]
    refused = {"analytics": False, "personalization": False, "profiling": False}
    page.evaluate(
        "(body) => fetch('/api/v1/consent', {method: 'PUT', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)})"
        ".then(() => document.dispatchEvent(new Event('consentchange')))",
        {"purposes": refused, "notice": notice},
    )
    page.wait_for_function("() => !localStorage.getItem('tessera.queue')")
    page.evaluate("() => tessera.track('Afterwards', {})")
    page.wait_for_timeout(600)
    assert page.evaluate("localStorage.length") == 0


FORMS = """() => {
  document.querySelector("main").insertAdjacentHTML("afterbegin",
    '<form id="signup"><input name="email"></form><form id="find" action="/about"><input type="search" name="q"></form>');
}"""


def told_later(page: Page, system: System, *names: str) -> dict[str, list[dict[str, Any]]]:
    """Wait until such events have arrived; return name -> the properties of each."""
    told: dict[str, list[dict[str, Any]]] = {}
    for _ in range(30):
        told = {}
        for event in events_of(page, system):
            told.setdefault(event["name"], []).append(event["properties"])
        if set(names) <= set(told):
            break
        page.wait_for_timeout(200)
    return told


def test_a_search_a_form_that_is_left_and_a_pointer_that_stays_are_told(page: Page, system: System) -> None:
    open_shop(page)
    answer(page, "Accept all")
    hero = page.locator("[data-placement=home-hero]")
    hero.hover(position={"x": 5, "y": 5})
    page.wait_for_timeout(1300)
    page.mouse.move(2, 2)
    page.evaluate(FORMS)
    page.locator("#signup input").fill("ada@example.org")
    other = page.context.new_page()  # another tab in front of it: nobody has left the form
    other.goto("/about")
    other.close()
    page.bring_to_front()
    page.wait_for_timeout(600)
    assert "Form Abandoned" not in told_later(page, system, "Placement Hovered")
    page.locator("#find input").fill("  warm socks ")
    page.locator("#find input").press("Enter")
    page.wait_for_url("**/about**")
    told = told_later(page, system, "Form Abandoned", "Products Searched", "Placement Hovered")
    assert [one["query"] for one in told["Products Searched"]] == ["warm socks"]
    (left,) = told["Form Abandoned"]
    assert (left["form"], left["field"], left["path"]) == ("signup", "email", "/")
    assert "ada@example.org" not in str(told)  # which field, and never what stands in it
    (hovered,) = told["Placement Hovered"]
    assert hovered["placement"] == "home-hero"
    assert hovered["seconds"] >= 1


def test_without_statistics_nothing_that_only_they_use_is_told(page: Page, system: System) -> None:
    open_shop(page)
    banner(page).get_by_role("button", name="Choose").click()
    choices(page).get_by_role("switch", name="Personal content").check()
    answer(page, "Save my choice")
    page.locator("[data-placement=home-hero]").hover(position={"x": 5, "y": 5})
    page.wait_for_timeout(1800)
    page.mouse.move(2, 2)
    page.evaluate(FORMS)
    page.locator("#signup input").fill("x")
    page.goto("/about")
    page.wait_for_timeout(1500)
    told = told_later(page, system, "Page Viewed", "Placement Seen")
    assert {"Page Viewed", "Placement Seen"} <= set(told)
    assert not {"Page Left", "Placement Hovered", "Form Abandoned", "Clicked Repeatedly"} & set(told)
