"""The privacy desk in a browser: every screen is read by axe, a request is answered, and a tampered ledger says where."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.desk import enter
from tests.e2e.running import System
from tests.e2e.shop import become, open_shop

pytestmark = pytest.mark.e2e
SCREENS = {
    "desk": "/admin/consent/privacyrequest/desk/",
    "requests": "/admin/consent/privacyrequest/",
    "processing": "/admin/consent/privacyrequest/desk/processing/",
    "rates": "/admin/consent/privacyrequest/desk/rates/",
    "ledger": "/admin/consent/consentevent/",
    "purposes": "/admin/consent/purpose/",
    "notices": "/admin/consent/noticeversion/",
    "effects": "/admin/consent/propagationjob/",
    "access": "/admin/consent/accesslog/",
}


@pytest.fixture
def olga(browser: Browser, system: System, watch: Callable[[Page], Page]) -> Page:
    """Log in whoever answers for privacy."""
    return watch(enter(browser, system.address, system.login("admin")))


def test_axe_finds_nothing_on_any_screen_of_the_desk(
    page: Page, olga: Page, violations: Callable[..., str], picture: Callable[..., None]
) -> None:
    open_shop(page)
    become(page, "Farid")
    page.goto("/privacy/")
    page.get_by_role("button", name="Get a copy").click()
    found = {}
    for name, path in SCREENS.items():
        olga.goto(path)
        expect(olga.locator("h1, h2").first).to_be_visible()
        found[name] = violations(olga, "#content-main, #changelist")  # the frame around it is the theme's
        picture(olga, name)
        olga.set_viewport_size({"width": 390, "height": 844})
        over = olga.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        picture(olga, f"{name}-phone")
        olga.set_viewport_size({"width": 1400, "height": 900})
        assert over <= 0, f"{name} runs over the edge of a phone by {over} pixels"
    assert {name: said for name, said in found.items() if said} == {}


TURN = (
    "from django.db import connection; c = connection.cursor();"
    "c.execute('SET session_replication_role = replica');"
    "c.execute(\"UPDATE consent_consentevent SET method = %s WHERE subject_key = %s AND seq = 1\", ['{method}', '{who}'])"
)


def test_a_request_is_answered_and_the_person_reads_the_answer(
    page: Page, olga: Page, system: System, picture: Callable[..., None]
) -> None:
    open_shop(page)
    become(page, "Farid")
    who = visitor_of(page)
    page.goto("/privacy/")
    visits = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="visits", exact=True))
    visits.get_by_text("This is wrong").click()
    visits.get_by_label("What would be right?").fill("I was here once")
    visits.get_by_role("button", name="Ask the site to correct this").click()
    expect(page.get_by_text("Until you show it again, it is not used.")).to_be_visible()
    expect(page.get_by_role("button", name="Show visits")).to_be_visible()
    olga.goto(SCREENS["desk"])
    expect(olga.get_by_role("link", name="Rectification").first).to_be_visible()
    olga.goto(f"{SCREENS['requests']}?q={who}&clock=open")
    olga.locator("#result_list tbody a").first.click()
    expect(olga.get_by_text("I was here once")).to_be_visible()
    picture(olga, "request")
    olga.get_by_role("link", name="Refuse…").click()
    olga.get_by_role("button", name="Refuse").click()  # without a sentence
    expect(olga.locator("textarea, input[name=sentence]").first).to_be_focused()
    olga.get_by_role("link", name="Cancel").click()
    olga.get_by_role("link", name="Mark as done").click()
    olga.locator("[name=sentence]").fill("One visit it is.")
    olga.get_by_role("button", name="Mark as done").click()
    expect(olga.get_by_text("The request is done.")).to_be_visible()
    picture(olga, "answered")
    page.goto("/privacy/")
    expect(page.get_by_text("One visit it is.")).to_be_visible()


def test_an_entry_that_was_changed_is_shown_as_broken_at_its_place(
    page: Page, olga: Page, system: System, picture: Callable[..., None]
) -> None:
    open_shop(page)
    become(page, "Farid")
    who = visitor_of(page)
    olga.goto(f"{SCREENS['ledger']}?q={who}")
    rows = olga.locator("#result_list tbody tr")
    count = rows.count()
    assert count > 1
    expect(olga.get_by_text("unbroken")).to_have_count(count)
    method = system.manage(
        "shell", "-v", "0", "-c",
        f"from consent.models import ConsentEvent; print(ConsentEvent.objects.get(subject_key='{who}', seq=1).method)",
    ).strip()  # fmt: skip
    system.manage("shell", "-v", "0", "-c", TURN.format(who=who, method="forged"))
    try:
        olga.reload()
        expect(rows.last.get_by_text("broken here")).to_be_visible()
        picture(olga, "broken")
        olga.goto(SCREENS["desk"])
        picture(olga, "desk-broken")
    finally:
        system.manage("shell", "-v", "0", "-c", TURN.format(who=who, method=method))
    olga.goto(f"{SCREENS['ledger']}?q={who}")
    expect(olga.get_by_text("unbroken")).to_have_count(count)


def visitor_of(page: Page) -> str:
    """Return the visitor_id of who the browser is."""
    who: str = page.request.get("/api/v1/consent").json()["visitor_id"]
    return who
