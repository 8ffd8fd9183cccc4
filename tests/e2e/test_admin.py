"""An author makes everything that a page needs, without JSON and without a developer; a publisher lets readers see it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.desk import choose_block, condition, declare, enter, save, visible
from tests.e2e.running import System

pytestmark = pytest.mark.e2e

BLOCK_SOURCE = '<section class="notice"><h1>{{ fields.headline }}</h1><p>{{ fields.text }}</p></section>'
PAGE_SOURCE = (
    '<!doctype html><html lang="{{ page.locale }}"><head><meta charset="utf-8"><title>{{ page.title }}</title></head>'
    "<body><main>{% for item in slots.main %}{{ item.html }}{% endfor %}</main></body></html>"
)
SCREENS = (
    *("/admin/", "/admin/cms/page/", "/admin/cms/block/", "/admin/cms/media/", "/admin/cms/blocktype/"),
    *("/admin/cms/template/", "/admin/personalization/segment/", "/admin/personalization/trait/"),
    *("/admin/personalization/attribute/", "/admin/personalization/segmentrun/", "/admin/cms/media/add/"),
    *("/admin/cms/block/add/?type=hero", "/admin/cms/site/", "/admin/personalization/trait/add/"),
)

Desk = Callable[[str], Page]


@pytest.fixture
def desk(browser: Browser, system: System, watch: Callable[[Page], Page]) -> Desk:
    """Return a function that logs somebody in."""
    return lambda user: watch(enter(browser, system.address, system.login(user)))


def test_an_author_makes_a_personalised_page_and_only_a_publisher_lets_readers_see_it(
    desk: Desk, page: Page, picture: Callable[..., None]
) -> None:
    arthur = desk("arthur")
    make_block_type(arthur, picture)
    make_block(arthur, "notice-everybody", "Good day", picture)
    make_block(arthur, "notice-autumn", "Autumn is here", picture)
    make_template(arthur, picture)
    make_segment(arthur, picture)
    make_page(arthur, picture)
    add_variant(arthur, picture)
    see_as(arthur, picture)
    paula = desk("paula")
    assert_only_paula_publishes(arthur, paula, page, picture)
    publish(paula, "/admin/cms/block/?q=notice-autumn", "notice-autumn")
    publish(paula, "/admin/cms/page/?q=/notices", "/notices")
    picture(paula, "16-published")
    assert_readers_see_it(page, picture)


def make_block_type(arthur: Page, picture: Callable[..., None]) -> None:
    arthur.goto("/admin/cms/blocktype/add/")
    arthur.locator("#id_title").fill("Notice")
    arthur.locator("#id_key").fill("notice")
    declare(arthur, 0, {"Title": "Headline", "Key": "headline"}, ticks=("Required", "One value per language"))
    declare(arthur, 1, {"Title": "Text", "Key": "text"}, ticks=("One value per language",))
    arthur.locator("#id_source").fill(BLOCK_SOURCE)
    picture(arthur, "01-block-type")
    save(arthur)


def make_block(arthur: Page, key: str, headline: str, picture: Callable[..., None]) -> None:
    arthur.goto("/admin/cms/block/add/")
    arthur.get_by_role("link", name="Notice Headline, Text").click()
    arthur.locator("#id_key").fill(key)
    arthur.get_by_label("Headline").first.fill(headline)
    picture(arthur, f"02-{key}")
    save(arthur)
    expect(arthur.get_by_text("draft", exact=True).first).to_be_visible()


def make_template(arthur: Page, picture: Callable[..., None]) -> None:
    arthur.goto("/admin/cms/template/add/")
    arthur.locator("#id_title").fill("Notices")
    arthur.locator("#id_key").fill("notices")
    declare(arthur, 0, {"Title": "Main", "Key": "main", "At least": "1"}, ticks=("Notice",))
    arthur.locator("#id_source").fill(PAGE_SOURCE)
    picture(arthur, "03-template")
    save(arthur)


def make_segment(arthur: Page, picture: Callable[..., None]) -> None:
    arthur.goto("/admin/personalization/segment/add/")
    arthur.locator("#id_title").fill("Came by the autumn campaign")
    arthur.locator("#id_key").fill("autumn")
    builder = condition(arthur.locator(".rule-builder").first, "context.campaign", "is")
    builder.get_by_label("Value of condition 1").fill("autumn")
    picture(arthur, "04-segment")
    save(arthur)


def make_page(arthur: Page, picture: Callable[..., None]) -> None:
    arthur.goto("/admin/cms/page/add/")
    arthur.locator("#id_path").fill("/notices")
    arthur.locator("[id='id_title.en']").fill("Notices")
    visible(arthur.locator("#id_templates-0-template")).select_option(label="Notices")
    default = arthur.locator("#id_templates-0-is_default")
    default.set_checked(True)
    picture(arthur, "05-page")
    save(arthur)
    arthur.get_by_text("Add another Placement").click()
    visible(arthur.locator("#id_placements-0-slot")).select_option(label="Main")
    add_row(arthur)
    row = "placements-0-variants-0"
    visible(arthur.locator(f"#id_{row}-is_default")).set_checked(True)
    choose_block(arthur, f"{row}-block", "notice-everybody")
    picture(arthur, "06-placement")
    save(arthur)


def add_variant(arthur: Page, picture: Callable[..., None]) -> None:
    add_row(arthur)
    row = "placements-0-variants-1"
    visible(arthur.locator(f"#id_{row}-key")).fill("autumn")
    choose_block(arthur, f"{row}-block", "notice-autumn")
    form = arthur.locator(f"#id_{row}-key").locator("xpath=ancestor::*[contains(@class, 'form-group ')][1]")
    builder = condition(form.locator(".rule-builder"), "segments", "in any of")
    builder.get_by_label("Add to value of condition 1").select_option(label="Came by the autumn campaign")
    picture(arthur, "07-variant")
    save(arthur)
    picture(arthur, "08-page-complete")


def add_row(arthur: Page) -> None:
    """Add a variant to the first placement."""
    arthur.get_by_text("Add another Variant").filter(visible=True).first.click()


def see_as(arthur: Page, picture: Callable[..., None]) -> None:
    """See the draft as nobody, and as somebody in the segment: another assembly of the same page."""
    page_form = arthur.url
    arthur.locator(".see-as-links a").first.click()
    frame = arthur.frame_locator("iframe.see-as__frame")
    expect(frame.locator("h1")).to_have_text("Good day")
    picture(arthur, "09-see-as-nobody")
    arthur.get_by_text("Segments", exact=True).last.click()
    arthur.get_by_label("Came by the autumn campaign on").check()
    arthur.get_by_role("button", name="Show", exact=True).click()
    expect(frame.locator("h1")).to_have_text("Autumn is here")
    picture(arthur, "10-see-as-autumn")
    arthur.goto(page_form)


def assert_only_paula_publishes(arthur: Page, paula: Page, page: Page, picture: Callable[..., None]) -> None:
    """The author has no button; the publisher's own button, sent by the author, changes nothing."""
    open_row(arthur, "/admin/cms/block/?q=notice-everybody", "notice-everybody")
    expect(publish_button(arthur)).to_have_count(0)
    picture(arthur, "11-author-cannot-publish")
    open_row(paula, "/admin/cms/block/?q=notice-everybody", "notice-everybody")
    borrow = (
        "(form, button) => { form.insertAdjacentHTML('beforeend', `<input type=hidden name=${button}>`); }"
    )
    name = publish_button(paula).get_attribute("name")
    assert name
    arthur.locator("#block_form").evaluate(borrow, name)
    save(arthur)
    expect(arthur.get_by_text("draft", exact=True).first).to_be_visible()
    with paula.expect_navigation():
        publish_button(paula).click()
    expect(paula.get_by_text("notice-everybody is published.")).to_be_visible()
    assert page.request.get("/api/v1/pages/notices").status == 404


