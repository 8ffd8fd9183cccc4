"""Events through the whole door, against batched inserts of the same rows into the same table."""

import datetime as dt
import time
import uuid
from collections.abc import Sequence
from typing import Any

import orjson
from django.db import connection, transaction

from bench.rounds import Rate, Result, compare
from cms.models.site import current_site
from personalization.ingest.message import read
from personalization.ingest.store import Sender, keep
from personalization.models import ApiKey

BATCH = 500


def ingest_benchmark(visitors: Sequence[uuid.UUID], *, rounds: int, calls: int) -> Result:
    """Measure events a second in calls of five hundred: read, judged, stored once, acknowledged."""
    site = current_site()
    row, _ = ApiKey.objects.create_key(name="bench ingest", site=site, scopes=["ingest"])
    sender = Sender(row.prefix, False, site.pk)
    return compare(
        name="ingest",
        baseline="batched INSERT, same table",
        unit="events/s",
        measured=_through_the_door(visitors, sender, calls),
        against=_inserted(visitors, site.pk, calls),
        rounds=rounds,
    )


def _bodies(visitors: Sequence[uuid.UUID], calls: int) -> list[bytes]:
    return [
        orjson.dumps(
            {"batch": [_event(visitors[(call * BATCH + n) % len(visitors)], n) for n in range(BATCH)]}
        )
        for call in range(calls)
    ]


def _event(visitor: uuid.UUID, n: int) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Product Viewed",
        "anonymousId": str(visitor),
        "messageId": uuid.uuid4().hex,
        "properties": {"product_id": f"p{n % 90}", "category": f"c{n % 9}", "price": n % 50 + 0.5},
    }


def _through_the_door(visitors: Sequence[uuid.UUID], sender: Sender, calls: int) -> Rate:
    def measure() -> float:
        bodies = _bodies(visitors, calls)
        started = time.perf_counter()
        for body in bodies:
            now = dt.datetime.now(dt.UTC)
            messages = [read(one, received_at=now) for one in orjson.loads(body)["batch"]]
            if keep(messages, sender=sender, now=now).accepted != BATCH:
                raise SystemExit("An event of the benchmark was not accepted.")
        return calls * BATCH / (time.perf_counter() - started)

    return measure


_INSERT = """
INSERT INTO personalization_event
  (site_id, key_prefix, message_id, subject_key, kind, name, properties, happened_at, received_at, purposes)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def _inserted(visitors: Sequence[uuid.UUID], site_id: int, calls: int) -> Rate:
    """Insert rows that are ready, five hundred a transaction, as a driver batches them."""

    def measure() -> float:
        batches = [_rows(body, site_id) for body in _bodies(visitors, calls)]
        started = time.perf_counter()
        for rows in batches:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.executemany(_INSERT, rows)
        return calls * BATCH / (time.perf_counter() - started)

    return measure


def _rows(body: bytes, site_id: int) -> list[tuple[Any, ...]]:
    now = dt.datetime.now(dt.UTC)
    purposes = ["analytics", "personalization", "profiling"]
    return [
        (
            site_id, "bench", one["messageId"], one["anonymousId"], "track", one["event"],
            orjson.dumps(one["properties"]).decode(), now, now, purposes,
        )
        for one in orjson.loads(body)["batch"]
    ]  # fmt: skip
