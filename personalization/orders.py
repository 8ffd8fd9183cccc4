"""Read an order out of an event's properties. PURE.

In: the properties of `Order Completed` as the Segment specification spells them. Out: what it was worth, and which
items of which categories it held. What is not a number counts nothing; nothing raises.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

ORDER: Final = "Order Completed"
MAX_AMOUNT: Final = Decimal(10) ** 11
MAX_QUANTITY: Final = 10_000
MAX_NAME: Final = 100


def amount(properties: Mapping[str, Any]) -> Decimal:
    """Return what an order was worth: `revenue`, else `total`, else `value`; 0 when none of them is a number."""
    for name in ("revenue", "total", "value"):
        value = properties.get(name)
        if value is None or isinstance(value, bool):
            continue
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            continue
        if number.is_finite() and abs(number) < MAX_AMOUNT:
            return number.quantize(Decimal("0.0001"))
    return Decimal(0)


def bought(properties: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """Return (item, category, quantity) of each product in an order, one entry per item."""
    found: dict[tuple[str, str], int] = {}
    products = properties.get("products")
    for product in products if isinstance(products, list) else ():
        if isinstance(product, dict):
            key = (named(product, "product_id"), named(product, "category"))
            found[key] = found.get(key, 0) + _quantity(product.get("quantity", 1))
    return [(item, category, count) for (item, category), count in found.items()]


def _quantity(given: Any) -> int:
    return int(given) if isinstance(given, int | float) and 0 < given < MAX_QUANTITY else 1


def named(properties: Mapping[str, Any], key: str) -> str:
    """Return a property that names something, cut to what is kept of a name; empty when there is none."""
    value = properties.get(key)
    return str(value)[:MAX_NAME] if isinstance(value, str | int) else ""
