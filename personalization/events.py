"""The catalogue of events of a site, and how often each name came.

In: names that clients sent. Out: what is declared about them, for the steps and for rules; counts by day and reason.
A name that nobody declared gets a row of its own when it is first seen, so that rules can name it and people can see
it; what anybody may send cannot fill the table.
"""

import datetime as dt
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson
from django.db import connection
from django.db.models import Q

from cms.language.vocabulary import EventName
from personalization.ingest.catalogue import DeclaredEvent, property_types, sampled_types
from personalization.models import EventCount, EventType

MAX_NAMES_A_DAY: Final = 1_000
MAX_SEEN: Final = 1_000  # names that are remembered though nobody declared them
OTHER: Final = "(other)"
SAMPLE_KEPT: Final = dt.timedelta(hours=1)  # then the shape of a newer event takes its place
CACHE_SECONDS: Final = 5.0
# What the Segment specification names, so that rules over a shop can be written before the first event came.
STANDARD: Final = (
    "Page Viewed",
    "Screen Viewed",
    "Product Viewed",
    "Product List Viewed",
    "Products Searched",
    "Product Added",
    "Product Removed",
    "Cart Viewed",
    "Checkout Started",
    "Order Completed",
    "Order Refunded",
    # what the snippet tells
    "Placement Seen",
    "Placement Clicked",
    "Placement Hovered",
    "Clicked Repeatedly",
    "Form Abandoned",
    "Page Left",
)
_cache: dict[int, tuple[float, dict[str, DeclaredEvent]]] = {}


def declared_events(site_id: int) -> Mapping[str, DeclaredEvent]:
    """Return the declared events of a site, as this process knew them at most five seconds ago."""
    known = _cache.get(site_id)
    if known is not None and time.monotonic() - known[0] < CACHE_SECONDS:
        return known[1]
    rows = EventType.objects.filter(site_id=site_id, declared=True)
    declared = {row.key: declared_event(row) for row in rows}
    _cache[site_id] = (time.monotonic(), declared)
    return declared


def forget_declared() -> None:
    """Read the catalogue again at the next call."""
    _cache.clear()


def declared_event(row: EventType) -> DeclaredEvent:
    schema = orjson.dumps(row.schema).decode() if row.schema else ""
    return DeclaredEvent(row.key, frozenset(row.purposes), row.from_server, schema)


def event_names(site_id: int) -> dict[str, EventName]:
    """Return the events that rules may name: declared, seen, or of the Segment specification."""
    names = {key: EventName(key, key) for key in STANDARD}
    for row in EventType.objects.filter(site_id=site_id):
        types = property_types(row.schema) if row.schema else {}
        shown = {**sampled_types(row.sample), **types}
        names[row.key] = EventName(row.key, row.title or row.key, frozenset(row.purposes), types, shown)
    return names


_COUNT = """
INSERT INTO personalization_eventcount (site_id, day, name, reason, count, last_at)
SELECT %(site)s, %(day)s, n, r, c, %(now)s FROM unnest(%(names)s::text[], %(reasons)s::text[], %(counts)s::bigint[]) t(n, r, c)
ORDER BY n, r
ON CONFLICT (site_id, day, name, reason) DO UPDATE
SET count = personalization_eventcount.count + excluded.count, last_at = excluded.last_at
"""


def count(site_id: int, sums: Sequence[tuple[str, str, int]], *, now: dt.datetime) -> None:
    """Add to the counts of a day; from the thousandth name on the others are counted together."""
    day = now.astimezone(dt.UTC).date()
    known = set(EventCount.objects.filter(site_id=site_id, day=day).values_list("name", flat=True).distinct())
    added: dict[tuple[str, str], int] = {}
    for name, reason, n in sums:
        if name not in known and len(known) >= MAX_NAMES_A_DAY:
            name = OTHER
        known.add(name)
        added[(name, reason)] = added.get((name, reason), 0) + n
    values: dict[str, Any] = {
        "site": site_id,
        "day": day,
        "now": now,
        "names": [name for name, _ in added],
        "reasons": [reason for _, reason in added],
        "counts": list(added.values()),
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, values)
    note_seen(site_id, {name for name, reason, _ in sums if not reason and name != OTHER}, now=now)


def note_seen(site_id: int, names: Iterable[str], *, now: dt.datetime) -> None:
    """Remember names that came, declared or not, and when."""
    seen = set(names)
    rows = EventType.objects.filter(site_id=site_id, key__in=seen)
    known = set(rows.values_list("key", flat=True))
    stale = rows.filter(Q(sampled_at=None) | Q(sampled_at__lt=now - SAMPLE_KEPT)).values_list(
        "key", flat=True
    )
    for name, sample in _samples(site_id, list(stale)).items():
        rows.filter(key=name).update(sample=sample, sampled_at=now)
    EventType.objects.filter(site_id=site_id, key__in=known).update(last_seen_at=now)
    EventType.objects.filter(site_id=site_id, key__in=known, first_seen_at=None).update(first_seen_at=now)
    room = MAX_SEEN - EventType.objects.filter(site_id=site_id, declared=False).count()
    new = sorted(seen - known)[: max(0, room)]
    samples = _samples(site_id, new)
    EventType.objects.bulk_create(
        [
            EventType(
                site_id=site_id,
                key=name,
                declared=False,
                sample=samples.get(name),
                sampled_at=now,
                first_seen_at=now,
                last_seen_at=now,
            )
            for name in new
        ],
        ignore_conflicts=True,
    )


_SAMPLES = """
SELECT n, (SELECT jsonb_object_agg(key, jsonb_typeof(value)) FROM jsonb_each(e.properties) AS p(key, value)
           WHERE key NOT LIKE '$%%')
FROM unnest(%s::text[]) AS n CROSS JOIN LATERAL (
  SELECT properties FROM personalization_event WHERE name = n AND site_id = %s ORDER BY happened_at DESC LIMIT 1
) e
"""


def _samples(site_id: int, names: Sequence[str]) -> dict[str, Any]:
    """Return the shape of the newest event of each name: properties and their types, no values."""
    if not names:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_SAMPLES, [list(names), site_id])
        return {
            name: orjson.loads(found) if isinstance(found, str) else found
            for name, found in cursor.fetchall()
        }
