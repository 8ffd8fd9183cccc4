"""Pages as written: paths, slots, templates; every refusal with its place; writing what was read changes nothing."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from cms.errors import ContentError
from cms.models import Page, Placement, Variant
from cms.pages import content_of, write_page
from cms.paths import normalise, valid_path
from tests.builders import (
    default,
    make_block,
    make_page,
    make_template,
    make_type,
    page_content,
    placement,
    the_site,
)  # fmt: skip


@pytest.mark.parametrize("path", ["/", "/outdoor", "/outdoor/boots-2", "/a.b/c~/d_e", "/A"])
def test_a_path_is_made_of_plain_segments(path: str) -> None:
    valid_path(path)


@pytest.mark.parametrize(
    "path",
    ["outdoor", "/outdoor/", "/a//b", "/../etc", "/a/./b", "/a b", "/a\x00", "/a\n", "/%2e", "/ä", "/a?b", "/" + "a" * 500],
)  # fmt: skip
def test_anything_else_is_no_path(path: str) -> None:
    with pytest.raises(ValidationError):
        valid_path(path)


@pytest.mark.parametrize("path", ["outdoor", "/outdoor", "/outdoor/", "//outdoor//"])
def test_a_path_has_one_spelling(path: str) -> None:
    assert normalise(path) == "/outdoor"


def found(content: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(ContentError) as error:
        write_page(content, site=the_site())
    assert not Page.objects.exists()
    return [(p.code, p.pointer) for p in error.value.problems]


@pytest.fixture
def blocks(db: None) -> None:
    make_type()
    make_type("footer", [{"key": "claim", "kind": "text"}])
    make_template(slots=[{"key": "hero", "types": ["hero"], "min": 1, "max": 1}, {"key": "footer"}])
    make_block("hello", "Hello")
    make_block("foot", {"claim": "Fine"}, type_="footer")


@pytest.mark.parametrize(
    ("changed", "code", "place"),
    [
        ({"path": "/a b"}, "invalid_path", "/path"),
        ({"path": "/a\x00b"}, "invalid_path", "/path"),
        ({"path": "/" + "a" * 600}, "invalid_path", "/path"),
        ({"path": 5}, "invalid_path", "/path"),
        ({"path": None}, "invalid_path", "/path"),
        ({"title": 5}, "wrong_type", "/title"),
        ({"title": {"en": 5}}, "wrong_type", "/title"),
        ({"title": {"fr": "Accueil"}}, "unknown_locale", "/title/fr"),
        ({"meta": []}, "wrong_type", "/meta"),
        ({"slots": []}, "wrong_type", "/slots"),
        ({"slots": {"hero": {}}}, "wrong_type", "/slots/hero"),
        ({"slots": {"hero": [5]}}, "wrong_type", "/slots/hero/0"),
        ({"slots": {"hero": [{"placement": "a", "variants": 5}]}}, "wrong_type", "/slots/hero/0/variants"),
        ({"slots": {"hero": [{"placement": "a", "variants": [5]}]}}, "wrong_type", "/slots/hero/0/variants"),
        ({"slots": {"nowhere": []}}, "unknown_slot", "/slots/nowhere"),
        ({"slots": {"a/b": []}}, "unknown_slot", "/slots/a~1b"),
        ({"slots": {"hero": [placement("hello"), placement("hello", key="b")]}}, "too_many", "/slots/hero"),
        ({"slots": {"hero": [placement("foot")]}}, "type_not_allowed", "/slots/hero/0/variants/0/block"),
        ({"slots": {"hero": [placement("hello", key="A b")]}}, "invalid_key", "/slots/hero/0/placement"),
        ({"slots": {"footer": [placement("foot"), placement("foot")]}}, "duplicate_key", "/slots/footer/1/placement"),
        ({"slots": {"hero": [placement("hello")], "footer": [placement("foot")]}}, "duplicate_key", "/slots/footer/0/placement"),
        ({"template": "nowhere"}, "unknown_template", "/template"),
        ({"template": 5}, "unknown_template", "/template"),
        ({"template": None, "templates": 5}, "wrong_type", "/templates"),
        ({"template": None, "templates": [5]}, "wrong_type", "/templates/0"),
        ({"template": None, "templates": [{"template": "landing", "when": {"context.hour": "x"}}]}, "type_mismatch", "/templates/0/when/context.hour"),
        ({"template": None, "templates": [{"template": "landing", "default": True}] * 2}, "two_defaults", "/templates"),
        ({"go_live_at": "soon"}, "wrong_type", "/go_live_at"),
        ({"go_live_at": "2026-02-01", "expire_at": "2026-02-01"}, "ends_before_it_starts", "/expire_at"),
    ],
)  # fmt: skip
def test_a_page_that_cannot_be_is_refused_at_its_place(
    blocks: None, changed: dict[str, Any], code: str, place: str
) -> None:
    places = found({**page_content(placement("hello")), **changed})
    if code == "type_mismatch":  # the language names its own faults
        assert [at for _, at in places] == [place]
    elif "template" in changed and code == "unknown_template":
        assert places[0] == (code, place)
    else:
        assert places == [(code, place)]


def test_writing_what_was_read_changes_no_row(blocks: None) -> None:
    variants = (
        {"key": "a", "when": {"context.device": {"$eq": "mobile"}}, "override": {"headline": {"de": "Tippen"}}},
        {"key": "b", "hide": True, "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-02-01T00:00:00Z"},
        {"key": "c", "block": "hello", "cap": {"times": 1, "within": "P7D"}, "when": {"context.hour": {"$eq": 7}}},
        default("hello"),
    )  # fmt: skip
    page = make_page(placement(*variants), meta={"robots": "noindex"}, go_live_at="2026-01-01T00:00:00Z")
    before = (
        content_of(page),
        page.updated_at,
        *Placement.objects.values_list("pk"),
        *Variant.objects.values_list("pk"),
    )
    again, changed = write_page(content_of(page), site=the_site())
    after = (
        content_of(again),
        again.updated_at,
        *Placement.objects.values_list("pk"),
        *Variant.objects.values_list("pk"),
    )
    assert changed is False
    assert before == after


def test_the_same_path_in_another_spelling_is_the_same_page(blocks: None) -> None:
    make_page(placement("hello"), path="/outdoor")
    make_page(placement("hello"), path="outdoor/", title="Outdoor")
    assert [page.title for page in Page.objects.all()] == [{"en": "Outdoor"}]


def test_a_draft_may_lack_its_template(blocks: None) -> None:
    page, _ = write_page({"path": "/later"}, site=the_site())
    assert content_of(page) == {"path": "/later", "title": {}, "meta": {}, "slots": {}}


def test_an_unknown_fact_is_refused_with_a_suggestion(blocks: None) -> None:
    with pytest.raises(ContentError) as error:
        make_page(
            placement(
                {"key": "a", "hide": True, "when": {"context.devise": {"$eq": "mobile"}}}, default("hello")
            )
        )
    (problem,) = error.value.problems
    assert "context.device" in problem.message


def test_an_unknown_segment_is_refused(blocks: None) -> None:
    places = found(
        page_content(
            placement({"key": "a", "hide": True, "when": {"segments": {"$in": ["vip"]}}}, default("hello"))
        )
    )
    assert [at.partition("/when")[0] for _, at in places] == ["/slots/hero/0/variants/0"]
