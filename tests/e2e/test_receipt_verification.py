"""Receipts checked in the visitor's own browser: what is real holds; edits, other keys and a rewritten ledger show."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Playwright, Route, expect

from tests.e2e.running import System

pytestmark = pytest.mark.e2e

POLICY = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'"
MAKE_CHECKPOINT = (
    "import datetime as dt; from consent.checkpoints import make; make(now=dt.datetime.now(dt.UTC))"
)
PAGE = """<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>Check a receipt</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/consent/privacy.css"><link rel="stylesheet" href="/static/consent/verify.css">
<script src="/static/consent/verify.js" defer></script></head><body><main><h1>Check a receipt</h1>
<div class="scroll" tabindex="0" role="region" aria-label="History"><table><thead><tr><th scope="col">Decision</th><th scope="col">Receipt</th></tr></thead><tbody>
<tr><td>The newest</td><td><button type="button" data-verify-href="/newest.json" hidden>Check</button></td></tr>
<tr><td>One that is gone</td><td><button type="button" data-verify-href="/gone.json" hidden>Check the other</button></td></tr>
</tbody></table></div>
<section data-verify-receipt data-href="/.well-known/consent-ledger.json" aria-labelledby="check">
<h2 id="check">Receipts</h2><p data-verify-fallback>Checking needs JavaScript.</p></section></main></body></html>"""

Receipt = dict[str, Any]


class Person:
    """Somebody who decides, and saves what they are given."""

    def __init__(self, system: System, playwright: Playwright) -> None:
        self.system, self.api = system, playwright.request.new_context(base_url=system.address)
        self.token = self.id = ""

    def decide(self, **purposes: bool) -> Receipt:
        """Return the receipt of the answer; it has no checkpoint yet."""
        headers = {"X-Visitor": self.token} if self.token else {}
        notice = self.api.get("/api/v1/consent").json()["notice"]["version"]
        answer = self.api.put(
            "/api/v1/consent", data={"purposes": purposes, "notice": notice}, headers=headers
        ).json()
        self.token, self.id = answer["token"], answer["visitor_id"]
        receipt: Receipt = answer["receipt"]
        return receipt

    def history(self) -> list[Receipt]:
        """Return all receipts, each with its checkpoint."""
        self.system.manage("shell", "-c", MAKE_CHECKPOINT)
        found: list[Receipt] = self.api.get(
            "/api/v1/consent/history", headers={"X-Visitor": self.token}
        ).json()
        return found


@pytest.fixture
def person(system: System, playwright: Playwright) -> Iterator[Person]:
    """Make somebody who was never here."""
    one = Person(system, playwright)
    yield one
    one.api.dispose()


@pytest.fixture
def receipt(person: Person) -> Receipt:
    """Let them decide, and return the receipt once a checkpoint holds it."""
    person.decide(personalization=True, analytics=False)
    (one,) = person.history()
    return one


def open_checker(page: Page, *, language: str = "en", newest: Any = None) -> None:
    """Open a page of the site's origin with the section in it, under the site's own policy."""

    def shown(route: Route) -> None:
        headers = {"Content-Security-Policy": POLICY, "Content-Type": "text/html; charset=utf-8"}
        route.fulfill(body=PAGE.replace("{language}", language), headers=headers)

    page.route("**/check-a-receipt", shown)
    page.route("**/newest.json", lambda route: route.fulfill(json=newest))
    page.goto("/check-a-receipt")


def choose(page: Page, content: Any, name: str = "receipt.json") -> None:
    """Give the page a file to check."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    file = {"name": name, "mimeType": "application/json", "buffer": data}
    page.locator("input[type=file]").set_input_files(files=[file])  # type: ignore[list-item]


def says(page: Page | Locator, text: str) -> None:
    expect(page.get_by_role("status")).to_contain_text(text)


def step(page: Page, text: str, state: str = "OK") -> None:
    """Look for a step with its word, which says the same as its colour and its sign."""
    item = page.get_by_role("listitem").filter(has_text=text)
    expect(item).to_be_visible()
    expect(item).to_contain_text(f"{state}: ")


def test_the_receipt_of_a_decision_holds_in_every_step(
    page: Page, receipt: Receipt, violations: Callable[[Page], str], picture: Callable[..., None]
) -> None:
    open_checker(page)
    assert violations(page) == ""
    choose(page, receipt)
    says(page, "This receipt holds.")
    expect(page.get_by_role("listitem")).to_have_count(7)
    for text in (
        "same person",
        "every entry gives",
        "belongs to its",
        "checkpoint gives",
        "is signed with",
        "names the key",
        "still publishes",
    ):
        step(page, text)
    expect(page.get_by_text("personalization: allowed")).to_be_visible()
    assert violations(page) == ""
    picture(page, "holds")


