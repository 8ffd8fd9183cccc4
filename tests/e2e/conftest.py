"""What every browser test has: a running product, Debian's Chromium, and a page that is watched for errors.

In: `CHROMIUM` (else the first one found), `E2E_SCREENSHOTS` (a folder for pictures of every step; else a temporary one).
Out: `system` (one per run), `page` (a new visitor each), `watch` (of further pages), `picture`, `violations`.
A page that logs an error, throws, or breaks its content security policy fails its test.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.running import System, running

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

if find_spec("playwright") is None:  # without requirements-e2e.txt nothing here can even be collected
    collect_ignore_glob = ["test_*.py"]

ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
AXE_OPTIONS = {"resultTypes": ["violations"]}


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Run the product for all tests; they share its demo, and each is another visitor."""
    var = tmp_path_factory.mktemp("tessera")
    for folder in (var, *var.parents[:2]):  # the services run as nobody where the tests run as root
        folder.chmod(0o755)
    with running(var) as one:
        yield one


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Start the system's own Chromium."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.exit("The browser tests need Chromium: install it, or set CHROMIUM to its path.", returncode=1)
    return {"executable_path": found, "args": list(ARGUMENTS)}


@pytest.fixture(scope="session")
def browser_context_args(system: System) -> dict[str, Any]:
    """Make every context a visitor in Berlin who reads English."""
    return {
        "base_url": system.address,
        "locale": "en-GB",
        "timezone_id": "Europe/Berlin",
        "reduced_motion": "reduce",  # what slides in is measured where it comes to rest
    }


@pytest.fixture
def watch() -> Iterator[Callable[[Page], Page]]:
    """Watch a page; what it complained about fails the test at its end."""
    complaints: list[str] = []

    def watched(page: Page) -> Page:
        page.on("console", lambda m: m.type == "error" and complaints.append(f"{page.url}: {m.text}"))
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.set_default_timeout(10_000)
        return page

    yield watched
    assert complaints == []


@pytest.fixture
def page(context: BrowserContext, watch: Callable[[Page], Page]) -> Page:
    """Open a watched page as somebody who was never here."""
    return watch(context.new_page())


@pytest.fixture
def picture(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return a function that keeps a picture of a page under a name."""
    folder = Path(os.environ.get("E2E_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def keep(page: Page, name: str, *, full_page: bool = True) -> None:
        page.screenshot(path=folder / f"{request.node.originalname}-{name}.png", full_page=full_page)

    return keep


@pytest.fixture(scope="session")
def violations() -> Callable[..., str]:
    """Return a function that reads a page, or what is `within` it, as axe does, and reports what it found ("" is nothing)."""
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()

    def found(page: Page, within: str | None = None) -> str:
        results = axe.run(page, context=within, options=AXE_OPTIONS)
        return results.generate_report() if results.violations_count else ""

    return found
