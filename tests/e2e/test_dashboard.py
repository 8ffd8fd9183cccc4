"""The privacy dashboard in a browser without script, and the two people of the design: Ada, who said yes, and Ben, who said no."""

import csv
import io
import json
import re
import statistics
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.running import System
from tests.e2e.shop import answer, become, hero, open_shop, served

pytestmark = pytest.mark.e2e
COUNT = "from personalization.models import Event; print(Event.objects.filter(subject_key='{id}').count())"
MOVE_ON = (
    "import datetime as dt; from django.db.models import F; from consent.models import PropagationJob;"
    " print(PropagationJob.objects.filter(state='pending').update("
    "due_at=F('due_at') - dt.timedelta(minutes=10), not_before=F('not_before') - dt.timedelta(minutes=10)))"
)

MANY = (
    "import datetime as dt, uuid; from personalization.models import Event; now = dt.datetime.now(dt.UTC);"
    " Event.objects.bulk_create([Event(site_id=1, subject_key='{id}', key_prefix='t', message_id=uuid.uuid4().hex,"
    " kind='track', name='Product Viewed', properties={{'product_id': 'p%d' % n, 'note': '=1+1, \"quoted\"'}},"
    " happened_at=now, received_at=now, purposes=['analytics']) for n in range({count})])"
)


@pytest.fixture
def plain(page: Page, context: BrowserContext, browser: Browser, system: System) -> Iterator[Page]:
    """Somebody who allowed everything and read a little, in the same browser with JavaScript switched off."""
    open_shop(page)
    answer(page, "Accept all")
    for path in ("/outdoor", "/p/ridgeline-boots", "/"):
        open_shop(page, path)
    page.wait_for_timeout(1500)  # the snippet sends what was seen
    without = browser.new_context(
        base_url=system.address,
        java_script_enabled=False,
        storage_state=context.storage_state(),
        locale="en-GB",
    )
    yield without.new_page()
    without.close()


def events_of(page: Page, system: System) -> int:
    visitor = page.request.get("/api/v1/consent").json()["visitor_id"]
    return int(system.manage("shell", "-v", "0", "-c", COUNT.format(id=visitor)).strip())


def look_until_done(page: Page) -> None:
    """Press "Look again" until nothing is going on any more, as somebody without script does."""
    for _ in range(20):
        again = page.get_by_role("link", name="Look again")
        if not again.is_visible():
            return
        page.wait_for_timeout(1_000)
        again.click()


def switch_off(page: Page, *groups: str) -> None:
    page.goto("/privacy/")
    for group in groups:
        page.get_by_role("group", name=group).get_by_label("Off").check()
    page.get_by_role("button", name="Save my choices").click()


