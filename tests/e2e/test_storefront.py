"""The demo shop in a browser: asked, refused, agreed, explained; in two languages, on a phone, for everybody."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.running import System
from tests.e2e.shop import PATHS, answer, banner, become, choices, hero, open_shop, served

pytestmark = pytest.mark.e2e


def test_a_new_visitor_is_asked_and_both_answers_are_equally_near(
    page: Page, picture: Callable[..., None]
) -> None:
    open_shop(page)
    expect(banner(page)).to_be_visible()
    yes = banner(page).get_by_role("button", name="Accept all").bounding_box()
    no = banner(page).get_by_role("button", name="Refuse all").bounding_box()
    assert yes is not None
    assert no is not None
    assert (yes["width"], yes["height"], yes["y"]) == (no["width"], no["height"], no["y"])
    picture(page, "banner", full_page=False)


def test_before_an_answer_nothing_is_stored_and_no_event_is_sent(page: Page, context: BrowserContext) -> None:
    sent: list[str] = []
    page.on("request", lambda request: "/v1/" in request.url and sent.append(request.url))
    open_shop(page, "/p/ridgeline-boots")
    assert context.cookies() == []
    assert [url for url in sent if "/api/" not in url] == []


def test_a_refusal_stores_one_cookie_that_is_the_same_for_everybody(
    page: Page, context: BrowserContext, browser: Browser, browser_context_args: dict[str, object]
) -> None:
    open_shop(page)
    answer(page, "Refuse all")
    expect(banner(page)).to_have_count(0)
    kept = {cookie["name"]: cookie["value"] for cookie in context.cookies()}
    version = page.request.get("/api/v1/consent").json()["notice"]["version"]
    assert kept == {"tessera_consent": f"refused.{version}"}
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    other = browser.new_context(**browser_context_args)  # type: ignore[arg-type]  # the plugin's own dictionary
    fresh = other.new_page()
    open_shop(fresh)
    assert served(fresh) == served(page)
    other.close()


def test_a_yes_shows_the_page_for_somebody_new(page: Page, picture: Callable[..., None]) -> None:
    open_shop(page)
    answer(page, "Accept all")
    assert hero(page) == "Discover your perfect fit"
    page.reload()
    assert hero(page) == "Discover your perfect fit"
    expect(page.locator(".dock")).to_be_visible()
    expect(banner(page)).to_have_count(0)
    picture(page, "new")


@pytest.mark.parametrize(
    ("persona", "headline"),
    [
        ("Ada", "Loyalty rewards inside, Ada"),
        ("Dario", "We miss you, Dario"),
        ("Emi", "Discover your perfect fit"),
    ],
)
def test_each_persona_reads_a_page_of_their_own(
    page: Page, persona: str, headline: str, picture: Callable[..., None]
) -> None:
    open_shop(page)
    become(page, persona)
    assert hero(page) == headline
    expect(page.get_by_label("Read as").locator("option:checked")).to_have_text(persona)
    picture(page, persona)


def test_who_refused_reads_the_page_of_anybody_unknown(page: Page) -> None:
    open_shop(page)
    unknown = served(page)
    become(page, "Ben")
    assert served(page) == unknown


def test_why_is_told_at_the_place_itself_and_one_tap_switches_it_off(
    page: Page, violations: Callable[[Page], str], picture: Callable[..., None]
) -> None:
    open_shop(page)
    answer(page, "Accept all")
    assert hero(page) == "Discover your perfect fit"
    why = page.locator("[data-slot=hero] .why-this")
    why.focus()
    page.keyboard.press("Enter")
    told = page.locator("[data-slot=hero] .why")
    expect(told.get_by_text("You see this because you belong to: New here.")).to_be_visible()
    expect(told.get_by_text("Switch “New here” off if you do not want this.")).to_be_visible()
    assert violations(page) == ""
    picture(page, "open", full_page=False)
    page.keyboard.press("Escape")
    expect(told).to_have_count(0)
    expect(why).to_be_focused()
    page.keyboard.press("Space")
    with page.expect_navigation():
        told.get_by_role("button", name="Do not use “New here”").click()
    expect(page.locator(".dock")).to_be_visible()
    assert hero(page) != "Discover your perfect fit"
    expect(why).to_have_count(0)


def test_without_script_the_same_words_and_the_same_switch_are_a_page(
    system: System, browser: Browser, page: Page, context: BrowserContext, picture: Callable[..., None]
) -> None:
    open_shop(page)
    answer(page, "Accept all")
    plain = browser.new_context(
        base_url=system.address, java_script_enabled=False, storage_state=context.storage_state()
    )
    form = plain.new_page()
    form.goto("/")
    form.locator("[data-slot=hero]").get_by_role("link", name="Why this?").click()
    told = form.locator("#home-hero")
    expect(told).to_contain_text("You see this because you belong to: New here.")
    picture(form, "page")
    told.get_by_role("button", name="Do not use “New here”").click()
    expect(form.get_by_role("heading", level=1)).to_have_text("Why am I seeing this?")
    expect(form.locator("body")).not_to_contain_text("you belong to: New here")
    plain.close()


def test_the_reasons_read_well_on_a_phone_and_at_night(
    page: Page, violations: Callable[[Page], str], picture: Callable[..., None]
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_shop(page)
    become(page, "Dario")
    page.locator("[data-slot=hero] .why-this").click()
    expect(page.locator(".why .told__off")).to_be_visible()
    picture(page, "in-place", full_page=False)
    page.get_by_role("region", name="About this page").get_by_role("link", name="Why?").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Why am I seeing this?")
    assert violations(page) == ""
    page.emulate_media(color_scheme="dark")
    assert violations(page) == ""
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    picture(page, "dark")


def test_who_allowed_nothing_is_told_that_nothing_was_used(page: Page) -> None:
    open_shop(page)
    answer(page, "Refuse all")
    expect(page.locator(".why-this")).to_have_count(0)
    page.get_by_role("link", name="Why?").click()
    expect(page.get_by_text("Nothing about you was used for this page.")).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)


def test_an_order_shows_on_the_next_page(page: Page, picture: Callable[..., None]) -> None:
    open_shop(page)
    answer(page, "Accept all")
    assert hero(page) == "Discover your perfect fit"
    page.get_by_role("button", name="Buy now: ").first.click()
    toast = page.locator(".toast")
    expect(toast).to_contain_text("ordered. The next page already knows.")
    picture(page, "ordered", full_page=False)
    with page.expect_navigation():
        toast.get_by_role("button", name="Show me").click()
    assert hero(page) != "Discover your perfect fit"


def test_the_shop_speaks_german(page: Page, picture: Callable[..., None]) -> None:
    open_shop(page, "/?locale=de")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    asked = page.get_by_role("dialog", name="Darf sich dieser Laden an dich erinnern?")
    with page.expect_navigation():
        asked.get_by_role("button", name="Alles erlauben").click()
    expect(page.locator("h1")).to_have_text("Finde, was zu dir passt")
    expect(page.locator("[data-slot=hero]").get_by_role("button", name="Warum das?")).to_be_visible()
    picture(page, "home")


def test_nothing_runs_over_the_edge_of_a_phone(page: Page, picture: Callable[..., None]) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    wide = []
    for path in PATHS:
        open_shop(page, path)
        if page.evaluate("document.documentElement.scrollWidth") != 390:
            wide.append(path)
        picture(page, path.strip("/").replace("/", "-") or "home")
    assert wide == []


def test_every_page_is_accessible_and_opens_without_a_complaint(
    page: Page, violations: Callable[[Page], str], picture: Callable[..., None]
) -> None:
    open_shop(page)
    assert violations(page) == "", "with the question for consent"
    answer(page, "Refuse all")
    for path in PATHS:
        open_shop(page, path)
        assert violations(page) == "", path
        picture(page, path.strip("/").replace("/", "-") or "home")


def test_choosing_single_purposes_is_possible_and_readable(
    page: Page, violations: Callable[[Page], str], picture: Callable[..., None]
) -> None:
    open_shop(page)
    banner(page).get_by_role("button", name="Choose").click()
    switches = choices(page).get_by_role("switch")
    assert switches.count() >= 2
    assert all(not switch.is_checked() for switch in switches.all())
    assert violations(page) == ""
    picture(page, "choices", full_page=False)
    choices(page).get_by_role("switch", name="Personal content").check()
    answer(page, "Save my choice")
    assert hero(page) == "Discover your perfect fit"


def test_the_shop_reads_without_script(system: System, browser: Browser) -> None:
    context = browser.new_context(base_url=system.address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    expect(page.locator("h1")).to_be_visible()
    page.get_by_role("navigation", name="Shop").get_by_role("link", name="Outdoor").click()
    expect(page.locator("h1")).to_be_visible()
    context.close()
