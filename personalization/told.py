"""What webhooks keep of people: who was told what, and how somebody who withdraws is taken leave of.

An endpoint that may know of an entry is told, once, that this person left, and nothing else: no cause, no event. That
farewell is all that is left of them here, until it has arrived; then nobody is named any more.
"""

import datetime as dt
import uuid
from collections.abc import Collection
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Count, Min, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from consent.hints import hint
from consent.holders import About, Item
from personalization.folding import ANNOUNCE_TASK
from personalization.models import WebhookDelivery

UNDER_WAY: Final = dt.timedelta(seconds=15)  # longer than a message can be under way


def export(subject: uuid.UUID) -> dict[str, Any]:
    """Return who was told what."""
    rows = WebhookDelivery.objects.filter(subject_key=subject).select_related("endpoint", "segment")
    return {
        "messages": [
            {
                "to": r.endpoint.title,
                "type": r.kind,
                "title": r.segment.title,
                "at": r.at.isoformat(),
                "state": r.state,
            }
            for r in rows.order_by("id")
        ]
    }


def known(subject: uuid.UUID, now: dt.datetime) -> list[Item]:
    """Return who was told of the groups that one entered or left, and how often."""
    rows = WebhookDelivery.objects.filter(subject_key=subject, state=WebhookDelivery.State.DONE)
    told = rows.values("endpoint__title", "endpoint__purpose").annotate(
        number=Count("pk"), first=Min("done_at")
    )
    return [
        Item(
            About.FACT,
            f"told:{one['endpoint__title']}",
            one["endpoint__title"],
            ngettext("%(number)s message about you", "%(number)s messages about you", one["number"])
            % {"number": one["number"]},
            source=_("Others who were told that you entered or left a group"),
            purposes=(one["endpoint__purpose"],),
            since=one["first"],
            steerable=False,
        )
        for one in told.order_by("endpoint__title")
    ]


_ERASE = """
WITH mine AS (
  SELECT d.* FROM personalization_webhookdelivery d
  JOIN personalization_segment s ON s.id = d.segment_id
  JOIN personalization_webhookendpoint e ON e.id = d.endpoint_id
  WHERE d.subject_key = %(subject)s AND d.change IS NOT NULL
  AND (s.purposes && %(closed)s::varchar[] OR e.purpose = ANY(%(closed)s))
), may_know AS (
  SELECT endpoint_id, segment_id, bool_or(state = 'waiting') AS under_way FROM mine
  WHERE attempts > 0 AND state <> 'withheld'
  GROUP BY endpoint_id, segment_id
  HAVING bool_or(kind = 'segment.entered')
  AND (array_agg(kind || ' ' || state ORDER BY change DESC))[1] <> 'segment.left done'
), farewell AS (
  INSERT INTO personalization_webhookdelivery
    (endpoint_id, message_id, kind, change, segment_id, subject_key, at, state, attempts, next_at, error)
  SELECT m.endpoint_id, 'msg_' || replace(gen_random_uuid()::text, '-', ''), 'segment.left', NULL, m.segment_id,
         %(subject)s, now(), 'waiting', 0, now() + CASE WHEN m.under_way THEN %(lease)s ELSE INTERVAL '0' END, ''
  FROM may_know m JOIN personalization_webhookendpoint e ON e.id = m.endpoint_id WHERE e.active
), gone AS (
  DELETE FROM personalization_webhookdelivery d USING mine WHERE d.id = mine.id RETURNING 1
)
SELECT count(*) FROM gone
"""


def erase(subject: uuid.UUID, purposes: Collection[str]) -> int:
    """Delete the messages that the closed purposes allowed, and take leave where somebody may know of the entry.

    A message may be under way right now: its farewell waits until it must have arrived.
    """
    values: dict[str, Any] = {"subject": subject, "closed": sorted(purposes), "lease": UNDER_WAY}
    with connection.cursor() as cursor:
        cursor.execute(_ERASE, values)
        gone: int = cursor.fetchone()[0]
    if gone:
        transaction.on_commit(lambda: hint(ANNOUNCE_TASK))
    return gone


def held(purpose: str) -> Any:
    """Return of whom messages are kept for a purpose; a farewell is owed because there is none any more."""
    rows = WebhookDelivery.objects.filter(subject_key__isnull=False, change__isnull=False)
    allowing = Q(segment__purposes__contains=[purpose]) | Q(endpoint__purpose=purpose)
    return rows.filter(allowing).order_by().distinct("subject_key")


_EXPIRE = """
DELETE FROM personalization_webhookdelivery d WHERE at < %(before)s AND state <> 'waiting' AND NOT (
  kind = 'segment.entered' AND state = 'done' AND NOT EXISTS (
    SELECT 1 FROM personalization_webhookdelivery later WHERE later.subject_key = d.subject_key
    AND later.endpoint_id = d.endpoint_id AND later.segment_id = d.segment_id
    AND later.kind = 'segment.left' AND later.state = 'done' AND later.change > d.change))
"""


def expire(*, before: dt.datetime) -> int:
    """Delete the log of long ago; that an endpoint knows of somebody is kept as long as they are in."""
    with connection.cursor() as cursor:
        cursor.execute(_EXPIRE, {"before": before})
        return int(cursor.rowcount)
