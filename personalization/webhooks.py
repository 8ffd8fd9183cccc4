"""Send what waits for endpoints: claimed, written when it is sent, signed, tried again, and given up with a cause.

In: deliveries that are due. Out: each ends as delivered, withheld or failed. Consent is looked at right before a message
is sent, so that nothing follows a withdrawal, whatever was queued before it. A claim is a lease: whoever dies with it is
followed by the next, with the same `webhook-id`, by which a receiver knows a message again.
"""

import datetime as dt
import logging
import random
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from django.db import connection
from django.db.models import QuerySet

from consent import access_log
from consent.gates import CLOSED, NECESSARY, Gates
from consent.seal import Unreadable
from personalization.addresses import Policy, Refused
from personalization.announcements import ENTERED, LEFT, headers, message, retry_in, test_message
from personalization.dead_letters import bury
from personalization.endpoints import note_failure, note_success, policy, secrets_of, switch_off
from personalization.folding import gates_of_subjects
from personalization.models import SegmentChange, WebhookDelivery, WebhookEndpoint
from personalization.outgoing import Answer, Unreachable, post

log = logging.getLogger(__name__)
WORK: Final = "webhook"
AT_ONCE: Final = 16  # messages that are under way together, started at once
LEASE: Final = dt.timedelta(seconds=60)
GONE: Final = 410
State = WebhookDelivery.State
Outcome = Answer | Refused | Unreachable


@dataclass(frozen=True, slots=True)
class Request:
    """One message, ready to be sent by a thread that knows nothing of the database."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    policy: Policy

    def send(self) -> Outcome:
        try:
            return post(self.url, self.body, self.headers, policy=self.policy)
        except (Refused, Unreachable) as none:
            return none


# Endpoints share what goes at once; one that fails is asked for one message at a time. What is said of one person in
# one segment keeps its order.
_CLAIM = """
WITH ready AS (
  SELECT e.id, e.failing_since IS NOT NULL AS failing FROM personalization_webhookendpoint e
  WHERE e.active AND (e.paused_until IS NULL OR e.paused_until <= %(now)s) AND EXISTS (
    SELECT 1 FROM personalization_webhookdelivery d
    WHERE d.endpoint_id = e.id AND d.state = 'waiting' AND d.next_at <= %(now)s)
)
UPDATE personalization_webhookdelivery d SET attempts = attempts + 1, next_at = %(lease)s
FROM (
  SELECT picked.id FROM ready e CROSS JOIN LATERAL (
    SELECT w.id FROM personalization_webhookdelivery w
    WHERE w.endpoint_id = e.id AND w.state = 'waiting' AND w.next_at <= %(now)s AND NOT EXISTS (
      SELECT 1 FROM personalization_webhookdelivery b
      WHERE b.subject_key = w.subject_key AND b.endpoint_id = e.id AND b.segment_id = w.segment_id
      AND b.state = 'waiting' AND (b.change < w.change OR (w.change IS NULL AND b.id < w.id)))
    ORDER BY w.next_at, w.id
    LIMIT (CASE WHEN e.failing THEN 1 ELSE greatest(1, %(limit)s / (SELECT count(*) FROM ready)) END)
    FOR UPDATE SKIP LOCKED
  ) picked
) p WHERE d.id = p.id RETURNING d.id
"""


def send_due(*, now: dt.datetime, limit: int = AT_ONCE) -> int:
    """Send the messages that are due, as many as go at once; return how many were claimed."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"now": now, "lease": now + LEASE, "limit": limit})
        claimed = [row[0] for row in cursor.fetchall()]
    if claimed:
        _send(claimed, now)
    return len(claimed)


def _send(claimed: Sequence[int], now: dt.datetime) -> None:
    with ThreadPoolExecutor(len(claimed), thread_name_prefix="webhook") as pool:
        under_way: dict[Future[Outcome], WebhookDelivery] = {}
        for delivery, request in _written(claimed, now):
            under_way[pool.submit(request.send)] = delivery
        for done in as_completed(under_way):
            _settle(under_way[done], done.result(), now)


def _written(claimed: Sequence[int], now: dt.datetime) -> list[tuple[WebhookDelivery, Request]]:
    """Write the messages, each as consent allows now; those that it does not allow are withheld."""
    rows = list(WebhookDelivery.objects.filter(pk__in=claimed).select_related("endpoint", "segment"))
    changes = SegmentChange.objects.in_bulk([row.change for row in rows if row.change is not None])
    gates = gates_of_subjects([row.subject_key for row in rows if row.subject_key], now=now)
    written = []
    for row in rows:
        body = _body(row, changes, gates.get(row.subject_key, CLOSED) if row.subject_key else CLOSED)
        if body is None:
            _end(row, State.WITHHELD, now)
        else:
            request = _signed(row, body, now)
            if request is not None:
                _on_record(row, now)
                written.append((row, request))
    return written


