"""Variants: replace, override, hide; inheritance per field and per locale; dates at the request."""

import datetime as dt
from typing import Any

import pytest

from cms.content import save_block
from cms.errors import ContentError
from cms.models import Block
from cms.publishing import publish_block
from tests.builders import (
    NOW,
    committing,
    default,
    get_page,
    headlines,
    make_block,
    make_home,
    make_page,
    make_template,
    make_type,
    placement,
    publish,
)  # fmt: skip

pytestmark = pytest.mark.django_db


def fields(locale: str = "en") -> dict[str, Any]:
    (item,) = get_page(locale=locale)["slots"]["hero"]
    shown: dict[str, Any] = item["fields"]
    return shown


def make_overridden(base: dict[str, Any], override: dict[str, Any]) -> None:
    make_type()
    make_template()
    make_block("base", base)
    publish(make_page(placement({"key": "other", "override": override}, default("base"))))


def test_an_override_changes_what_it_names_and_inherits_the_rest() -> None:
    make_overridden({"headline": "Base", "cta": {"href": "/a"}}, {"headline": {"en": "Other"}})
    assert fields() == {"headline": "Other", "cta": {"href": "/a", "label": "", "target": None}}
    (item,) = get_page()["slots"]["hero"]
    assert (item["block"], item["variant"], item["reason"]) == ("base", "other", "matched")


def test_an_edit_of_the_base_reaches_its_overrides() -> None:
    make_overridden({"headline": "Base", "cta": {"href": "/a"}}, {"headline": {"en": "Other"}})
    base = Block.objects.get(key="base")
    with committing():
        save_block(base, {"headline": "Base", "cta": {"href": "/b"}}, now=NOW)
        publish_block(base, now=NOW)
    assert fields()["cta"]["href"] == "/b"


def test_null_empties_an_optional_field() -> None:
    make_overridden({"headline": "Base", "cta": {"href": "/a"}}, {"cta": None})
    assert fields() == {"headline": "Base"}


@pytest.mark.parametrize(
    ("base", "override", "en", "de"),
    [
        ({"en": "base.en", "de": "base.de"}, {"de": "over.de"}, "base.en", "over.de"),
        ({"en": "base.en", "de": "base.de"}, {"en": "over.en"}, "over.en", "base.de"),
        ({"en": "base.en"}, {"en": "over.en"}, "over.en", "over.en"),
        ({"en": "base.en"}, {"de": "over.de"}, "base.en", "over.de"),
        ({"en": "base.en", "de": "base.de"}, {}, "base.en", "base.de"),
    ],
)
def test_each_locale_takes_the_override_then_the_base(
    base: dict[str, str], override: dict[str, str], en: str, de: str
) -> None:
    make_overridden({"headline": base}, {"headline": override} if override else {})
    assert (fields("en")["headline"], fields("de")["headline"]) == (en, de)


def test_lists_are_replaced_whole() -> None:
    make_type()
    make_template()
    for key in ("a", "b", "c"):
        make_block(key, key)
    make_block("base", {"headline": "Base", "items": ["a", "b"]})
    publish(make_page(placement({"key": "other", "override": {"items": ["c"]}}, default("base"))))
    assert [one["block"] for one in fields()["items"]] == ["c"]


def test_what_is_hidden_is_left_out_of_its_slot() -> None:
    make_home({"key": "none", "hide": True}, "hello")
    assert get_page()["slots"] == {"hero": []}


def test_rich_text_of_an_override_is_stored_clean() -> None:
    make_overridden({"headline": "Base"}, {"body": {"en": "<p>Hi</p><script>alert(1)</script>"}})
    assert fields()["body"] == {"html": "<p>Hi</p>", "components": {}}


def test_a_variant_begins_and_ends_at_the_request() -> None:
    window = {"starts_at": "2020-01-01T00:00:00Z", "ends_at": "2020-02-01T00:00:00Z"}
    make_home({"key": "january", "block": "january", **window}, "hello")
    (item,) = get_page()["slots"]["hero"]
    assert (item["variant"], item["reason"]) == ("default", "out_of_window")


def test_the_end_of_a_variant_is_exclusive() -> None:
    from personalization.api.preview import as_json, preview

    begins, ends = dt.datetime(2030, 1, 1, tzinfo=dt.UTC), dt.datetime(2030, 2, 1, tzinfo=dt.UTC)
    window = {"starts_at": begins.isoformat(), "ends_at": ends.isoformat()}
    make_home({"key": "january", "block": "january", **window}, "hello")

    def variant(now: dt.datetime) -> str:
        answer = as_json(preview({"path": "/", "now": now}, now=now))
        return str(answer["slots"]["hero"][0]["variant"])

    second = dt.timedelta(seconds=1)
    moments = (begins - second, begins, ends - second, ends)
    assert [variant(at) for at in moments] == ["default", "january", "january", "default"]


