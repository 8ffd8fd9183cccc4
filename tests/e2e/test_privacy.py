"""The privacy page as a plain form: without script, with the keyboard alone, in both languages."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.running import System
from tests.e2e.shop import answer, become, hero, open_shop, served

pytestmark = pytest.mark.e2e


def test_without_script_one_purpose_is_switched_off_and_the_next_page_follows(
    page: Page, context: BrowserContext, browser: Browser, system: System, picture: Callable[..., None]
) -> None:
    open_shop(page)
    unknown = served(page)
    answer(page, "Accept all")
    assert served(page) != unknown
    plain = browser.new_context(
        base_url=system.address, java_script_enabled=False, storage_state=context.storage_state()
    )
    form = plain.new_page()
    form.goto("/privacy/")
    form.get_by_role("group", name="Personal content").get_by_label("Off").check()
    picture(form, "before")
    form.get_by_role("button", name="Save my choices").click()
    expect(form.get_by_text("Saved. The next page you open follows it.")).to_be_visible()
    expect(form.get_by_role("row", name="Personal content withdrawn")).to_be_visible()
    picture(form, "after")
    plain.close()
    page.reload()
    expect(page.locator(".dock")).to_be_visible()
    assert served(page) == unknown


def test_the_keyboard_alone_refuses_everything(page: Page) -> None:
    open_shop(page)
    answer(page, "Accept all")
    assert hero(page) == "Discover your perfect fit"
    page.goto("/privacy/")
    _tab_to(page, "Refuse everything")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved. The next page you open follows it.")).to_be_visible()
    open_shop(page)
    assert hero(page) != "Discover your perfect fit"


def test_the_keyboard_alone_switches_one_purpose_off(page: Page) -> None:
    open_shop(page)
    answer(page, "Accept all")
    page.goto("/privacy/")
    on = page.get_by_role("group", name="Personal content").get_by_label("On")
    for _ in range(30):
        page.keyboard.press("Tab")
        if on.evaluate("(one) => one === document.activeElement"):
            break
    page.keyboard.press("ArrowDown")
    _tab_to(page, "Save my choices")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row", name="Personal content withdrawn")).to_be_visible()


def test_who_refused_everything_is_shown_that_answer_and_no_history(page: Page) -> None:
    open_shop(page)
    answer(page, "Refuse all")
    page.goto("/privacy/")
    expect(page.get_by_role("group", name="Personal content").get_by_label("Off")).to_be_checked()
    expect(page.get_by_text("Nothing is stored. We do not know who you are.").first).to_be_visible()


def test_the_privacy_page_opens_without_a_complaint_by_day_by_night_and_on_a_phone(
    page: Page, violations: Callable[[Page], str], picture: Callable[..., None]
) -> None:
    page.goto("/privacy/")
    assert violations(page) == ""
    open_shop(page)
    become(page, "Ada")
    page.goto("/privacy/")
    assert violations(page) == ""
    page.emulate_media(color_scheme="dark")
    assert violations(page) == ""
    picture(page, "dark")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    picture(page, "phone")


def test_the_privacy_page_speaks_german(
    browser: Browser, system: System, watch: Callable[[Page], Page], picture: Callable[..., None]
) -> None:
    context = browser.new_context(base_url=system.address, locale="de-DE")
    page = watch(context.new_page())
    page.goto("/privacy/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ihre Privatsphäre")
    expect(page.get_by_role("button", name="Alles ablehnen")).to_be_visible()
    picture(page, "german")
    context.close()


def _tab_to(page: Page, name: str) -> None:
    """Press Tab until the button of this name has the focus."""
    button = page.get_by_role("button", name=name)
    for _ in range(60):
        page.keyboard.press("Tab")
        if button.evaluate("(one) => one === document.activeElement"):
            return
    raise AssertionError(f"The keyboard does not reach “{name}”.")
