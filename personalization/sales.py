"""How often each item of a catalogue was bought, over everybody: the component of personalised products chooses by it."""

from collections.abc import Iterable
from typing import Any

from django.db import connection

from cms.language.behaviour.events import Happened
from personalization.orders import ORDER, bought

_SALES = """
INSERT INTO personalization_itemsales (site_id, item, category, quantity)
SELECT b.site_id, i, c, q FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS rows(i, c, q)
JOIN cms_block b ON b.site_id = %s AND b.key = i AND b.live
ORDER BY i
ON CONFLICT (site_id, item) DO UPDATE
SET quantity = personalization_itemsales.quantity + excluded.quantity, category = excluded.category
"""


def count_sales(site_id: int, events: Iterable[Happened]) -> None:
    """Add what was bought, in the caller's transaction; only items that exist, so that nobody can fill the table."""
    sold: dict[str, tuple[str, int]] = {}
    for event in events:
        if event.name == ORDER and event.kind == "track":
            for item, category, count in bought(event.properties):
                if item:
                    sold[item] = (category, sold.get(item, ("", 0))[1] + count)
    if sold:
        items = sorted(sold)
        columns: list[list[Any]] = [items, [sold[i][0] for i in items], [sold[i][1] for i in items]]
        with connection.cursor() as cursor:
            cursor.execute(_SALES, [*columns, site_id])