class TestWithoutScript:
    def test_the_effect_is_told_with_true_counts_and_undone_within_its_ten_minutes(
        self, plain: Page, system: System, picture: Callable[..., None]
    ) -> None:
        plain.goto("/")
        personal = plain.content()
        count = events_of(plain, system)
        assert count > 0
        switch_off(plain, "Statistics", "Personal content")
        sealed = plain.locator(".sealed")
        expect(sealed).to_contain_text("Sealed, nothing reads it:")
        expect(sealed).to_contain_text(re.compile(rf"\b{count} events?\b"))
        assert events_of(plain, system) == count
        picture(plain, "sealed")
        plain.goto("/")
        assert plain.content() != personal
        plain.goto("/privacy/")
        plain.get_by_role("button", name="Undo").click()
        expect(plain.get_by_text("Taken back. Everything is as it was.")).to_be_visible()
        assert events_of(plain, system) == count
        expect(plain.get_by_role("group", name="Personal content").get_by_label("On")).to_be_checked()

    def test_after_the_ten_minutes_it_is_deleted_and_there_is_nothing_to_undo(
        self, plain: Page, system: System, picture: Callable[..., None]
    ) -> None:
        count = events_of(plain, system)
        switch_off(plain, "Statistics", "Personal content")
        expect(plain.get_by_role("button", name="Undo")).to_be_visible()
        assert int(system.manage("shell", "-v", "0", "-c", MOVE_ON).strip()) > 0
        plain.get_by_role("button", name="Undo").click()
        expect(
            plain.get_by_text("It is too late to take this back: the ten minutes are over.")
        ).to_be_visible()
        look_until_done(plain)
        said = plain.locator("p.effect")
        expect(said).to_contain_text(re.compile(r"Deleted in \d+\.\d s:"))
        expect(said).to_contain_text(re.compile(rf"\b{count} events?\b"))
        assert events_of(plain, system) == 0
        picture(plain, "deleted")
        row = plain.get_by_role("row", name="Personal content withdrawn")
        with plain.expect_download() as found:
            row.get_by_role("link", name="Save").click()
        receipt = json.loads(Path(found.value.path()).read_text())
        assert {p["event_state"] for p in receipt["purposes"]} == {"withdrawn"}

    def test_delete_now_shows_how_far_it_is(self, plain: Page, system: System) -> None:
        switch_off(plain, "Statistics", "Personal content")
        plain.get_by_role("button", name="Delete now").click()
        look_until_done(plain)
        expect(plain.locator("p.effect")).to_contain_text(re.compile(r"Deleted in \d+\.\d s:"))
        assert events_of(plain, system) == 0

    def test_one_fact_is_hidden_and_shown_and_a_topic_is_switched_off(self, plain: Page) -> None:
        plain.goto("/privacy/")
        plain.get_by_role("button", name="Hide visits").click()
        expect(plain.get_by_text("It is no longer used.")).to_be_visible()
        plain.get_by_role("button", name="Show visits").click()
        expect(plain.get_by_role("button", name="Hide visits")).to_be_visible()
        plain.get_by_role("button", name="Show me nothing about it Gambling").click()
        expect(plain.get_by_role("button", name="Allow again Gambling")).to_be_visible()

    def test_what_was_worked_out_is_deleted_with_what_it_was_worked_out_from(
        self, plain: Page, system: System, picture: Callable[..., None]
    ) -> None:
        plain.goto("/privacy/")
        paths = plain.get_by_role("listitem").filter(
            has=plain.get_by_role("heading", name="paths of the last visit", exact=True)
        )
        paths.locator("summary", has_text="Delete").click()
        said = paths.get_by_text(re.compile(r"It was worked out from \d+ page views?\."))
        expect(said).to_be_visible()
        views = int(re.findall(r"\d+", said.inner_text())[0])
        before = events_of(plain, system)
        picture(plain, "asked")
        paths.get_by_role("button", name="Delete paths of the last visit").click()
        expect(
            plain.get_by_text(re.compile(rf"Deleted\. {views} things? (was|were) deleted"))
        ).to_be_visible()
        assert events_of(plain, system) == before - views
        expect(plain.get_by_role("heading", name="paths of the last visit")).to_have_count(0)
        plain.goto("/privacy/?lang=de")
        plain.get_by_text("Das stimmt nicht").first.click()
        picture(plain, "german")

    def test_a_pause_and_its_end(self, plain: Page) -> None:
        plain.goto("/")
        personal = plain.content()
        plain.goto("/privacy/")
        plain.get_by_label("Pause everything for").select_option("7")
        plain.get_by_role("button", name="Pause").click()
        expect(plain.get_by_text("Paused until")).to_be_visible()
        plain.goto("/")
        assert plain.content() != personal
        plain.goto("/privacy/")
        plain.get_by_role("button", name="End the pause").click()
        expect(plain.get_by_text("The pause is over.")).to_be_visible()

    def test_an_erasure_asks_first_and_can_be_taken_back(
        self, plain: Page, picture: Callable[..., None]
    ) -> None:
        plain.goto("/privacy/")
        plain.get_by_role("link", name="Erase everything").click()
        picture(plain, "erase")
        plain.get_by_label("Yes, erase everything about me").check()
        plain.get_by_role("button", name="Erase everything").click()
        expect(plain.get_by_text("Everything about you will be erased.")).to_be_visible()
        plain.get_by_role("button", name="Undo").click()
        expect(plain.get_by_text("Taken back. Everything is as it was.")).to_be_visible()


@pytest.mark.parametrize("events", [0, 3, 10_000])
def test_a_copy_opens_in_a_browser_and_in_a_spreadsheet_and_its_link_works_once(
    page: Page, browser: Browser, system: System, events: int, tmp_path: Path, picture: Callable[..., None]
) -> None:
    page.goto("/privacy/")
    page.get_by_role("group", name="Statistics").get_by_label("On").check()
    page.get_by_role("button", name="Save my choices").click()
    visitor = page.request.get("/api/v1/consent").json()["visitor_id"]
    system.manage("shell", "-v", "0", "-c", MANY.format(id=visitor, count=events))
    page.get_by_role("button", name="Get a copy").click()
    link = page.get_by_role("link", name="Download")
    expect(link).to_be_visible(timeout=30_000)  # the page looks again by itself
    address = str(link.get_attribute("href"))
    with page.expect_download() as found:
        link.click()
    with zipfile.ZipFile(found.value.path()) as file:
        file.extractall(tmp_path / "copy")
    tables = {one.stem: _table(one) for one in (tmp_path / "copy/csv").iterdir()}
    assert all(len({len(row) for row in rows}) == 1 for rows in tables.values())
    assert len(tables.get("events", [[]])) == events + 1
    assert json.loads((tmp_path / "copy/data.json").read_text())["subject"] == visitor
    reader = browser.new_page()
    reader.goto((tmp_path / "copy/index.html").as_uri())
    expect(reader.get_by_role("heading", level=1)).to_have_text("Your data")
    assert reader.locator("tbody tr").count() == sum(len(rows) - 1 for rows in tables.values())
    picture(reader, f"copy-{events}", full_page=False)
    reader.close()
    again = page.request.get(address)
    assert (again.status, "This link is used up" in again.text()) == (410, True)