def test_a_receipt_that_was_edited_fails_and_says_where(
    page: Page, receipt: Receipt, violations: Callable[[Page], str], picture: Callable[..., None]
) -> None:
    open_checker(page)
    edited = copy.deepcopy(receipt)
    edited["purposes"][0]["event_state"] = "withdrawn"
    choose(page, edited)
    says(page, "This receipt does not hold.")
    step(page, "says something else than its entries of the ledger (event_state)", "Failed")
    edited["ledger"][0]["clear"]["action"] = "withdrawn"
    choose(page, edited)
    step(page, "does not give the hash that it carries (", "Failed")
    says(page, "somebody edited it")
    assert violations(page) == ""
    picture(page, "edited")


def test_a_receipt_with_another_key_fails(page: Page, receipt: Receipt) -> None:
    open_checker(page)
    choose(page, receipt | {"ledger_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="})
    says(page, "This receipt does not hold.")
    step(page, "names another key than the site publishes", "Failed")
    step(page, "is not signed with the key", "Failed")


def test_a_receipt_that_was_saved_before_the_ledger_was_rewritten_fails(
    page: Page,
    person: Person,
    receipt: Receipt,
    system: System,
    monkeypatch: pytest.MonkeyPatch,
    picture: Callable[..., None],
) -> None:
    open_checker(page)
    choose(page, receipt)
    says(page, "This receipt holds.")
    monkeypatch.setenv("REWRITTEN", person.id)
    system.manage("shell", "-c", (Path(__file__).parent / "rewriting.py").read_text())
    choose(page, receipt, "saved before.json")
    says(page, "This receipt does not hold.")
    says(page, "the ledger was rewritten after this receipt was saved")
    expect(page.get_by_text("saved before.json")).to_be_visible()
    for text in ("every entry gives", "belongs to its", "is signed with", "names the key"):
        step(page, text)  # the operator holds the key: only what was saved contradicts them
    picture(page, "rewritten")
    choose(page, person.history())
    says(page, "This receipt holds.")  # and the rewritten one is sound in itself


def test_a_fresh_receipt_says_that_it_has_no_checkpoint_yet(
    page: Page, person: Person, violations: Callable[[Page], str], picture: Callable[..., None]
) -> None:
    fresh = person.decide(personalization=True)
    open_checker(page)
    choose(page, fresh)
    says(page, "Not tied to a checkpoint yet; save the receipt again in a minute.")
    step(page, "every entry gives")
    expect(page.get_by_role("listitem").filter(has_text="Not checked: Not tied")).to_have_count(4)
    assert violations(page) == ""
    picture(page, "pending")


def test_a_whole_history_is_checked_at_once(page: Page, person: Person) -> None:
    person.decide(personalization=True)
    person.decide(personalization=False)
    history = person.history()
    assert len(history) == 2
    open_checker(page)
    choose(page, history)
    says(page, "2 of 2 receipts hold; 0 do not.")
    history[1]["ledger"][0]["clear"]["action"] = "refused"
    choose(page, history)
    says(page, "1 of 2 receipts hold; 1 does not.")
    expect(page.locator("details[open] > summary")).to_contain_text("This receipt does not hold.")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"\xff{", "cannot be read"), (b"{}", "This is no receipt."), (b"[]", "There is no receipt")],
)  # fmt: skip
def test_what_is_no_receipt_is_told_so(page: Page, content: bytes, sentence: str) -> None:
    open_checker(page)
    choose(page, content)
    says(page, sentence)
    expect(page.locator(".verify-answer.verify-failed")).to_be_visible()


def test_a_file_that_is_too_large_is_not_read(page: Page, tmp_path: Path) -> None:
    open_checker(page)
    file = tmp_path / "large.json"
    file.write_bytes(b" " * 11_000_000)
    page.locator("input[type=file]").set_input_files(file)
    says(page, "too large")


def test_markup_in_a_file_stays_text(page: Page, receipt: Receipt) -> None:
    open_checker(page)
    receipt["ledger"][0]["clear"]["purpose"] = "<img src=x onerror=alert(1)>"
    choose(page, receipt, "<b>name.json")
    says(page, "<img src=x onerror=alert(1)>")
    expect(page.locator(".verify img, .verify b")).to_have_count(0)