@pytest.mark.parametrize(
    ("variants", "code", "place"),
    [
        ([{"key": "a", "override": {"headline": "x"}}], "override_without_base", "/0/override"),
        ([{"key": "a", "override": {"colour": "x"}}, default("base")], "unknown_field", "/0/override/colour"),
        ([{"key": "a", "override": {"headline": None}}, default("base")], "required", "/0/override/headline"),
        ([{"key": "a", "override": {"cta": "javascript:x"}}, default("base")], "unsafe_url", "/0/override/cta/en/href"),
        ([{"key": "a", "block": "base", "hide": True}, default("base")], "one_of", "/0"),
        ([{"key": "a", "block": "nowhere"}, default("base")], "unknown_block", "/0/block"),
        ([{"key": "a", "blok": "base"}, default("base")], "unknown_attribute", "/0/blok"),
        ([{"key": "a", "when": {"context.devise": "x"}, "hide": True}, default("base")], "unknown_fact", "/0/when/context.devise"),
        ([{"key": "a", "hide": True, "starts_at": "soon"}, default("base")], "wrong_type", "/0/starts_at"),
        ([{"key": "a", "hide": True, "starts_at": "2026-02-01", "ends_at": "2026-01-01"}, default("base")], "ends_before_it_starts", "/0/ends_at"),
        ([{"key": "a", "hide": True, "cap": {"times": 0}}, default("base")], "wrong_type", "/0/cap"),
        ([{"key": "a", "hide": True, "cap": {"times": 1, "per": 1}}, default("base")], "unknown_attribute", "/0/cap/per"),
        ([{"key": "default", "hide": True}, default("base")], "duplicate_key", "/1/key"),
        ([{"key": "A b", "hide": True}, default("base")], "invalid_key", "/0/key"),
        ([{"hide": True}, default("base")], "invalid_key", "/0/key"),
        ([{**default("base"), "when": {"context.device": "mobile"}}], "default_is_plain", "/0"),
        ([{**default("base"), "starts_at": "2026-01-01"}], "default_is_plain", "/0"),
        ([{**default("base"), "cap": {"times": 1}}], "default_is_plain", "/0"),
        ([{"key": "default", "default": True, "hide": True}], "default_is_plain", "/0"),
        ([{**default("base"), "key": "a"}, default("base")], "two_defaults", ""),
    ],
)  # fmt: skip
def test_a_variant_that_cannot_be_is_refused_at_its_place(
    variants: list[dict[str, Any]], code: str, place: str
) -> None:
    make_type()
    make_template()
    make_block("base", "Base")
    with pytest.raises(ContentError) as error:
        make_page(placement(*variants))
    found = [(p.code, p.pointer) for p in error.value.problems]
    assert (code, f"/slots/hero/0/variants{place}") in found
    assert len(found) == 1


def test_a_draft_may_be_without_a_default_and_a_published_page_may_not() -> None:
    make_type()
    make_template()
    make_block("base", "Base")
    page = make_page(placement({"key": "a", "block": "base"}))
    with pytest.raises(ContentError) as error:
        publish(page)
    assert [(p.code, p.pointer) for p in error.value.problems] == [
        ("default_missing", "/slots/hero/0/variants")
    ]


def test_the_default_stands_last() -> None:
    make_type()
    make_template()
    make_block("base", "Base")
    page = make_page(placement(default("base"), {"key": "a", "block": "base"}))
    with pytest.raises(ContentError, match="The last variant, and only the last, is the default"):
        publish(page)


def test_a_default_whose_block_was_deleted_shows_nothing_instead_of_an_error() -> None:
    make_type()
    make_template()
    make_block("gone", "Gone")
    make_block("here", "Here")
    page = make_page(placement("gone"))
    publish(page)
    make_page(placement("here"))  # the draft no longer names it, so it may be deleted
    Block.objects.get(key="gone").revisions.all()
    with committing():
        from cms.publishing import recompile_page

        block = Block.objects.get(key="gone")
        Block.objects.filter(pk=block.pk).update(published=None)
        block.delete()
        recompile_page(page, now=NOW, cause="deleted")
    assert headlines() == []
