"""Count what came and what became of it, by name and reason, without a row that all calls would wait for.

Calls add to a table in Redis after they are durable; the sweep moves the sums to PostgreSQL. A Redis that is lost
costs some seconds of counts, never an event.
"""

import datetime as dt
from collections.abc import Mapping

import orjson

from consent.hot_store import Unavailable, hot_store
from personalization.events import count

KEY = "event-counts"


def note(site_id: int, sums: Mapping[tuple[str, str], int]) -> bool:
    """Add to the counts of (name, reason); an empty reason means that it was kept."""
    amounts = {orjson.dumps([site_id, name, reason]).decode(): n for (name, reason), n in sums.items()}
    try:
        hot_store().add(KEY, amounts)
    except Unavailable:
        return False
    return True


def collect(*, now: dt.datetime) -> int:
    """Move the sums to the table; return how many there were."""
    try:
        drained = hot_store().drain(KEY)
    except Unavailable:
        return 0
    by_site: dict[int, list[tuple[str, str, int]]] = {}
    for key, n in drained.items():
        site_id, name, reason = orjson.loads(key)
        by_site.setdefault(site_id, []).append((name, reason, n))
    for site_id, sums in by_site.items():
        count(site_id, sums, now=now)
    return len(drained)
