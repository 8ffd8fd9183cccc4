"""What editors do: typed forms, drafts, publishing, and the way back. Errors stand at their fields, nothing is lost."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cms.models import Block, BlockType, Page, Variant
from cms.pages import content_of
from cms.roles import AUTHORS, PUBLISHERS
from personalization.models import ApiKey, Segment
from tests.admin.content import client_of, form_of, load

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def content() -> None:
    load()


def _change(row: Any) -> str:
    return reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_change", args=[row.pk])


def _sent(client: Client, url: str, **changes: Any) -> Any:
    """Open a form, change some of it, send it, and return the answer."""
    shown = client.get(url)
    assert shown.status_code == 200
    form = form_of(shown)
    form |= {name: value if isinstance(value, list) else [value] for name, value in changes.items()}
    return client.post(url, form)


def _block(key: str = "hero-home") -> Block:
    return Block.objects.get(key=key)


# -- blocks ---------------------------------------------------------------------------------------


def test_saving_what_was_shown_makes_no_revision() -> None:
    answer = _sent(client_of(AUTHORS), _change(_block()))
    assert answer.status_code == 302
    assert _block().revisions.count() == 1


def test_a_typed_form_is_saved_as_a_revision_with_its_author() -> None:
    typed = {
        "data.headline.de": "Hallo",
        "data.body.en": '<p>For you: <PersonalizedProduct type="hero" default="hero-vip"/></p>',
        "data.price": "7.5",
        "data.big": "on",
        "data.until": "2026-12-24T18:00:00",
        "data.tone": "sand",
        "data.cta.en_href": "page:/",
        "data.cta.en_label": "Home",
        "data.next": str(_block("hero-vip").pk),
        "data.more": [str(_block("hero-vip").pk)],
        "data.tags": ["b", "a", ""],
    }
    answer = _sent(client_of(AUTHORS), _change(_block()), **typed)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    data, revision = _block().data, _block().revisions.first()
    assert data["headline"] == {"en": "Hello", "de": "Hallo"}
    assert "<tessera-product" in data["body"]["en"]
    assert (data["price"], data["big"], data["tone"]) == (7.5, True, "sand")
    assert data["until"] == "2026-12-24T18:00:00Z"
    assert data["cta"] == {"en": {"href": {"page": "/"}, "label": "Home"}}
    assert (data["next"], data["more"], data["tags"]) == ("hero-vip", ["hero-vip"], ["b", "a"])
    assert revision is not None
    assert (revision.n, revision.created_by.username if revision.created_by else "") == (2, AUTHORS)
    assert _block().published_id != revision.pk


def test_errors_stand_at_their_fields_and_nothing_typed_is_lost() -> None:
    answer = _sent(
        client_of(AUTHORS),
        _change(_block()),
        **{
            "data.headline.en": "Hi {{ user.nobody",
            "data.price": "many",
            "data.cta.de_label": "Ohne Ziel",
            "data.next": str(_block().pk),
        },
    )
    assert answer.status_code == 200
    errors = answer.context["adminform"].form.errors
    assert {"data.price", "data.cta.de"} <= errors.keys()
    assert "many" in answer.content.decode()
    assert "Hi {{ user.nobody" in answer.content.decode()


def test_a_broken_placeholder_and_a_cycle_are_refused() -> None:
    client = client_of(AUTHORS)
    broken = _sent(client, _change(_block()), **{"data.headline.en": "Hi {{ user.nobody"})
    assert "data.headline.en" in broken.context["adminform"].form.errors
    cycle = _sent(client, _change(_block()), **{"data.next": str(_block().pk)})
    assert "contain itself" in str(cycle.context["adminform"].form.errors)
    assert "next" not in _block().data


def test_a_new_block_begins_with_its_type() -> None:
    client = client_of(AUTHORS)
    add = reverse("admin:cms_block_add")
    assert "What kind of block" in client.get(add).content.decode()
    answer = _sent(client, f"{add}?type=hero", key="hero-new", **{"data.headline.en": "New"})
    assert answer.status_code == 302
    assert _block("hero-new").data == {"headline": {"en": "New"}}
    taken = _sent(client, f"{add}?type=hero", key="hero-new", **{"data.headline.en": "Again"})
    assert taken.status_code == 200
    assert taken.context["adminform"].form.errors


def test_authors_write_and_publishers_publish() -> None:
    author, publisher = client_of(AUTHORS), client_of(PUBLISHERS)
    url, button = _change(_block()), {"cms_block_publish": "1"}
    assert "cms_block_publish" not in author.get(url).content.decode()
    _sent(author, url, **{"data.headline.en": "Changed"}, **button)
    assert _block().published.data["headline"]["en"] == "Hello"  # type: ignore[union-attr]  # it is published
    _sent(publisher, url, **button)
    assert _block().published.data["headline"]["en"] == "Changed"  # type: ignore[union-attr]  # it is published
    refused = _sent(publisher, url, cms_block_unpublish="1")
    assert "Change those pages first" in _messages(publisher, refused)


def _messages(client: Client, answer: Any) -> str:
    return client.get(answer.url).content.decode()


def test_an_older_revision_becomes_the_draft_again_by_post_alone() -> None:
    client = client_of(AUTHORS)
    _sent(client, _change(_block()), **{"data.headline.en": "Changed"})
    url = reverse("admin:cms_block_revisions", args=[_block().pk])
    assert client.get(f"{url}?n=1").status_code == 200
    assert _block().data["headline"]["en"] == "Changed"
    assert client.post(url, {"n": "1"}).status_code == 302
    assert _block().data["headline"]["en"] == "Hello"


# -- pages ----------------------------------------------------------------------------------------


def _page() -> Page:
    return Page.objects.get(path="/")


def test_saving_a_page_as_shown_changes_nothing() -> None:
    before = content_of(_page())
    answer = _sent(client_of(AUTHORS), _change(_page()))
    assert answer.status_code == 302, answer.content.decode()[:5000]
    assert content_of(_page()) == before


def _prefix(key: str) -> str:
    index = list(Variant.objects.order_by("position").values_list("key", flat=True)).index(key)
    return f"placements-0-variants-{index}-"


def test_variants_are_moved_and_the_default_comes_last() -> None:
    moved = {f"{_prefix('vip')}position": "5", f"{_prefix('default')}position": "0"}
    assert _sent(client_of(AUTHORS), _change(_page()), **moved).status_code == 302
    assert list(Variant.objects.values_list("key", flat=True)) == ["mobile", "vip", "default"]
    assert list(Variant.objects.values_list("position", flat=True)) == [0, 1, 2]


def test_overrides_are_typed_and_checked_at_their_fields() -> None:
    prefix = f"{_prefix('mobile')}overrides-"
    typed = {
        f"{prefix}mode.headline": "change",
        f"{prefix}data.headline.de": "Mobil",
        f"{prefix}data.price": "3",
    }
    client = client_of(AUTHORS)
    assert _sent(client, _change(_page()), **typed).status_code == 302
    assert Variant.objects.get(key="mobile").overrides == {"headline": {"de": "Mobil"}, "price": 3}
    refused = _sent(client, _change(_page()), **{f"{prefix}data.price": "cheap"})
    assert refused.status_code == 200
    assert "Enter a number." in refused.content.decode()


def test_a_rule_is_checked_and_a_default_has_none() -> None:
    client = client_of(AUTHORS)
    unknown = _sent(client, _change(_page()), **{f"{_prefix('vip')}rule": '{"shoe_size": {"$eq": 1}}'})
    assert unknown.status_code == 200
    assert "shoe_size" in unknown.content.decode()
    default = _sent(
        client, _change(_page()), **{f"{_prefix('default')}rule": '{"context.device": {"$eq": "mobile"}}'}
    )
    assert "what everybody else sees" in default.content.decode()


def test_a_placement_with_its_variant_is_added() -> None:
    row = {
        "placements-TOTAL_FORMS": "2",
        "placements-1-slot": "hero",
        "placements-1-variants-TOTAL_FORMS": "1",
        "placements-1-variants-INITIAL_FORMS": "0",
        "placements-1-variants-0-kind": "replace",
        "placements-1-variants-0-is_default": "on",
        "placements-1-variants-0-block": str(_block("hero-vip").pk),
    }
    answer = _sent(client_of(AUTHORS), _change(_page()), **row)
    assert answer.status_code == 302
    added = content_of(_page())["slots"]["hero"][1]
    assert added == {
        "placement": "home-hero-2",
        "variants": [{"key": "default", "default": True, "block": "hero-vip"}],
    }


def test_the_description_is_changed_and_the_rest_of_meta_kept() -> None:
    _sent(client_of(AUTHORS), _change(_page()), **{"description.de": "Der Laden"})
    assert _page().meta == {"robots": "index", "description": {"en": "The shop", "de": "Der Laden"}}


def test_only_publishers_publish_a_page_and_see_what_stands_in_the_way() -> None:
    author, publisher = client_of(AUTHORS), client_of(PUBLISHERS)
    _sent(author, _change(_page()), **{"title.en": "Changed"}, cms_page_publish="1")
    assert _page().published.content["title"]["en"] == "Home"  # type: ignore[union-attr]  # it is published
    _sent(publisher, _change(_page()), cms_page_publish="1")
    assert _page().published.content["title"]["en"] == "Changed"  # type: ignore[union-attr]  # it is published
    broken = _sent(publisher, _change(_page()), **{f"{_prefix('default')}block": ""}, cms_page_publish="1")
    said = _messages(publisher, broken)
    assert "not published" in said
    assert Variant.objects.get(key="default").block is None
    _sent(publisher, _change(_page()), cms_page_unpublish="1")
    assert _page().published is None


# -- structure and readers ------------------------------------------------------------------------


def test_a_block_type_is_checked_and_its_pages_compiled_again() -> None:
    client, row = client_of(AUTHORS), BlockType.objects.get()
    wrong = _sent(client, _change(row), fields='[{"key": "Not A Key", "kind": "text"}]')
    assert "needs a key" in wrong.content.decode()
    source = _sent(client, _change(row), source="{{ fields.__class__ }}")
    assert source.status_code == 200
    revision = _page().published_id
    assert _sent(client, _change(row), source="<h1>{{ fields.headline }}</h1>").status_code == 302
    row.refresh_from_db()
    assert row.version == 2
    assert _page().published_id != revision


def test_declared_fields_come_back_as_they_were() -> None:
    row = BlockType.objects.get()
    before = row.fields
    assert _sent(client_of(AUTHORS), _change(row)).status_code == 302
    row.refresh_from_db()
    assert (row.fields, row.version) == (before, 1)


def test_a_segment_is_checked_and_lowering_its_minimum_needs_a_publisher() -> None:
    add = reverse("admin:personalization_segment_add")
    author, publisher = client_of(AUTHORS), client_of(PUBLISHERS)
    new = {
        "title": "Buyers",
        "key": "buyers",
        "kind": "rule",
        "rule": '{"orders": {"$exists": true, "$gte": 1}}',
    }
    refused = _sent(author, add, **new, min_size="3")
    assert "min_size" in refused.context["adminform"].form.errors
    without = _sent(author, add, **(new | {"rule": "{}"}))
    assert "rule" in without.context["adminform"].form.errors
    assert (
        _sent(
            author,
            add,
            **new,
            **{"attributes.key": ["discount"], "attributes.en": ["9 %"], "attributes.de": [""]},
        ).status_code
        == 302
    )
    made = Segment.objects.get(key="buyers")
    assert (made.attributes, made.purposes, made.size) == ({"discount": "9 %"}, ["personalization"], None)
    assert (
        "not counted yet" in author.get(reverse("admin:personalization_segment_changelist")).content.decode()
    )
    lowered = _sent(publisher, _change(made), min_size="3")
    assert "small groups" in _messages(publisher, lowered)


def test_a_key_is_shown_once() -> None:
    client = client_of(None)
    answer = _sent(client, reverse("admin:personalization_apikey_add"), name="front", scopes=["deliver"])
    assert answer.status_code == 302
    first, second = _messages(client, answer), _messages(client, answer)
    prefix = ApiKey.objects.get(name="front").prefix
    assert f">{prefix}." in first
    assert f">{prefix}." not in second
