"""A row of the source is said in the public API's words: exact money, pieces instead of volumes, no guesses."""

from decimal import Decimal
from pathlib import Path

import orjson

from demo.households.messages import category_of, identify, item_of, order, traits_of
from demo.households.progress import Progress
from demo.households.source import Basket, Demographics, Household, Line, Product
from personalization.ingest.message import MAX_BYTES
from personalization.orders import amount
from tests.demo.sample import sample

VISITOR = "6f1c8f5e-0000-4000-8000-000000000001"


def product(
    department: str, category: str, type_: str = "", *, quantity: int = 3, cents: int = 600
) -> Product:
    return Product(7, department, "National", category, type_, "12 OZ", quantity, cents)


def said(basket: Basket) -> dict[str, object]:
    return order(basket, visitor=VISITOR, shift_seconds=0, categories={1: "dairy"})


def test_revenue_is_the_exact_sum_of_the_basket() -> None:
    lines = tuple(Line(n, 1, 10) for n in range(3))
    properties = orjson.loads(orjson.dumps(said(Basket(5, 1, 0, lines))["properties"]))
    assert amount(properties) == Decimal("0.30")


def test_every_basket_of_the_sample_keeps_its_cents(tmp_path: Path) -> None:
    for _, baskets in sample(tmp_path).baskets():
        for basket in baskets:
            assert amount(said(basket)["properties"]) == Decimal(basket.cents) / 100  # type: ignore[arg-type]


def test_the_same_basket_has_the_same_message_id() -> None:
    first, second = said(Basket(5, 1, 0, ())), said(Basket(5, 1, 0, ()))
    assert first["messageId"] == second["messageId"] == "household-1-basket-5"


def test_a_volume_is_one_piece_and_so_is_nothing() -> None:
    lines = (Line(1, 12_890, 3_079), Line(2, 0, 0), Line(3, 4, 400))
    products = said(Basket(5, 1, 0, lines))["properties"]["products"]  # type: ignore[index]
    assert [(one["quantity"], one["price"]) for one in products] == [(1, 30.79), (1, 0.0), (4, 1.0)]


def test_the_largest_basket_is_smaller_than_an_event_may_be() -> None:
    lines = tuple(Line(10**7 + n, 9, 12_345) for n in range(1_000))
    assert len(orjson.dumps(said(Basket(5, 1, 0, lines)))) < MAX_BYTES


def test_traits_are_numbers_where_the_source_counts_and_absent_where_it_is_silent() -> None:
    known = Demographics("45-54", "50-74K", None, "Married", "5+", "3+")
    assert traits_of(known) == {
        "age_band": "45-54",
        "income_band": "50-74K",
        "household_size": 5,
        "kids": 3,
        "marital_status": "Married",
    }


def test_a_household_of_which_nothing_is_known_says_nothing() -> None:
    assert identify(Household(1, 2, 300, 0, None), visitor=VISITOR) is None


def test_products_find_their_category_by_what_they_are_then_by_department() -> None:
    assert category_of(product("GROCERY", "COLD CEREAL")) == "breakfast"
    assert category_of(product("GROCERY", "FRZN BREAKFAST FOODS")) == "breakfast"
    assert category_of(product("PRODUCE", "BERRIES")) == "fresh"
    assert category_of(product("GROCERY", "SOUP")) == "pantry"
    assert category_of(product("FUEL", "COUPON/MISC ITEMS")) == "other"


def test_a_product_costs_what_was_paid_for_one_on_average() -> None:
    item = item_of(product("GROCERY", "SOUP", "TOMATO SOUP", quantity=3, cents=500))
    assert item["key"] == "article-7"
    assert item["fields"]["price"] == 1.67
    assert item["fields"]["name"] == {"en": "Tomato soup"}


def test_a_product_that_the_source_does_not_name_has_a_number_for_a_name() -> None:
    unknown = Product(7, "", "", "", "", "", 1, 100)
    assert item_of(unknown)["fields"] == {
        "sku": "article-7",
        "name": {"en": "Article 7"},
        "category": "pantry",
        "price": 1.0,
    }


def test_progress_without_a_terminal_is_lines_and_with_one_a_line() -> None:
    for terminal, mark in ((False, ""), (True, "\r")):
        written: list[str] = []
        line = Progress("Events", 200, written.append, terminal=terminal, done=50)
        line.add(50)
        line.end()
        assert written[0].startswith(f"{mark}Events     [############            ]  50%  100/200")
        assert written[-1].endswith("\n")
