"""The consent banner on a site of somebody's own: fair, usable by everybody, honest, and obeyed in the same page.

The site is a page with a strict content security policy on the API's own origin, or on another one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Request, Route, expect

from tests.e2e.files import serving
from tests.e2e.running import System
from tests.e2e.shop import answer, open_shop

pytestmark = pytest.mark.e2e

POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'"
LISTEN = "document.addEventListener('consentchange', ({detail}) => (window.told ??= []).push(detail))"
SNIPPET = '<script src="{root}/static/personalization/tessera.js" {more} defer></script>'
ICON = '<link rel="icon" href="data:,">'
SENDS = "() => { tessera.track('Now', {}); return localStorage.getItem('tessera.queue'); }"
SITE = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>A site</title>{before}<script src="/static/consent/consent.js" defer {attributes}></script>{after}
<a href="#main">Skip to content</a><main id="main"><h1>A site</h1><p>With a <a href="/somewhere">link</a>. {text}</p>
<button data-tessera-consent="open">Privacy settings</button>
<button data-tessera-consent="refuse">Take everything back</button></main></html>"""
STYLE = "(one) => { const style = getComputedStyle(one); return [...style].map((name) => `${name}: ${style[name]}`); }"
FOCUSED = "() => { let one = document.activeElement; while (one.shadowRoot?.activeElement) one = one.shadowRoot.activeElement; return one.textContent || one.name; }"
SMALL = """() => [document.querySelector("tessera-consent a"), ...document.querySelector("tessera-consent").shadowRoot.querySelectorAll("button, input, summary")]
  .map((one) => [one.textContent || one.name, one.getBoundingClientRect()])
  .filter(([, {width, height}]) => width < 44 || height < 44).map(([name]) => name)"""


def visit(page: Page, attributes: str = "", *, before: str = "", after: str = "") -> Locator:
    """Open a site of somebody's own, on the API's origin; returns the question, which it may or may not ask."""
    html = SITE.format(before=before, after=after, attributes=attributes, text="And many words. " * 200)
    page.route(
        "**/own-site",
        lambda route: route.fulfill(
            content_type="text/html", headers={"Content-Security-Policy": POLICY}, body=html
        ),
    )
    page.goto("/own-site")
    return question(page)


def question(page: Page) -> Locator:
    return page.get_by_role("dialog", name="What may this site know about you?")


def choices(page: Page) -> Locator:
    return page.get_by_role("dialog", name="What you allow")


def news(page: Page) -> Locator:
    return page.locator("tessera-consent").get_by_role("status")


def button(layer: Locator, name: str) -> Locator:
    return layer.get_by_role("button", name=name, exact=True)


def decided(page: Page, purpose: str, state: str) -> None:
    """Wait until the page knows a state."""
    page.wait_for_function(
        "([purpose, state]) => tessera.consent.state().purposes[purpose] === state", arg=[purpose, state]
    )


def amend(page: Page, method: str, **changes: object) -> None:
    """Let what the API answers to a method say something more."""

    def amended(route: Route) -> None:
        if route.request.method != method:
            route.fallback()
            return
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | changes)

    page.route("**/api/v1/consent?*", amended)


# -- fair ---------------------------------------------------------------------------------------------


def test_accept_and_refuse_are_the_same_button_with_another_word(page: Page) -> None:
    first = visit(page)
    for size in ((1280, 800), (390, 844), (320, 568)):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        equal(first)
    button(first, "Choose").click()
    equal(choices(page))


def equal(layer: Locator) -> None:
    yes, no = button(layer, "Accept all"), button(layer, "Refuse all")
    one, other = yes.bounding_box(), no.bounding_box()
    assert one is not None
    assert other is not None
    assert (one["width"], one["height"]) == (other["width"], other["height"])
    assert yes.evaluate(STYLE) == no.evaluate(STYLE)


