"""The very product that somebody left behind: from what they looked at to a discount that shows it."""

import datetime as dt
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.db.utils import OperationalError
from django.test.utils import CaptureQueriesContext

from personalization import plans
from personalization.bundle import load_bundle
from personalization.handles import handle_of
from personalization.models import Segment
from personalization.recipes import recipe
from personalization.segments.directory import rebuild
from tests.builders import the_site
from tests.flows.front import Front, agreed
from tests.flows.shop import load

pytestmark = pytest.mark.usefixtures("shop")
START = dt.datetime(2026, 11, 16, 12, 0, tzinfo=dt.UTC)
PATH = "/recipes/cart-and-view"


@pytest.fixture
def offered(shop: None) -> None:
    with time_machine.travel(START - dt.timedelta(hours=1)):
        load(recipe("cart_and_view").bundle)
        products = [("tent", "Ridge tent"), ("stove", "Pocket stove")]
        items = [
            {"key": key, "type": "recipe-product", "fields": {"title": title, "price": "€ 129"}}
            for key, title in products
        ]
        load({"tessera": 1, "blocks": items})
        Segment.objects.filter(key="cart_and_view").update(min_size=0)
        parent = Segment.objects.get(key="cart_and_view")
        Segment.objects.create(
            site=the_site(), key="child", title="Child", rule={}, parent=parent, min_size=0
        )
        rebuild(the_site())


def shown(front: Front) -> dict[str, Any]:
    return dict(front.slots(PATH)["recipe-discount"])


def component(front: Front) -> tuple[str, list[str]]:
    """Return the reason of the component in the offer, and the titles of the products in it."""
    found = shown(front)["fields"]["body"]["components"]["1"]
    return found["reason"], [one["fields"]["title"] for one in found["items"]]


def act(front: Front, key: str, event: str, product: str) -> None:
    answer = front.send(key, "track", event=event, properties={"product_id": product})
    assert answer.json()["accepted"] == 1


def left_a_tent(key: str, product: str = "tent", **purposes: bool) -> Front:
    """Return somebody who put something into the cart, looked at a product, and went."""
    front = agreed(**(purposes or {"personalization": True, "analytics": True}))
    act(front, key, "Product Added", product)
    act(front, key, "Product Viewed", product)
    return front


def test_a_discount_shows_the_product_that_was_looked_at(offered: None, write_key: str) -> None:
    with time_machine.travel(START, tick=True):
        ada, ben = left_a_tent(write_key), left_a_tent(write_key, "stove")
        assert shown(ada)["variant"] == "default"
    with time_machine.travel(START + dt.timedelta(minutes=31), tick=False):
        assert shown(ada)["fields"]["body"]["html"].startswith("<p>10 % off")
        assert component(ada) == ("matched", ["Ridge tent"])
        assert component(ben) == ("matched", ["Pocket stove"])
        html = ada.page(PATH, Accept="text/html").content.decode()
        assert "<h3>Ridge tent</h3>" in html
        assert "€ 129" in html
    with time_machine.travel(START + dt.timedelta(hours=25), tick=False):
        assert shown(ada)["variant"] == "default"


def test_it_costs_one_query_the_first_time_and_none_afterwards(offered: None, write_key: str) -> None:
    with time_machine.travel(START, tick=True):
        ada, ben, cleo = left_a_tent(write_key), left_a_tent(write_key), left_a_tent(write_key, "stove")
    with time_machine.travel(START + dt.timedelta(minutes=31), tick=False):
        find = plans.item_finder(plans.read_site(), "en")
        assert find("recipe-product", "tent")
        with CaptureQueriesContext(connection) as asked:
            assert find("recipe-product", "stove")
            assert find("recipe-product", "no-such-product") is None
        assert len(asked) == 2, [one["sql"] for one in asked]
        component(ada)
        component(ben)
        component(cleo)
        with CaptureQueriesContext(connection) as asked:
            assert component(ada) == component(ben) == ("matched", ["Ridge tent"])
        assert len(asked) == 0, [one["sql"] for one in asked]


def test_nobody_makes_a_block_appear_that_is_no_item_of_that_catalogue(offered: None, write_key: str) -> None:
    with time_machine.travel(START, tick=True):
        mallory = left_a_tent(write_key, "hero-default")
        lost = left_a_tent(write_key, "no-such-product")
    with time_machine.travel(START + dt.timedelta(minutes=31), tick=False):
        assert component(mallory) == component(lost) == ("default", ["Product Y"])


def test_a_withdrawal_takes_the_product_away(offered: None, write_key: str) -> None:
    with time_machine.travel(START, tick=True):
        ada = left_a_tent(write_key)
    with time_machine.travel(START + dt.timedelta(minutes=31), tick=True):
        assert component(ada) == ("matched", ["Ridge tent"])
        ada.decide(personalization=False, analytics=True)
        assert shown(ada)["variant"] == "default"


def test_without_the_database_the_default_stands_in(
    offered: None, write_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with time_machine.travel(START, tick=True):
        ada, ben = left_a_tent(write_key), left_a_tent(write_key, "stove")
    with time_machine.travel(START + dt.timedelta(minutes=31), tick=False):
        component(ada)
        component(ben)

        def away(*_: Any, **__: Any) -> Any:
            raise OperationalError("away")

        site = plans.read_site()
        find = plans.item_finder(site, "en")
        with monkeypatch.context() as patched:
            patched.setattr(plans.Block.objects, "filter", away)
            assert find("recipe-product", "tent") is None
        assert find("recipe-product", "tent")["fields"]["title"] == "Ridge tent"


def test_why_names_the_segment(offered: None, write_key: str) -> None:
    with time_machine.travel(START, tick=True):
        ada = left_a_tent(write_key)
    with time_machine.travel(START + dt.timedelta(minutes=31), tick=False):
        component(ada)
        answer = ada.get("/api/v1/privacy/why", {"path": PATH}, headers={"X-Visitor": ada.token or ""}).json()
        (place,) = answer["placements"]
        assert place["lines"][0] == "You see this because you belong to: Cart left, and still looking."
        assert place["off"] == {"segment": handle_of("cart_and_view")}


@pytest.mark.parametrize(
    ("of", "codes"),
    [
        ("cart_and_view", []),
        ("child", []),
        ("no_such", ["unknown_segment"]),
        ("loyal", ["segment_without_by"]),
    ],
)
def test_a_component_of_no_segment_is_refused_with_its_place(
    offered: None, of: str, codes: list[str]
) -> None:
    body = f'<PersonalizedProduct type="recipe-product" of="{of}" default="product-y"/>'
    block = {"key": "offer-2", "type": "recipe-discount", "fields": {"body": {"en": body}}}
    placement = {
        "placement": "p",
        "variants": [{"key": "default", "default": True, "block": "offer-2"}],
    }
    page = {
        "path": "/two",
        "title": {"en": "Two"},
        "template": "recipe-discount-page",
        "slots": {"offer": [placement]},
    }
    report = load_bundle({"tessera": 1, "blocks": [block], "pages": [page]}, now=START, publish=True)
    found = [one for one in report.problems if one.severity == "error"]
    assert [one.code for one in found] == codes
    assert all("/slots/offer/0/variants/0/block/body" in one.pointer for one in found)