def _table(path: Path) -> list[list[str]]:
    """Read a table as a spreadsheet does."""
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"))))


def test_withdrawing_takes_no_more_clicks_than_consenting(page: Page) -> None:
    open_shop(page)
    answer(page, "Accept all")  # one click
    page.goto("/privacy/")
    page.get_by_role("button", name="Refuse everything").click()  # one click
    expect(page.get_by_text("Sealed, nothing reads it:").first).to_be_visible()


def test_everything_is_reached_with_the_keyboard_and_nothing_is_wrong_for_axe(
    page: Page, violations: Callable[[Page], str], picture: Callable[..., None]
) -> None:
    open_shop(page)
    become(page, "Farid")
    for path in ("/privacy/", "/privacy/erase/", "/privacy/?lang=de"):
        page.goto(path)
        assert violations(page) == ""
    page.goto("/privacy/")
    controls = "a[href], button:not([hidden]), input:not([type=hidden]), select, summary, [tabindex='0']"
    wanted = page.locator(f":is({controls}):visible").count()
    reached = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    radios = page.locator("input[type=radio]:visible").count()
    assert (
        len(reached) >= wanted - radios // 2 - 2
    )  # of two radio buttons one is reached, the arrows lead to the other
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert violations(page) == ""
    small = [
        box
        for one in page.locator("button:visible, .button:visible, select:visible").all()
        if (box := one.bounding_box()) and box["height"] < 43.9
    ]
    assert small == []
    picture(page, "phone")


def test_axe_finds_nothing_in_any_state_of_the_page(
    page: Page, violations: Callable[[Page], str], picture: Callable[..., None]
) -> None:
    open_shop(page)
    become(page, "Farid")
    page.goto("/privacy/")
    seen = {}

    def look(state: str, said: str) -> None:
        expect(page.get_by_text(said).first).to_be_visible()
        seen[state] = violations(page)
        picture(page, state)

    page.get_by_role("group", name="Personal content").get_by_label("Off").check()
    page.get_by_role("button", name="Save my choices").click()
    look("sealed", "Sealed, nothing reads it:")
    page.get_by_role("button", name="Undo").first.click()
    look("undone", "Taken back")
    page.get_by_role("button", name="Get a copy").click()
    assert page.locator("meta[http-equiv=refresh]").count() == 0
    expect(page.get_by_role("link", name="Download")).to_be_visible(timeout=30_000)
    look("copy", "Once, until")
    page.get_by_role("button", name="Pause").first.click()
    look("paused", "Paused until")
    page.get_by_role("button", name="End the pause").click()
    page.get_by_role("link", name="Erase everything").click()
    look("erase", "Erase everything")
    assert {state: found for state, found in seen.items() if found} == {}


def test_following_work_leaves_alone_what_somebody_writes(page: Page, system: System) -> None:
    open_shop(page)
    become(page, "Farid")
    page.goto("/privacy/")
    page.get_by_role("button", name="Get a copy").click()
    page.locator("details:has(input[name=value]) summary").first.click()
    writes = page.locator("input[name=value]:visible").first
    writes.fill("half written")
    expect(page.get_by_role("link", name="Download")).to_be_visible(timeout=30_000)
    expect(writes).to_have_value("half written")


def test_ben_says_no_and_nothing_tells_him_apart_and_his_page_is_as_quick(
    browser: Browser, system: System
) -> None:
    kept, times = [], dict[str, list[float]]()
    for name in ("ben", "also ben"):
        context = browser.new_context(base_url=system.address, locale="en-GB")
        page = context.new_page()
        open_shop(page)
        answer(page, "Refuse all")
        page.goto("/privacy/")
        page.goto("/")
        storage = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
        kept.append((storage, [(c["name"], c["value"]) for c in context.cookies()], served(page)))
        times[name] = [_seconds(page) for _ in range(15)]
        context.close()
    assert kept[0] == kept[1]
    unknown = browser.new_context(base_url=system.address, locale="en-GB")
    stranger = unknown.new_page()
    stranger.goto("/")
    times["nobody"] = [_seconds(stranger) for _ in range(15)]
    assert hero(stranger)
    unknown.close()
    assert statistics.median(times["ben"]) < 1.5 * statistics.median(times["nobody"]) + 0.02


def _seconds(page: Page) -> float:
    began = time.perf_counter()
    assert page.request.get("/").ok
    return time.perf_counter() - began