def test_a_button_beside_a_row_checks_what_its_address_answers(
    page: Page, context: Any, receipt: Receipt
) -> None:
    open_checker(page, newest=receipt)
    row = page.get_by_role("row", name="The newest")
    row.get_by_role("button", name="Check").press("Enter")
    says(page, "This receipt holds.")
    expect(row.locator(".verify-beside")).to_have_text(re.compile("^✓holds"))
    row.get_by_role("link", name="Details").click()
    expect(page.get_by_role("status")).to_be_in_viewport()


def test_on_the_privacy_page_each_decision_is_checked_beside_its_row(
    page: Page, system: System, picture: Callable[..., None]
) -> None:
    notice = page.request.get("/api/v1/consent").json()["notice"]["version"]
    page.request.put("/api/v1/consent", data={"purposes": {"personalization": True}, "notice": notice})
    system.manage("shell", "-c", MAKE_CHECKPOINT)
    page.goto("/privacy/")
    page.locator("[data-verify-href]").first.click()
    says(page.locator("[data-verify-receipt]"), "This receipt holds.")
    expect(page.locator(".verify-beside")).to_contain_text("holds")
    picture(page, "dashboard")


def test_a_button_whose_receipt_cannot_be_fetched_says_so(browser: Browser, system: System) -> None:
    page = browser.new_context(base_url=system.address).new_page()  # unwatched: the browser logs the 404
    open_checker(page)
    page.get_by_role("button", name="Check the other").click()
    says(page, "The receipt could not be fetched.")
    expect(page.get_by_role("row", name="One that is gone")).to_contain_text("could not be checked")
    page.context.close()


def test_nothing_is_proved_while_the_published_checkpoints_cannot_be_read(
    browser: Browser, system: System, receipt: Receipt
) -> None:
    page = browser.new_context(base_url=system.address).new_page()  # unwatched: the browser logs the failure
    page.route("**/.well-known/*", lambda route: route.abort())
    open_checker(page)
    choose(page, receipt)
    says(page, "This receipt could not be checked to the end.")
    page.context.close()


def test_a_browser_without_the_signature_says_so_and_checks_the_rest(page: Page, receipt: Receipt) -> None:
    page.add_init_script(
        "crypto.subtle.importKey = () => Promise.reject(new DOMException('Unrecognized name.', 'NotSupportedError'));"
    )
    open_checker(page)
    choose(page, receipt)
    says(page, "This receipt holds, as far as this browser can check.")
    step(page, "The signature could not be checked in this browser.", "Not checked")


def test_the_keyboard_reaches_the_file_chooser_and_a_file_can_be_dropped(
    page: Page, receipt: Receipt
) -> None:
    open_checker(page)
    chooser = page.get_by_label("Check a receipt that you saved")
    for _ in range(10):
        page.keyboard.press("Tab")
        if chooser.evaluate("(one) => one === document.activeElement"):
            break
    with page.expect_file_chooser():
        page.keyboard.press("Space")
    dropped = "(text) => { const data = new DataTransfer(); data.items.add(new File([text], 'dropped.json')); return data; }"
    data = page.evaluate_handle(dropped, json.dumps(receipt))
    page.locator(".verify-zone").dispatch_event("drop", {"dataTransfer": data})
    says(page, "This receipt holds.")


def test_it_speaks_german_by_night_on_a_phone(
    page: Page, receipt: Receipt, violations: Callable[[Page], str], picture: Callable[..., None]
) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    page.emulate_media(color_scheme="dark")
    open_checker(page, language="de")
    expect(page.get_by_label("Einen gespeicherten Beleg prüfen")).to_be_visible()
    choose(page, receipt)
    says(page, "Dieser Beleg stimmt.")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert violations(page) == ""
    receipt["ledger"][0]["checkpoint"]["n"] += 1
    choose(page, receipt)
    says(page, "Dieser Beleg stimmt nicht.")
    says(page, "Jemand hat ihn verändert.")
    assert violations(page) == ""
    picture(page, "german")


def test_without_script_the_section_says_what_it_needs(browser: Browser, system: System) -> None:
    page = browser.new_context(base_url=system.address, java_script_enabled=False).new_page()
    open_checker(page)
    expect(page.get_by_text("Checking needs JavaScript.")).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)
    page.context.close()