def publish(paula: Page, listing: str, name: str) -> None:
    open_row(paula, listing, name)
    with paula.expect_navigation():
        publish_button(paula).click()
    expect(paula.get_by_text("is published").first).to_be_visible()


def publish_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Save and publish")


def open_row(page: Page, listing: str, name: str) -> None:
    page.goto(listing)
    page.locator("#result_list").get_by_role("link", name=name, exact=True).click()


def assert_readers_see_it(page: Page, picture: Callable[..., None]) -> None:
    for address, headline, variant in (
        ("/notices", "Good day", "default"),
        ("/notices?utm_campaign=autumn", "Autumn is here", "autumn"),
    ):
        page.goto(address)
        expect(page.locator("h1")).to_have_text(headline)
        answer = page.request.get(f"/api/v1/pages{address}").json()
        assert answer["slots"]["main"][0]["variant"] == variant
    picture(page, "17-reader")


def test_every_screen_of_the_admin_opens_without_a_complaint(
    desk: Desk, picture: Callable[..., None]
) -> None:
    admin = desk("admin")
    for path in SCREENS:
        answer = admin.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        picture(admin, path.strip("/").replace("/", "-").replace("?", "-"))


def test_seeing_as_an_example_person_shows_what_they_would_read(
    desk: Desk, picture: Callable[..., None]
) -> None:
    arthur = desk("arthur")
    open_row(arthur, "/admin/cms/page/", "/")
    links = arthur.locator(".see-as-links a")
    links.filter(has_text="Ada").click()
    frame = arthur.frame_locator("iframe.see-as__frame")
    expect(frame.locator("h1")).to_have_text("Loyalty rewards inside, Ada")
    picture(arthur, "ada")
    arthur.go_back()
    links.filter(has_text="Dario").click()
    expect(frame.locator("h1")).to_have_text("We miss you, Dario")
