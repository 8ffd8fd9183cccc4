"""The demo shop as a visitor handles it: what is on a page, and the few things that one can do there."""

from playwright.sync_api import Locator, Page, expect

PATHS = ("/", "/outdoor", "/grocery", "/about", "/p/ridgeline-boots", "/p/fjord-tent", "/p/morning-roast")
# What the script adds to the finished page, and what is different in each answer anyway.
ADDED = "tessera-consent, .withdrawal, .dock, .why, .toast, .buy, script[data-write-key]"


def open_shop(page: Page, path: str = "/") -> None:
    """Open a page of the shop and wait for what its script adds."""
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == 200
    wait_for_script(page)


def wait_for_script(page: Page) -> None:
    """Wait for what the shop's script adds; a machine that is too busy to render in time sends the plain page first."""
    for _ in range(3):
        if page.locator("script[src*=storefront]").count():
            break
        page.reload()
    expect(page.locator(".dock")).to_be_visible()


def banner(page: Page) -> Locator:
    """Return the question for consent."""
    return page.get_by_role("dialog", name="May this shop remember you?")


def choices(page: Page) -> Locator:
    """Return the second layer of the question."""
    return page.get_by_role("dialog", name="What you allow")


def answer(page: Page, words: str) -> None:
    """Answer the question, on whichever layer, and wait for the page that follows from it."""
    with page.expect_navigation():
        page.get_by_role("dialog").get_by_role("button", name=words).click()
    wait_for_script(page)


def become(page: Page, persona: str) -> None:
    """Read on as one of the demo's people."""
    page.get_by_label("Read as").select_option(label=persona)
    with page.expect_navigation():
        page.get_by_role("button", name="Go", exact=True).click()
    wait_for_script(page)


def hero(page: Page) -> str:
    """Return the headline of the hero."""
    return page.locator("h1").inner_text()


def served(page: Page) -> str:
    """Return the body as the server sent it, for a comparison of two visitors."""
    removed = "(added) => { const body = document.body.cloneNode(true);"
    removed += " body.querySelectorAll(added).forEach((one) => one.remove()); return body.innerHTML.trim(); }"
    return str(page.evaluate(removed, ADDED))