def test_taking_back_takes_no_more_clicks_than_giving(page: Page) -> None:
    first = visit(page)
    giving = clicks(button(first, "Accept all"))
    decided(page, "analytics", "granted")
    withdrawing = clicks(page.get_by_role("button", name="Take everything back"))
    decided(page, "analytics", "withdrawn")
    assert withdrawing <= giving
    settings, layer = page.get_by_role("button", name="Privacy settings"), choices(page)
    giving = clicks(settings, layer.get_by_role("switch", name="Statistics"), button(layer, "Save my choice"))
    decided(page, "analytics", "granted")
    withdrawing = clicks(
        settings, layer.get_by_role("switch", name="Statistics"), button(layer, "Save my choice")
    )
    decided(page, "analytics", "withdrawn")
    assert withdrawing <= giving


def clicks(*targets: Locator) -> int:
    for target in targets:
        target.click()
    return len(targets)


def test_the_shop_takes_everything_back_with_one_click(page: Page) -> None:
    open_shop(page)
    answer(page, "Accept all")
    with page.expect_navigation():
        page.get_by_role("button", name="Take back everything I allowed").click()
    assert page.request.get("/api/v1/consent").json()["purposes"]["personalization"] == "withdrawn"


def test_nothing_is_on_before_it_was_switched_on_and_what_is_necessary_has_no_switch(page: Page) -> None:
    button(visit(page), "Choose").click()
    switches = choices(page).get_by_role("switch")
    assert switches.count() >= 2
    assert not any(one.is_checked() for one in switches.all())
    expect(choices(page).get_by_role("switch", name="Necessary")).to_have_count(0)
    expect(choices(page).get_by_text("Always on")).to_be_visible()
    switches.first.check()
    choices(page).get_by_text("Details").nth(1).click()
    expect(choices(page).get_by_text("Legal basis: your consent.").first).to_be_visible()
    button(choices(page), "Save my choice").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    states = page.request.get("/api/v1/consent").json()["purposes"]
    assert (states["analytics"], states["personalization"]) == ("granted", "refused")
    page.reload()
    page.wait_for_function("() => tessera.consent.state().visitorId")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_refusal_is_remembered_by_the_same_cookie_for_everyone_and_nothing_else(
    page: Page, context: BrowserContext
) -> None:
    button(visit(page), "Refuse all").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert [cookie["name"] for cookie in context.cookies()] == ["tessera_consent"]
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    page.reload()
    decided(page, "analytics", "refused")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_was_taken_back_can_be_had_back_at_once(page: Page) -> None:
    button(visit(page), "Accept all").click()
    decided(page, "analytics", "granted")
    page.get_by_role("button", name="Take everything back").click()
    line = news(page)
    expect(line).to_contain_text("is deleted in ten minutes")
    line.get_by_role("button", name="Undo").click()
    decided(page, "analytics", "granted")
    expect(line).to_have_text("Your choice is saved.")


# -- for everybody ------------------------------------------------------------------------------------


def test_the_keyboard_alone_chooses_and_escape_decides_nothing(page: Page) -> None:
    first = visit(page)
    expect(first).to_be_visible()
    assert page.evaluate("() => document.activeElement === document.body")
    tab_to(page, "Choose")
    page.keyboard.press("Escape")
    expect(first).to_be_visible()
    page.keyboard.press("Enter")
    expect(choices(page).get_by_role("heading")).to_be_focused()
    tab_to(page, "analytics")
    page.keyboard.press("Space")
    expect(choices(page).get_by_role("switch", name="Statistics")).to_be_checked()
    page.keyboard.press("Escape")
    expect(button(first, "Choose")).to_be_focused()
    page.keyboard.press("Enter")
    expect(choices(page).get_by_role("switch", name="Statistics")).to_be_checked()
    tab_to(page, "Save my choice")
    page.keyboard.press("Enter")
    decided(page, "analytics", "granted")


def test_who_opens_the_choices_gets_the_focus_there_and_back(page: Page) -> None:
    button(visit(page), "Refuse all").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    settings = page.get_by_role("button", name="Privacy settings")
    settings.focus()
    page.keyboard.press("Enter")
    expect(choices(page).get_by_role("heading")).to_be_focused()
    page.keyboard.press("Escape")
    expect(settings).to_be_focused()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.evaluate("() => tessera.consent.open()")
    button(choices(page), "Close").click()
    expect(settings).to_be_focused()


