"""Turn changes of membership into what has to be told and done: a delivery per endpoint, a run per trigger.

In: changes that nobody was told of. Out: rows, once each, in the transaction that marks the changes as announced; a
killed one leaves them as they were. One process at a time does it, so that what happened to somebody is told in its
order. A segment that is too small to personalise is not told of: only leaving is, to whom was told of the entry.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, transaction

from personalization.models import Segment
from personalization.segments.directory import is_exempt
from personalization.segments.sizes import opens
from personalization.triggers import triggers

BATCH: Final = 1_000
_LOCK: Final = 0x7E55E7B


@dataclass(frozen=True, slots=True)
class Announced:
    """How many changes were announced, and how much there is to send and to do for them."""

    changes: int
    deliveries: int
    runs: int


_ANNOUNCE = """
WITH claimed AS (
  SELECT id, site_id, segment_id, subject_key, entered, at,
         CASE WHEN entered THEN 'segment.entered' ELSE 'segment.left' END AS kind
  FROM personalization_segmentchange WHERE announced_at IS NULL ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), marked AS (
  UPDATE personalization_segmentchange c SET announced_at = %(now)s FROM claimed WHERE c.id = claimed.id
), told AS (
  INSERT INTO personalization_webhookdelivery
    (endpoint_id, message_id, kind, change, segment_id, subject_key, at, state, attempts, next_at, error)
  SELECT e.id, 'msg_' || replace(gen_random_uuid()::text, '-', ''), c.kind, c.id, c.segment_id, c.subject_key, c.at,
         'waiting', 0, %(now)s, ''
  FROM claimed c JOIN personalization_webhookendpoint e
    ON e.site_id = c.site_id AND e.active AND c.kind = ANY(e.kinds)
  WHERE (
    NOT EXISTS (SELECT 1 FROM personalization_webhookendpoint_segments m WHERE m.webhookendpoint_id = e.id)
    OR EXISTS (
      SELECT 1 FROM personalization_webhookendpoint_segments m
      WHERE m.webhookendpoint_id = e.id AND m.segment_id = c.segment_id)
  ) AND (c.segment_id = ANY(%(open)s) OR (NOT c.entered AND EXISTS (
      SELECT 1 FROM personalization_webhookdelivery d WHERE d.subject_key = c.subject_key AND d.endpoint_id = e.id
      AND d.segment_id = c.segment_id AND d.kind = 'segment.entered' AND d.state <> 'withheld')))
  ORDER BY c.id, e.id
  ON CONFLICT DO NOTHING RETURNING 1
), ordered AS (
  INSERT INTO personalization_triggerrun
    (trigger, change, segment_id, subject_key, entered, at, state, attempts, next_at, error)
  SELECT t.name, c.id, c.segment_id, c.subject_key, c.entered, c.at, 'waiting', 0, %(now)s, ''
  FROM claimed c JOIN personalization_segment s ON s.id = c.segment_id
  JOIN unnest(%(names)s::text[], %(keys)s::text[], %(entered)s::boolean[]) AS t(name, segment, entered)
    ON t.segment = s.key AND t.entered = c.entered
  WHERE c.segment_id = ANY(%(open)s)
  ORDER BY c.id
  ON CONFLICT DO NOTHING RETURNING 1
)
SELECT (SELECT count(*) FROM claimed), (SELECT count(*) FROM told), (SELECT count(*) FROM ordered)
"""


@transaction.atomic
def announce(*, now: dt.datetime, limit: int = BATCH) -> Announced:
    """Announce the oldest changes that nobody was told of."""
    known = triggers()
    values: dict[str, Any] = {
        "now": now,
        "limit": limit,
        "names": [one.name for one in known],
        "keys": [one.segment for one in known],
        "entered": [one.entered for one in known],
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute(_ANNOUNCE, {**values, "open": _open_segments()})
        return Announced(*cursor.fetchone())


def _open_segments() -> list[int]:
    """Return the segments that personalise; sizes are those of the very changes, so none is a moment late."""
    return [
        segment.pk
        for segment in Segment.objects.all()
        if is_exempt(segment) or opens(segment.size or 0, minimum=segment.min_size, was_open=segment.open)
    ]
