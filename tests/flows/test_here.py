"""This page's own history: how often its item and its category were seen and bought, from the events to the page."""

import pytest

from cms.errors import errors_among
from personalization.bundle import load_bundle
from personalization.lanes import catch_up
from personalization.recipes import recipe
from tests.builders import committing, the_site
from tests.flows.front import Front, agreed
from tests.flows.shop import load, page, when
from tests.flows.test_catalogue import now

pytestmark = pytest.mark.usefixtures("socks")
SOCKS = {"item": "trail-socks", "category": "hiking"}
RULES = {
    "views": {"here.views": {"$gte": 2}},
    "bought": {"here.bought": {"$gte": 1}},
    "category-views": {"here.category_views": {"$gte": 3}},
    "category-bought": {"here.category_bought": {"$gte": 2}},
}


@pytest.fixture
def socks(shop: None) -> None:
    pages = [page(f"/{name}", when("new", rule), meta=SOCKS) for name, rule in RULES.items()]
    load({"tessera": 1, "pages": [*pages, page("/elsewhere", when("new", RULES["views"]))]})


def shown(front: Front) -> set[str]:
    return {name for name in (*RULES, "elsewhere") if front.variant(f"/{name}")[0] == "new"}


@pytest.mark.parametrize("folded", [True, False])
def test_it_counts_this_pages_item_and_category_and_no_others(write_key: str, folded: bool) -> None:
    ada = agreed(personalization=True, analytics=True)

    def look(product: str, category: str) -> None:
        ada.send(
            write_key,
            "track",
            event="Product Viewed",
            properties={"product_id": product, "category": category},
        )
        if folded:
            with committing():
                catch_up(the_site(), now=now(seconds=1))

    assert shown(ada) == set()
    look("trail-socks", "hiking")
    look("rope", "climbing")
    assert shown(ada) == set()
    look("trail-socks", "hiking")
    assert shown(ada) == {"views"}
    look("tent", "hiking")
    assert shown(ada) == {"views", "category-views"}
    ada.buys(write_key)
    assert shown(ada) == {"views", "category-views", "bought"}
    ada.buys(write_key)
    assert shown(ada) == set(RULES)


def test_without_consent_it_is_unknown() -> None:
    assert Front().variant("/views") == ("default", "no_consent")
    ben = agreed(analytics=True)
    assert ben.variant("/views") == ("default", "no_consent")


def test_the_recipe_offers_a_product_to_who_keeps_coming_back_to_it(write_key: str) -> None:
    with committing():
        report = load_bundle(recipe("this_product").bundle, now=now(), publish=True)
    assert not errors_among(report.problems)
    ada = agreed(personalization=True, analytics=True)
    seen = {"product_id": "product-y", "category": "hiking"}
    for _ in range(3):
        ada.send(write_key, "track", event="Product Viewed", properties=seen)
    ada.buys(write_key)  # socks, of the same category
    assert ada.variant("/recipes/this-product") == ("default", "default")
    ada.send(write_key, "track", event="Product Viewed", properties=seen)
    assert ada.variant("/recipes/this-product") == ("seen-often", "matched")