def tab_to(page: Page, name: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED) == name:
            return
    raise AssertionError(f"The keyboard does not reach “{name}”.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    page: Page, scheme: str, violations: Callable[[Page], str], picture: Callable[..., None]
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    first = visit(page)
    expect(first).to_be_visible()
    assert violations(page) == ""
    picture(page, f"{scheme}-first", full_page=False)
    button(first, "Choose").click()
    for details in choices(page).get_by_text("Details").all():
        details.click()
    choices(page).get_by_role("switch").first.check()
    assert violations(page) == ""
    picture(page, f"{scheme}-second", full_page=False)
    page.set_viewport_size({"width": 390, "height": 844})
    assert violations(page) == ""
    picture(page, f"{scheme}-phone", full_page=False)


@pytest.mark.parametrize(("width", "height"), [(320, 568), (640, 360), (1280, 800)])
def test_everything_is_reached_and_large_enough_on_small_screens_and_enlarged(
    page: Page, width: int, height: int, picture: Callable[..., None]
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    first = visit(page)
    expect(first).to_be_visible()
    assert page.evaluate(SMALL) == []
    button(first, "Choose").click()
    button(choices(page), "Save my choice").scroll_into_view_if_needed()
    assert page.evaluate(SMALL) == []
    box = choices(page).bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["y"] >= 0
    assert box["x"] + box["width"] <= width
    assert choices(page).evaluate("(one) => one.scrollWidth <= one.clientWidth")
    picture(page, f"{width}", full_page=False)


def test_a_site_s_own_rules_do_not_reach_into_it(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    first = visit(page)
    before = place(first)
    page.evaluate(
        "(rules) => { const sheet = new CSSStyleSheet(); sheet.replaceSync(rules); document.adoptedStyleSheets = [sheet]; }",
        "a, button, p, div, body > * { all: unset; font-size: 3px !important; position: relative; color: red }",
    )
    assert place(first) == before
    link = page.locator("tessera-consent").get_by_role("link")
    assert link.evaluate("(one) => parseFloat(getComputedStyle(one).fontSize)") > 14


def place(one: Locator) -> list[int]:
    box = one.bounding_box()
    assert box is not None
    return [round(box[side]) for side in ("x", "y", "width", "height")]


def test_it_speaks_german_politely_and_familiarly(page: Page, picture: Callable[..., None]) -> None:
    visit(page, 'data-locale="de"')
    polite = page.get_by_role("dialog", name="Was darf diese Website über Sie wissen?")
    for name in ("Alles erlauben", "Alles ablehnen", "Auswählen"):
        expect(button(polite, name)).to_be_visible()
    picture(page, "polite", full_page=False)
    visit(page, 'data-locale="de-DE" data-du')
    familiar = page.get_by_role("dialog", name="Was darf diese Website über dich wissen?")
    expect(button(familiar, "Auswählen")).to_be_visible()
    expect(page.locator("tessera-consent").get_by_role("link")).to_have_text("Deine Daten und deine Rechte")


# -- honest -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "sentence"),
    [
        ("new_purpose", "because a purpose was added"),
        ("notice_changed", "because the wording has changed"),
        ("expired", "because your permission has run out"),
        ("pause_over", "You said no a while ago"),
    ],
)
def test_it_says_why_it_asks_again(page: Page, why: str, sentence: str) -> None:
    expect(visit(page)).not_to_contain_text("again")
    amend(page, "GET", ask={"needed": True, "why": why})
    page.reload()
    expect(page.get_by_role("dialog")).to_contain_text(sentence)


def test_global_privacy_control_is_said_and_sent(page: Page) -> None:
    page.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})"
    )
    first = visit(page)
    expect(first).to_contain_text("Your browser sends Global Privacy Control. We honour it.")
    assert page.evaluate("() => tessera.consent.state().gpc") is True
    with page.expect_request(is_decision) as sent:
        button(first, "Accept all").click()
    body: dict[str, Any] = sent.value.post_data_json or {}
    assert body["gpc"] is True
    assert body["served"]
    decided(page, "analytics", "granted")


def is_decision(request: Request) -> bool:
    return request.method == "PUT" and "/api/v1/consent" in request.url