def _on_record(row: WebhookDelivery, now: dt.datetime) -> None:
    """Write down that somebody else is told about a person, before they are."""
    access_log.note(
        access_log.Kind.DATA_SENT,
        actor=access_log.task("webhooks"),
        now=now,
        subject=row.subject_key,
        purposes=row.segment.purposes,
        place=str(row.endpoint),
        reason=f"{row.kind}: {row.segment}, try {row.attempts}",
        site_id=row.segment.site_id,
    )


def _signed(row: WebhookDelivery, body: bytes, now: dt.datetime) -> Request | None:
    """Return the signed message; where the endpoint's secret cannot be read it waits, and the others go."""
    try:
        secrets = secrets_of(row.endpoint, now=now)
    except Unreadable:
        log.error("the secret of a webhook endpoint cannot be read", extra={"endpoint": row.endpoint_id})
        _settle(row, Unreachable("Its secret cannot be read: a key is missing (rotate_keys --check)."), now)
        return None
    return Request(row.endpoint.url, body, headers(row.message_id, body, secrets=secrets, now=now), policy())


def _body(row: WebhookDelivery, changes: Mapping[int, SegmentChange], gates: Gates) -> bytes | None:
    """Return what may be told: everything, the bare news that somebody left, or nothing."""
    change = changes.get(row.change) if row.change is not None else None
    needed = {*row.segment.purposes, row.endpoint.purpose} - {NECESSARY}
    if row.subject_key is None:
        return None
    written = partial(message, segment=row.segment.key, subject=row.subject_key, at=row.at)
    if change is not None and needed <= gates.granted:
        more = {"cause": change.cause, "event": change.event or None}
        return written(row.kind, more=more)
    if row.kind == LEFT and (row.change is None or _may_know(row)):
        return written(LEFT)
    return None


def _may_know(row: WebhookDelivery) -> bool:
    """Say whether the endpoint may have been told that this person is in the segment."""
    same = WebhookDelivery.objects.filter(
        subject_key=row.subject_key, endpoint=row.endpoint, segment=row.segment, attempts__gt=0
    )
    last = same.exclude(pk=row.pk).exclude(state=State.WITHHELD).order_by("-change").first()
    return last is not None and last.kind == ENTERED


def _settle(row: WebhookDelivery, outcome: Outcome, now: dt.datetime) -> None:
    """Write down how it went."""
    if isinstance(outcome, Answer) and outcome.ok:
        _end(row, State.DONE, now, status=outcome.status)
        note_success(row.endpoint)
        return
    status = outcome.status if isinstance(outcome, Answer) else None
    said = f"HTTP {status}" if isinstance(outcome, Answer) else outcome.sentence
    text = f"{said}: {outcome.text}" if isinstance(outcome, Answer) and outcome.text else said
    wait = retry_in(row.attempts, random=random.random())  # noqa: S311  # jitter
    if wait is None:
        _end(row, State.FAILED, now, status=status, error=text)
        bury(WORK, row.message_id, attempts=row.attempts, error=f"{row.endpoint}: {said}", now=now)
    else:
        asked = dt.timedelta(seconds=min(getattr(outcome, "retry_after", None) or 0, 3600))
        _mine(row).update(next_at=now + max(wait, asked), status=status, error=text)
    if status == GONE:
        switch_off(row.endpoint, "It answered 410 Gone: it wants no more messages.", now=now)
    else:
        silent = status is None or status >= 500 or status == 429
        note_failure(row.endpoint, silent=silent, now=now, wait_seconds=getattr(outcome, "retry_after", None))


def _mine(row: WebhookDelivery) -> "QuerySet[WebhookDelivery]":
    """Return the row while it waits: one that was erased in between stays erased."""
    return WebhookDelivery.objects.filter(pk=row.pk, state=State.WAITING)


def _end(
    row: WebhookDelivery, state: str, now: dt.datetime, *, status: int | None = None, error: str = ""
) -> None:
    """End a delivery; one that took leave of somebody names nobody any more once it has arrived."""
    ended: dict[str, Any] = {"state": state, "status": status, "error": error, "done_at": now}
    if row.change is None and state == State.DONE:
        ended["subject_key"] = None
    _mine(row).update(**ended)


def send_test(endpoint: WebhookEndpoint, *, now: dt.datetime) -> Outcome:
    """Send a message about nobody, and return what came back; it is not kept."""
    body = test_message(at=now)
    signed = headers(f"msg_{uuid.uuid4().hex}", body, secrets=secrets_of(endpoint, now=now), now=now)
    return Request(endpoint.url, body, signed, policy()).send()


def replay_delivery(reference: str, now: dt.datetime) -> bool:
    """Let a message that failed be sent again, from its first try; its id stays the same."""
    failed = WebhookDelivery.objects.filter(
        message_id=reference, state=State.FAILED, endpoint__active=True, subject_key__isnull=False
    )
    return bool(failed.update(state=State.WAITING, attempts=0, next_at=now, done_at=None))
