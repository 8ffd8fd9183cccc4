"""Catalogues: items are fed from outside, have no revisions, and are live on the next request."""

from typing import Any

import pytest

from cms.catalogue import feed
from cms.errors import ContentError
from cms.models import Block, BlockRevision, BlockType
from cms.publishing import unpublish_block
from tests.builders import (
    NOW,
    committing,
    default,
    get_page,
    make_block,
    make_page,
    make_template,
    make_type,
    placement,
    publish,
)  # fmt: skip

pytestmark = pytest.mark.django_db
ITEM_FIELDS = (
    {"key": "name", "kind": "text", "localized": True, "required": True},
    {"key": "price", "kind": "number"},
)


def feed_items(**prices: float) -> int:
    type_ = BlockType.objects.get(key="product")
    with committing():
        return feed(
            type_, [{"key": k, "fields": {"name": k, "price": p}} for k, p in prices.items()], now=NOW
        )


@pytest.fixture(autouse=True)
def catalogue() -> None:
    make_type("product", ITEM_FIELDS, catalogue=True)
    make_type()
    make_template()
    feed_items(boots=100, socks=5)


def shown() -> Any:
    (item,) = get_page()["slots"]["hero"]
    return item


def test_items_have_no_revisions() -> None:
    feed_items(boots=90)
    assert not BlockRevision.objects.exists()


def test_a_change_of_an_item_reaches_published_pages_at_the_next_request() -> None:
    page = make_page(placement("boots"))
    publish(page)
    assert shown()["fields"] == {"name": "boots", "price": 100}
    feed_items(boots=90)
    assert shown()["fields"]["price"] == 90
    assert page.revisions.count() == 1


def test_items_are_referenced_by_plans_and_never_copied_into_them() -> None:
    page = make_page(placement("boots"))
    publish(page)
    plan = page.plans.get(locale="en")
    assert plan.program["placements"][0]["variants"][0]["block"] == {"$item": "boots", "fields": {}}


def test_an_item_that_is_taken_away_is_left_out_and_comes_back_with_the_next_feed() -> None:
    make_block("grid", {"headline": "Ours", "items": ["boots", "socks"]})
    publish(make_page(placement("grid")))
    with committing():
        unpublish_block(Block.objects.get(key="socks"), now=NOW)
    assert [one["block"] for one in shown()["fields"]["items"]] == ["boots"]
    feed_items(socks=6)
    assert [one["block"] for one in shown()["fields"]["items"]] == ["boots", "socks"]


def test_an_item_that_vanished_from_the_database_is_left_out() -> None:
    make_block("grid", {"headline": "Ours", "items": ["boots", "socks"]})
    publish(make_page(placement("grid")))
    Block.objects.filter(key="socks").update(live=False)
    with committing():
        BlockType.objects.get(key="product").site.advance(catalogue=True)
    assert [one["block"] for one in shown()["fields"]["items"]] == ["boots"]


def test_a_variant_may_change_fields_of_an_item() -> None:
    publish(make_page(placement({"key": "sale", "override": {"price": 50}}, default("boots"))))
    assert (shown()["block"], shown()["fields"]) == ("boots", {"name": "boots", "price": 50})


def test_feeding_the_same_changes_nothing() -> None:
    assert feed_items(boots=100, socks=5) == 0


@pytest.mark.parametrize(
    ("item", "code", "place"),
    [
        (5, "invalid_key", "/items/1/key"),
        ({"key": "A B"}, "invalid_key", "/items/1/key"),
        ({"key": "a" * 101, "fields": {"name": "x"}}, "invalid_key", "/items/1/key"),
        ({"key": "hat", "fields": {"price": 3}}, "required", "/items/1/fields/name/en"),
        ({"key": "hat", "fields": {"name": "Hat", "price": "3"}}, "wrong_type", "/items/1/fields/price"),
        ({"key": "hat", "fields": None}, "wrong_type", "/items/1/fields"),
    ],
)
def test_a_feed_is_all_or_nothing_and_says_where(item: Any, code: str, place: str) -> None:
    good = {"key": "cap", "fields": {"name": "Cap"}}
    with pytest.raises(ContentError) as error:
        feed(BlockType.objects.get(key="product"), [good, item], now=NOW)
    assert [(p.code, p.pointer) for p in error.value.problems] == [(code, place)]
    assert not Block.objects.filter(key="cap").exists()


def test_a_key_of_another_type_is_refused() -> None:
    make_block("hello", "Hello")
    with pytest.raises(ContentError, match="'hello' is a block of another type"):
        feed(BlockType.objects.get(key="product"), [{"key": "hello", "fields": {"name": "x"}}], now=NOW)


def test_a_catalogue_of_thousands_is_fed_in_few_statements(
    django_assert_max_num_queries: Any,
) -> None:
    type_ = BlockType.objects.get(key="product")
    items = [{"key": f"p{n}", "fields": {"name": f"P{n}", "price": n}} for n in range(1_000)]
    with django_assert_max_num_queries(15):
        assert feed(type_, items, now=NOW) == 1_000