def test_a_reminder_is_one_line_that_can_be_put_away(page: Page) -> None:
    button(visit(page), "Accept all").click()
    decided(page, "analytics", "granted")
    amend(page, "GET", remind=True)
    page.reload()
    line = news(page)
    expect(line).to_contain_text("A reminder: you allow Statistics, Personal content")
    link = page.locator("tessera-consent").get_by_role("link", name="Your data and your rights")
    expect(link).to_have_attribute("href", f"{page.evaluate('origin')}/privacy/")
    line.get_by_role("button", name="Close").click()
    expect(line).to_be_empty()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_notice_that_changed_meanwhile_is_shown_with_what_was_chosen(
    context: BrowserContext, system: System
) -> None:
    page = context.new_page()  # not watched: a conflict is an error on its console
    button(visit(page), "Choose").click()
    choices(page).get_by_role("switch", name="Personal content").check()
    with reworded(system):
        button(choices(page), "Save my choice").click()
        expect(page.get_by_role("alert")).to_have_text(
            "The wording has changed in the meantime. Please read it again; your choices are still here."
        )
        expect(choices(page)).to_contain_text("We count, in other words.")
        expect(choices(page).get_by_role("switch", name="Personal content")).to_be_checked()
        button(choices(page), "Save my choice").click()
        decided(page, "personalization", "granted")
        assert page.evaluate("() => tessera.consent.state().purposes.analytics") == "refused"


@contextmanager
def reworded(system: System) -> Iterator[None]:
    """Have another notice for the block; the old words come back as a newer one."""
    change = "from consent.models import Purpose; one = Purpose.objects.get(key='analytics'); "
    change += "one.summary = {**one.summary, 'en': %r}; one.save()"
    system.manage("shell", "-c", change % "We count, in other words.")
    yield
    system.manage("shell", "-c", change % "We count what is read and used, to make the site better.")


def test_when_the_api_is_away_it_says_so_and_keeps_what_was_chosen(context: BrowserContext) -> None:
    page = context.new_page()  # not watched: being offline is an error on its console
    button(visit(page), "Choose").click()
    choices(page).get_by_role("switch", name="Statistics").check()
    context.set_offline(True)
    button(choices(page), "Save my choice").click()
    expect(page.get_by_role("alert")).to_have_text(
        "That did not work. Nothing has changed; please try again."
    )
    expect(choices(page).get_by_role("switch", name="Statistics")).to_be_checked()
    context.set_offline(False)
    button(choices(page), "Save my choice").click()
    decided(page, "analytics", "granted")


# -- obeyed in the same page --------------------------------------------------------------------------


def test_the_page_is_told_once_at_the_start_and_after_every_decision(page: Page) -> None:
    page.add_init_script(LISTEN)
    button(visit(page), "Accept all").click()
    decided(page, "analytics", "granted")
    page.evaluate("() => tessera.consent.set({analytics: false})")
    late = "() => new Promise((done) => tessera.consent.onChange(({visitorId}, mode) => done([mode, !!visitorId])))"
    assert page.evaluate(late) == ["set", True]
    told = page.evaluate("told")
    assert [one["mode"] for one in told] == ["load", "accept", "set"]
    assert [one["purposes"]["analytics"] for one in told] == ["unset", "granted", "withdrawn"]
    assert told[2]["purposes"]["personalization"] == "granted"


@pytest.mark.parametrize("order", ["banner first", "snippet first"])
def test_the_snippet_stops_at_the_decision(page: Page, system: System, order: str) -> None:
    key = system.manage("api_key", "create", "own site", "--scope", "ingest").splitlines()[-1]
    snippet = SNIPPET.format(root="", more=f'data-write-key="{key}"')
    question = visit(page, **{"after" if order == "banner first" else "before": snippet})
    sent: list[str] = []

    def note(request: Request) -> None:
        if "/v1/batch" in request.url:
            sent.append(str(request.post_data))

    page.on("request", note)
    button(question, "Accept all").click()
    page.wait_for_function(SENDS)
    page.wait_for_function("() => !localStorage.getItem('tessera.queue')")
    assert '"Now"' in sent[0]
    # in the same breath as the decision, before anything could be read anew
    page.evaluate(
        "() => document.addEventListener('consentchange', () => { for (let n = 0; n < 9; n += 1) tessera.track('Afterwards', {}); })"
    )
    page.evaluate("() => tessera.track('Just before', {})")
    page.get_by_role("button", name="Take everything back").click()
    decided(page, "analytics", "withdrawn")
    page.wait_for_timeout(1000)
    assert "Afterwards" not in "".join(sent)
    assert page.evaluate("localStorage.length") == 0


