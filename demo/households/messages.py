"""How the source is said in the words of the public API. PURE.

In: rows of the source. Out: catalogue items, `identify` traits and `Order Completed` events as plain JSON values.
Message ids are made of the source's own numbers, so that the same basket sent twice counts once.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from demo.households.source import Basket, Demographics, Household, Line, Product

MAX_PRODUCTS: Final = 300  # an event carries at most 32 KB; the largest basket of the source has 161 lines
MAX_PIECES: Final = 150  # more is no count but a volume: fuel is in thousandths of a gallon

# A word of the source's category, else its department → a category of the demo shop; the first one that fits.
_BY_WORD: Final[tuple[tuple[str, str], ...]] = (
    ("COFFEE", "coffee"),
    ("TEAS", "coffee"),
    ("COCOA", "coffee"),
    ("CEREAL", "breakfast"),
    ("BREAKFAST", "breakfast"),
    ("BRKFST", "breakfast"),
    ("PANCAKE", "breakfast"),
    ("FRZN", "frozen"),
    ("FROZEN", "frozen"),
    ("ICE CREAM", "frozen"),
    ("MILK", "dairy"),
    ("CHEESE", "dairy"),
    ("YOGURT", "dairy"),
    ("BUTTER", "dairy"),
    ("MARGARINE", "dairy"),
    ("EGGS", "dairy"),
    ("DRINK", "drinks"),
    ("JUICE", "drinks"),
    ("DRNK", "drinks"),
    ("WATER", "drinks"),
    ("BEER", "drinks"),
    ("WINE", "drinks"),
    ("CANDY", "snacks"),
    ("SNACK", "snacks"),
    ("COOKIE", "snacks"),
    ("CRACKER", "snacks"),
    ("POPCORN", "snacks"),
    ("BREAD", "bakery"),
    ("ROLLS", "bakery"),
    ("BAKED", "bakery"),
    ("TISSUE", "household"),
    ("TOWEL", "household"),
    ("DETERGENT", "household"),
    ("BLEACH", "household"),
    ("HOUSEHOLD", "household"),
    ("BAGS", "household"),
)
_BY_DEPARTMENT: Final = {
    "PRODUCE": "fresh",
    "SALAD BAR": "fresh",
    "FLORAL": "fresh",
    "MEAT": "meat",
    "MEAT-PCKGD": "meat",
    "SEAFOOD": "meat",
    "SEAFOOD-PCKGD": "meat",
    "DELI": "meat",
    "PASTRY": "bakery",
    "DRUG GM": "household",
    "COSMETICS": "household",
    "FUEL": "other",
    "MISCELLANEOUS": "other",
    "COUPON": "other",
    "TRAVEL & LEISURE": "other",
}


def category_of(product: Product) -> str:
    """Return the demo shop's category of a product."""
    if product.department not in ("FUEL", "MISCELLANEOUS", "COUPON"):
        for word, category in _BY_WORD:
            if word in product.category:
                return category
    return _BY_DEPARTMENT.get(product.department, "pantry")


def item_key(product: int) -> str:
    """Return the key of a product in the catalogue."""
    return f"article-{product}"


def item_of(product: Product) -> dict[str, Any]:
    """Return a product as an item of the catalogue; its price is the mean of what was paid for one."""
    name = (product.type or product.category or f"Article {product.id}").capitalize()
    brand = f"{product.brand} brand" if product.brand else ""
    fields = {
        "sku": item_key(product.id),
        "name": {"en": name},
        "category": category_of(product),
        "price": _unit_price(product.cents, product.quantity),
    }
    tagline = ", ".join(part for part in (brand, product.size.lower()) if part)
    return {"key": item_key(product.id), "fields": fields | ({"tagline": {"en": tagline}} if tagline else {})}


def _unit_price(cents: int, quantity: int) -> float:
    return round(cents / max(1, quantity)) / 100


def traits_of(known: Demographics) -> dict[str, Any]:
    """Return what the source knows of a household as the demo's declared traits; "5+" counts as 5."""
    traits = {
        "age_band": known.age,
        "income_band": known.income,
        "household_size": _number(known.size),
        "kids": _number(known.kids),
        "home_owner": known.home,
        "marital_status": known.marital,
    }
    return {key: value for key, value in traits.items() if value is not None}


def _number(text: str | None) -> int | None:
    return None if text is None else int(text.rstrip("+"))


def identify(household: Household, *, visitor: str) -> dict[str, Any] | None:
    """Return the message that says who a household is; None when the source does not know."""
    if household.demographics is None:
        return None
    return {
        "type": "identify",
        "messageId": f"household-{household.id}-traits",
        "anonymousId": visitor,
        "traits": traits_of(household.demographics),
    }


def order(
    basket: Basket, *, visitor: str, shift_seconds: int, categories: Mapping[int, str]
) -> dict[str, Any]:
    """Return a basket as an `Order Completed`; `categories` is product → category of the shop."""
    return {
        "type": "track",
        "event": "Order Completed",
        "messageId": f"household-{basket.household}-basket-{basket.id}",
        "anonymousId": visitor,
        "timestamp": moment(basket.at + shift_seconds).isoformat(),
        "properties": {
            "order_id": str(basket.id),
            "revenue": basket.cents / 100,
            "currency": "USD",
            "products": [_bought(line, categories) for line in basket.lines[:MAX_PRODUCTS]],
        },
    }


def _bought(line: Line, categories: Mapping[int, str]) -> dict[str, Any]:
    pieces = line.quantity if 0 < line.quantity <= MAX_PIECES else 1
    return {
        "product_id": item_key(line.product),
        "category": categories.get(line.product, "pantry"),
        "quantity": pieces,
        "price": round(line.cents / pieces) / 100,
    }


def moment(seconds: int) -> dt.datetime:
    """Return a moment of whole seconds in UTC."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
