"""The editor's desk as people use it: logging in, opening folded rows, choosing from lists, building a rule."""

from playwright.sync_api import Browser, Locator, Page, TimeoutError, expect

from tests.e2e.running import Login

NEAREST_ROW = "xpath=ancestor::*[contains(@class, 'form-group ')][1]"


def enter(browser: Browser, address: str, login: Login) -> Page:
    """Log in, in a browser of one's own."""
    context = browser.new_context(base_url=address, locale="en-GB", viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.goto("/admin/login/")
    page.locator("input[name=username]").fill(login.user)
    page.locator("input[name=password]").fill(login.password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/")
    return page


def visible(control: Locator) -> Locator:
    """Unfold the row that a control stands in; a new row unfolds by itself, a moment after it was added."""
    if not _shows(control):
        control.locator(NEAREST_ROW).locator("h3 strong").first.click()
        expect(control).to_be_visible()
    return control


def _shows(control: Locator) -> bool:
    try:
        control.wait_for(state="visible", timeout=1_000)
    except TimeoutError:
        return False
    return True


def save(page: Page, *, button: str = "Save and continue editing") -> None:
    """Save, and expect to be told so and nothing else."""
    with page.expect_navigation():
        page.get_by_role("button", name=button, exact=True).click()
    expect(page.locator(".errornote, .errorlist, ul.errors").filter(visible=True)).to_have_count(0)


def choose_block(page: Page, name: str, key: str) -> None:
    """Choose a block in a searchable list."""
    field = page.locator(f"select[name='{name}']").locator("xpath=..")
    field.locator(".select2-selection").click()
    page.locator(".select2-search__field").last.fill(key)
    page.locator(".select2-results__option", has_text=key).first.click()


def declare(page: Page, index: int, texts: dict[str, str], *, ticks: tuple[str, ...] = ()) -> None:
    """Add a field or a slot to a list of declarations."""
    page.locator(".json-editor-btntype-add:visible").last.click()
    row = page.locator(f"[data-schemapath$='.{index}']").first
    title = row.get_by_label("Title", exact=True).first
    if not _shows(title):
        row.get_by_title("Expand").first.click()
    for label, text in texts.items():
        row.get_by_label(label, exact=True).first.fill(text)
    for label in ticks:
        row.get_by_label(label, exact=True).first.check()


def condition(builder: Locator, fact: str, operator: str) -> Locator:
    """Add one condition to a rule and return its place, for the value."""
    builder.get_by_role("button", name="Add a condition to the rule").click()
    builder.get_by_label("Fact of condition 1").select_option(fact)
    builder.get_by_label("Operator of condition 1").select_option(label=operator)
    return builder
