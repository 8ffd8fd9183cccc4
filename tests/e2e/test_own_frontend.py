"""The example front end, served from another origin: consent, a page, an event, the way back, and no cookie."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.files import serving
from tests.e2e.running import ROOT, System

pytestmark = pytest.mark.e2e


@pytest.fixture
def frontend(system: System) -> Iterator[str]:
    """Serve examples/frontend from the other origin."""
    port = urlsplit(system.other_origin).port or 0
    with serving(Path(ROOT, "examples", "frontend"), port=port):
        yield system.other_origin


def test_another_origin_asks_shows_sends_and_takes_back_without_a_cookie(
    page: Page,
    context: BrowserContext,
    frontend: str,
    system: System,
    violations: Callable[[Page], str],
    picture: Callable[..., None],
) -> None:
    key = system.manage("api_key", "create", "example", "--scope", "ingest").splitlines()[-1]
    page.goto(frontend)
    assert violations(page) == ""
    page.get_by_label("Address of the API").fill(system.address)
    page.get_by_label("Write key, for events").fill(key)
    reason = page.locator("#reason")
    _step(page, "1.", "GET /api/v1/consent → 200")
    _step(page, "6.", "GET /api/v1/pages/ → 200")
    anonymous = page.locator(".shop").inner_text()
    expect(reason).to_contain_text("using nothing personal")
    _step(page, "2.", "PUT /api/v1/consent → 200")
    expect(page.locator("#visitor")).to_contain_text("Token: ")
    _step(page, "3.", "GET /api/v1/pages/ → 200")
    expect(reason).to_have_text("Variant “new”, because: matched, using personalization")
    picture(page, "new")
    _step(page, "4.", "POST /v1/track → 200")
    expect(page.locator("#answer")).to_contain_text('"accepted": 1')
    _step(page, "3.", "GET /api/v1/pages/ → 200")
    expect(reason).not_to_contain_text("Variant “new”")
    _step(page, "5.", "PUT /api/v1/consent → 200")
    expect(page.locator("#visitor")).to_have_text("Nobody: no token.")
    _step(page, "6.", "GET /api/v1/pages/ → 200")
    expect(reason).to_contain_text("using nothing personal")
    assert page.locator(".shop").inner_text() == anonymous
    assert context.cookies() == []
    picture(page, "anonymous-again")


def _step(page: Page, number: str, request: str) -> None:
    """Take a step and wait for its answer."""
    page.locator("#request").evaluate("(one) => { one.textContent = ''; }")
    page.get_by_role("button", name=number).click()
    expect(page.locator("#request")).to_have_text(request)