def test_google_s_tag_is_told_to_wait_and_then_what_was_decided(page: Page) -> None:
    allowed = {"analytics_storage": "granted", "ad_storage": "denied"}
    refused = {"analytics_storage": "denied", "ad_storage": "denied"}
    amend(page, "GET", consent_mode=refused)
    amend(page, "PUT", consent_mode=allowed)
    question = visit(page, "data-consent-mode")
    expect(question).to_be_visible()
    default, loaded = calls(page)
    assert default[:2] == ["consent", "default"]
    assert default[2].pop("wait_for_update") == 500
    assert set(default[2].values()) == {"denied"}
    assert {"ad_storage", "ad_user_data", "ad_personalization", "analytics_storage"} <= default[2].keys()
    assert loaded[1:] == ["update", refused]
    button(question, "Accept all").click()
    decided(page, "analytics", "granted")
    assert calls(page)[2:] == [["consent", "update", allowed]]


def test_google_s_tag_is_not_spoken_to_where_there_is_none(page: Page) -> None:
    expect(visit(page)).to_be_visible()
    assert page.evaluate("() => [typeof dataLayer, typeof gtag]") == ["undefined", "undefined"]


def calls(page: Page) -> list[Any]:
    """Return what was queued for Google's tag, which takes nothing but `arguments`."""
    kinds = page.evaluate("() => dataLayer.map((one) => Object.prototype.toString.call(one))")
    assert set(kinds) == {"[object Arguments]"}
    found: list[Any] = page.evaluate("() => dataLayer.map((one) => [...one])")
    return found


# -- from another origin ------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(system: System, tmp_path: Path) -> Iterator[str]:
    """Serve a site with banner and snippet from the other origin."""
    key = system.manage("api_key", "create", "elsewhere", "--scope", "ingest").splitlines()[-1]
    html = SITE.replace('src="/static', f'src="{system.address}/static')
    more = f'data-write-key="{key}" data-host="{system.address}"'
    after = SNIPPET.format(root=system.address, more=more)
    (tmp_path / "index.html").write_text(html.format(before=ICON, after=after, attributes="", text=""))
    with serving(tmp_path, port=urlsplit(system.other_origin).port or 0):
        yield system.other_origin


def test_another_origin_remembers_a_yes_by_its_token_and_sends_with_it(
    page: Page, context: BrowserContext, elsewhere: str
) -> None:
    page.goto(elsewhere)
    with page.expect_request(lambda one: "/v1/batch" in one.url) as sent:
        button(question(page), "Accept all").click()
        page.wait_for_function(SENDS)
    assert sent.value.headers["x-visitor"]
    assert sent.value.response().json()["accepted"] >= 1  # type: ignore[union-attr]  # an answer, or the test fails
    assert context.cookies() == []
    page.reload()
    decided(page, "analytics", "granted")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate("() => tessera.consent.state().token === localStorage['tessera.token']")
    page.get_by_role("button", name="Take everything back").click()
    decided(page, "analytics", "withdrawn")


def test_another_origin_remembers_a_no_and_asks_again_when_the_notice_changed(
    page: Page, context: BrowserContext, elsewhere: str
) -> None:
    page.goto(elsewhere)
    button(question(page), "Refuse all").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert [cookie["name"] for cookie in context.cookies()] == ["tessera_consent"]
    assert page.evaluate("localStorage.length") == 0
    page.reload()
    decided(page, "analytics", "refused")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.evaluate("() => { document.cookie = 'tessera_consent=refused.0; Path=/'; }")
    page.reload()
    expect(question(page)).to_contain_text("because the wording has changed")


def test_another_origin_forgets_a_token_that_has_run_out(context: BrowserContext, elsewhere: str) -> None:
    page = context.new_page()  # not watched: the refused token is an error on its console
    page.goto(elsewhere)
    page.evaluate("() => localStorage.setItem('tessera.token', 'v1.nobody.0.nothing')")
    page.reload()
    button(question(page), "Accept all").click()
    decided(page, "analytics", "granted")
    assert page.evaluate("() => localStorage['tessera.token'].length > 60")
