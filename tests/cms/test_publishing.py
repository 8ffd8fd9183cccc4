"""Publishing: draft, published, scheduled, expired, unpublished, reverted; what is recompiled, and when."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client

from cms.content import save_block
from cms.errors import ContentError
from cms.models import Block, Page, Plan
from cms.pages import content_of, write_page
from cms.publishing import publish_block, recompile_all, revert_page, unpublish_block, unpublish_page
from cms.review import page_problems
from tests.builders import (
    NOW,
    committing,
    default,
    headlines,
    make_block,
    make_home,
    make_page,
    make_site,
    make_template,
    make_type,
    page_content,
    placement,
    publish,
    the_site,
)  # fmt: skip

pytestmark = pytest.mark.django_db
HOUR = dt.timedelta(hours=1)


def status(path: str = "/") -> int:
    return Client().get(f"/api/v1/pages{path}").status_code


def shown_at(now: dt.datetime) -> list[Any] | None:
    """Return the headlines that are served at a moment, None when the page is not there."""
    from rest_framework.exceptions import NotFound

    from personalization.api.preview import as_json, preview

    try:
        answer = as_json(preview({"path": "/", "now": now}, now=now))
    except NotFound:
        return None
    return [item["fields"]["headline"] for item in answer["slots"]["hero"]]


@pytest.fixture
def blocks() -> None:
    make_type()
    make_template()
    for key in ("old", "new", "other"):
        make_block(key, key.capitalize())


def test_a_draft_is_not_served(blocks: None) -> None:
    make_page(placement("old"))
    assert status() == 404


def test_a_change_of_a_published_page_waits_for_the_next_publish(blocks: None) -> None:
    page = make_page(placement("old"))
    publish(page)
    make_page(placement("new"))
    assert headlines() == ["Old"]
    publish(page)
    assert headlines() == ["New"]


def test_publishing_twice_makes_one_revision(blocks: None) -> None:
    page = make_page(placement("old"))
    first = publish(page)
    assert first is not None
    assert publish(page) is None
    assert page.revisions.count() == 1


def test_an_unpublished_page_is_gone_at_once_and_its_draft_stays(blocks: None) -> None:
    page = make_page(placement("old"))
    publish(page)
    assert status() == 200
    with committing():
        unpublish_page(page)
    assert status() == 404
    assert content_of(page)["slots"]["hero"][0]["variants"] == [default("old")]
    publish(page)
    assert headlines() == ["Old"]


def test_what_is_scheduled_begins_by_itself_and_until_then_the_old_plan_serves(blocks: None) -> None:
    page = make_page(placement("old"))
    publish(page)
    write_page(page_content(placement("new"), go_live_at=(NOW + HOUR).isoformat()), site=the_site())
    publish(page)
    second = dt.timedelta(seconds=1)
    assert [shown_at(NOW + HOUR - second), shown_at(NOW + HOUR)] == [["Old"], ["New"]]


def test_a_page_that_is_scheduled_for_the_first_time_is_not_there_before(blocks: None) -> None:
    page = make_page(placement("old"), go_live_at=(NOW + HOUR).isoformat())
    publish(page)
    assert [shown_at(NOW), shown_at(NOW + HOUR)] == [None, ["Old"]]


def test_the_end_of_a_page_is_exclusive(blocks: None) -> None:
    page = make_page(placement("old"), expire_at=(NOW + HOUR).isoformat())
    publish(page)
    second = dt.timedelta(seconds=1)
    assert [shown_at(NOW + HOUR - second), shown_at(NOW + HOUR)] == [["Old"], None]


def test_what_was_scheduled_before_is_replaced_by_what_is_scheduled_now(blocks: None) -> None:
    page = make_page(placement("old"))
    publish(page)
    for key in ("new", "other"):
        write_page(page_content(placement(key), go_live_at=(NOW + HOUR).isoformat()), site=the_site())
        publish(page)
    assert [shown_at(NOW), shown_at(NOW + HOUR)] == [["Old"], ["Other"]]


def test_a_block_that_is_published_reaches_what_serves_now_and_what_is_scheduled(blocks: None) -> None:
    page = make_page(placement("old"))
    publish(page)
    later = page_content(
        placement("new"), placement("old", key="second"), go_live_at=(NOW + HOUR).isoformat()
    )
    write_page(later, site=the_site())
    publish(page)
    old = Block.objects.get(key="old")
    with committing():
        save_block(old, {"headline": "Changed"}, now=NOW)
        publish_block(old, now=NOW)
    assert [shown_at(NOW), shown_at(NOW + HOUR)] == [["Changed"], ["New", "Changed"]]


def test_a_block_that_is_withdrawn_leaves_what_serves_although_something_else_is_scheduled(
    blocks: None,
) -> None:
    page = make_page(placement({"key": "a", "block": "other"}, default("old")))
    publish(page)
    write_page(page_content(placement("new"), go_live_at=(NOW + HOUR).isoformat()), site=the_site())
    publish(page)
    with committing():
        unpublish_block(Block.objects.get(key="other"), now=NOW)
    assert [shown_at(NOW), shown_at(NOW + HOUR)] == [["Old"], ["New"]]


def test_the_default_of_what_serves_cannot_be_withdrawn_although_something_else_is_scheduled(
    blocks: None,
) -> None:
    page = make_page(placement("old"))
    publish(page)
    write_page(page_content(placement("new"), go_live_at=(NOW + HOUR).isoformat()), site=the_site())
    publish(page)
    for key in ("old", "new"):
        with pytest.raises(ContentError, match="is the default on /"):
            unpublish_block(Block.objects.get(key=key), now=NOW)


def test_a_block_that_left_its_page_may_be_withdrawn(blocks: None) -> None:
    page = make_page(placement("old"))
    publish(page)
    make_page(placement("new"))
    publish(page)
    unpublish_block(Block.objects.get(key="old"), now=NOW)


def test_dates_of_a_draft_are_drafts_too(blocks: None) -> None:
    page = make_page(placement("old"))
    publish(page)
    write_page(page_content(placement("old"), expire_at=(NOW - HOUR).isoformat()), site=the_site())
    old = Block.objects.get(key="old")
    with committing():
        save_block(old, {"headline": "Changed"}, now=NOW)
        publish_block(old, now=NOW)
    assert shown_at(NOW) == ["Changed"]


def test_an_older_revision_becomes_the_draft_again_and_is_published_like_any_other(blocks: None) -> None:
    page = make_page(placement("old"))
    first = publish(page)
    assert first is not None
    make_page(placement("new"))
    publish(page)
    revert_page(page, to=first)
    assert headlines() == ["New"]
    publish(page)
    assert headlines() == ["Old"]


def test_an_older_revision_stays_with_its_page_when_the_path_has_changed(blocks: None) -> None:
    page = make_page(placement("old"))
    first = publish(page)
    assert first is not None
    Page.objects.filter(pk=page.pk).update(path="/moved")
    page.refresh_from_db()
    assert revert_page(page, to=first) == page
    assert Page.objects.count() == 1


def test_publishing_many_blocks_compiles_a_page_once(blocks: None) -> None:
    from cms.publishing import publish_blocks

    page = make_page(placement("old"), placement("new", key="second"))
    publish(page)
    rows = [Block.objects.get(key=key) for key in ("old", "new")]
    for row in rows:
        save_block(row, {"headline": "X"}, now=NOW)
    assert publish_blocks(rows, now=NOW) == 2
    assert page.revisions.count() == 2


def test_more_than_fifty_pages_are_left_to_the_worker(blocks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from cms import publishing

    monkeypatch.setattr(publishing, "RECOMPILE_AT_ONCE", 2)
    pages = [make_page(placement("old"), path=f"/p{n}") for n in range(4)]
    for page in pages:
        publish(page)
    old = Block.objects.get(key="old")
    save_block(old, {"headline": "Changed"}, now=NOW)
    publish_block(old, now=NOW)
    assert [page.revisions.count() for page in pages] == [2, 2, 1, 1]
    from cms.tasks import recompile_waiting

    assert recompile_waiting() == 2
    assert recompile_waiting() == 0
    assert [page.revisions.count() for page in pages] == [2, 2, 2, 2]


def test_old_plans_are_dropped_and_the_latest_are_kept(blocks: None) -> None:
    page = make_page(placement("old"))
    for n in range(9):
        write_page(page_content(placement("old"), title=f"Title {n}"), site=the_site())
        publish(page)
    kept = Plan.objects.filter(page=page, locale="en").order_by("revision__n")
    assert [plan.revision.n for plan in kept] == [5, 6, 7, 8, 9]


def test_a_new_locale_is_answered_by_every_published_page(blocks: None) -> None:
    publish(make_page(placement("old")))
    make_site(locales=["en", "de", "fr"])
    with committing():
        the_site().advance()
        recompile_all(the_site(), now=NOW, cause="locales")
    assert headlines(locale="fr") == ["Old"]


def test_a_title_is_translated_with_fallback(blocks: None) -> None:
    publish(make_page(placement("old"), title={"en": "Home", "de": "Start"}))
    assert [Client().get(f"/api/v1/pages/?locale={one}").json()["page"]["title"] for one in ("de", "en", "fr")] == [
        "Start", "Home", "Home",
    ]  # fmt: skip


def test_a_missing_translation_is_a_warning_and_never_an_error(blocks: None) -> None:
    page = make_page(placement("old"))
    warnings = [(p.code, p.severity) for p in page_problems(page)]
    assert warnings
    assert set(warnings) == {("untranslated", "warning")}


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        ({"title": {}}, "required", "/title"),
        ({"template": None, "slots": {}}, "default_missing", "/templates"),
        ({"slots": {}}, "too_few", "/slots/hero"),
        ({"slots": {"hero": [placement("secret")]}}, "not_published", "/slots/hero/0/variants/0/block"),
        ({"slots": {"hero": [placement({"key": "a"}, default("old"))]}}, "required", "/slots/hero/0/variants/0"),
    ],
)  # fmt: skip
def test_a_page_that_is_not_complete_is_refused_at_publish_with_its_places(
    content: dict[str, Any], code: str, place: str
) -> None:
    make_type()
    make_template(slots=[{"key": "hero", "min": 1}])
    make_block("old", "Old")
    make_block("secret", "Secret", published=False)
    page = write_page({**page_content(placement("old")), **content}, site=the_site())[0]
    with pytest.raises(ContentError) as error:
        publish(page)
    assert (code, place) in [(p.code, p.pointer) for p in error.value.problems]
    assert not page.revisions.exists()


def test_a_variant_behind_one_that_always_holds_is_reported(blocks: None) -> None:
    page = make_page(placement({"key": "a", "block": "new"}, {"key": "b", "block": "other"}, default("old")))
    found = [(p.code, p.pointer, p.severity) for p in page_problems(page)]
    assert ("unreachable", "/slots/hero/0/variants/1", "warning") in found
    publish(page)


def test_the_first_template_whose_rule_holds_is_used(blocks: None) -> None:
    make_template("simple", slots=["hero"], source="simple")
    templates = [
        {"template": "simple", "when": {"context.device": {"$eq": "mobile"}}},
        {"template": "landing", "default": True},
    ]
    content = page_content(placement("old"), templates=templates)
    del content["template"]
    page = write_page(content, site=the_site())[0]
    publish(page)
    assert content_of(page)["templates"] == templates
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile"
    used = [
        Client().get("/api/v1/pages/", headers={"User-Agent": agent}).json()["page"]["template"]
        for agent in (phone, "curl")
    ]
    assert used == ["simple", "landing"]


def test_a_slot_that_the_chosen_template_lacks_is_not_in_the_answer(blocks: None) -> None:
    make_template("wide", slots=["hero", "more"])
    content = page_content(
        placement("old"),
        templates=[
            {"template": "landing", "when": {"context.device": {"$eq": "mobile"}}},
            {"template": "wide", "default": True},
        ],
    )
    del content["template"]
    content["slots"]["more"] = [placement("new", key="more")]
    publish(write_page(content, site=the_site())[0])
    wide = Client().get("/api/v1/pages/").json()["slots"]
    narrow = Client().get("/api/v1/pages/", headers={"Sec-CH-UA-Mobile": "?1"}).json()["slots"]
    assert (list(wide), list(narrow)) == (["hero", "more"], ["hero"])


def test_a_change_of_a_rule_can_be_seen_in_the_answer_of_a_fresh_process(blocks: None) -> None:
    from personalization.plans import plan_store

    make_home("old")
    assert headlines() == ["Old"]
    plan_store.__init__()  # type: ignore[misc]  # as in another process
    assert headlines() == ["Old"]
