"""Keep messages: one transaction per call, durable before it is acknowledged.

In: messages and how far their sender can be trusted. Out: how many were kept and why the others were not. The gates
are read under a lock in the same transaction, so that nothing is written after a withdrawal; a message that came
before changes nothing. Snapshots follow before the answer, memberships soon after.
"""

import datetime as dt
import os
import signal
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.conf import settings
from django.db import connection, transaction

from consent.gates import CLOSED, Gates
from consent.hints import hint
from consent.identities import claim, hash_is_valid
from consent.models import ConsentState
from consent.state import gates_of
from personalization.fold import ORDER, Change
from personalization.ingest.message import Message
from personalization.ingest.pipeline import Accepted, DeclaredTrait, Drop, Known, bought, judge
from personalization.models import Profile, Trait
from personalization.profiles import apply_changes, publish_snapshots

SEGMENT_TASK = "personalization.tasks.segment_changed"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: the key's prefix, whether it is secret, the site, and the visitor whose token came along."""

    key_prefix: str
    trusted: bool
    site_id: int
    visitor: uuid.UUID | None = None


@dataclass(slots=True)
class Outcome:
    accepted: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


def keep(messages: Sequence[Message], *, sender: Sender, now: dt.datetime) -> Outcome:
    """Store what may be stored and fold it into the profiles it concerns."""
    outcome = Outcome()
    with transaction.atomic():
        kept = list(_judged(messages, sender, now, outcome))
        new = _insert(kept, sender, now)
        outcome.dropped.update({"duplicate": len(kept) - len(new)} if len(kept) > len(new) else {})
        outcome.accepted = len(new)
        changed = _fold(new, sender, now)
        _join(new, sender)
        _count_sales(new, sender)  # last: everybody's calls meet in these rows
    crash_at("after_commit")
    publish_snapshots(changed)
    if changed:
        hint(SEGMENT_TASK)
    return outcome


def crash_at(point: str) -> None:
    """Die here, as by `kill -9`, when the fault tests want it (`FAULT`); what is committed must not depend on more."""
    if point == settings.FAULT:
        os.kill(os.getpid(), signal.SIGKILL)


def subject_of(message: Message, sender: Sender) -> uuid.UUID | None:
    """Return whose message it is: the token's visitor, else the visitor whose id it names."""
    if sender.visitor is not None:
        return sender.visitor
    try:
        return uuid.UUID(message.anonymous_id)
    except ValueError:
        return None


def _judged(
    messages: Sequence[Message], sender: Sender, now: dt.datetime, outcome: Outcome
) -> Iterable[Accepted]:
    """Yield the messages that every step keeps, and count the reasons of the others."""
    subjects = [subject_of(message, sender) for message in messages]
    gates = _gates({subject for subject in subjects if subject is not None}, now)
    traits = declared_traits(sender.site_id)
    for message, subject in zip(messages, subjects, strict=True):
        known = Known(
            subject=subject if subject in gates else None,
            gates=gates.get(subject, CLOSED) if subject else CLOSED,
            traits=traits,
            trusted=sender.trusted,
            received_at=now,
            retention=dt.timedelta(days=settings.EVENT_RETENTION_DAYS),
        )
        try:
            yield judge(message, known)
        except Drop as drop:
            outcome.dropped[drop.reason] += 1


def _gates(subjects: set[uuid.UUID], now: dt.datetime) -> dict[uuid.UUID, Gates]:
    """Read what the subjects allow, locked until this transaction ends: no withdrawal can come in between."""
    rows = (
        ConsentState.objects.select_for_update(no_key=True)
        .filter(subject_id__in=subjects)
        .order_by("subject_id")
    )
    return {row.subject_id: gates_of(row, now=now.timestamp()) for row in rows}


def declared_traits(site_id: int) -> dict[str, DeclaredTrait]:
    return {
        trait.key: DeclaredTrait(
            trait.key, trait.type, trait.purpose, trait.source == Trait.Source.SERVER, trait.identifying
        )
        for trait in Trait.objects.filter(site_id=site_id)
    }


# The rows travel as one JSON text: an array of texts would be escaped twice, element by element, in Python.
_INSERT = """
INSERT INTO personalization_event
  (site_id, key_prefix, message_id, subject_key, kind, name, properties, happened_at, received_at, purposes)
SELECT %s, %s, m, s, k, n, p, h, %s, g
FROM json_to_recordset(%s::json) AS rows(m text, s uuid, k text, n text, p jsonb, h timestamptz, g text[])
ON CONFLICT (key_prefix, message_id) DO NOTHING
RETURNING message_id
"""


def _insert(kept: Sequence[Accepted], sender: Sender, now: dt.datetime) -> list[Accepted]:
    """Insert the events in one statement; return those that were not there already."""
    by_id: dict[str, Accepted] = {}
    for one in kept:
        by_id.setdefault(one.message.message_id, one)
    rows = sorted(by_id.values(), key=lambda one: one.message.message_id)
    if not rows:
        return []
    written = orjson.dumps([_row(one) for one in rows]).decode()
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [sender.site_id, sender.key_prefix, now, written])
        inserted = {row[0] for row in cursor.fetchall()}
    return [one for one in rows if one.message.message_id in inserted]


def _row(one: Accepted) -> dict[str, Any]:
    """Return an event as the insert reads it."""
    message = one.message
    # what somebody said of themselves is kept in the profile alone, where it can be sealed and erased
    properties = {} if message.kind == "identify" else dict(message.properties)
    return {
        "m": message.message_id,
        "s": one.subject,
        "k": message.kind,
        "n": message.name,
        "p": properties,
        "h": message.happened_at,
        "g": sorted(one.purposes),
    }


def _fold(new: Sequence[Accepted], sender: Sender, now: dt.datetime) -> list[Profile]:
    changes: dict[uuid.UUID, list[Change]] = {}
    for one in sorted(new, key=lambda one: one.message.happened_at):
        changes.setdefault(one.subject, []).append(one.change or Change(purposes=one.purposes))
    return apply_changes(changes, site_id=sender.site_id, now=now) if changes else []


_SALES = """
INSERT INTO personalization_itemsales (site_id, item, category, quantity)
SELECT b.site_id, i, c, q FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS rows(i, c, q)
JOIN cms_block b ON b.site_id = %s AND b.key = i AND b.live
ON CONFLICT (site_id, item) DO UPDATE
SET quantity = personalization_itemsales.quantity + excluded.quantity, category = excluded.category
"""


def _count_sales(new: Sequence[Accepted], sender: Sender) -> None:
    """Count what was bought, over everybody: the component of personalised products chooses by it.

    Only items of a catalogue are counted, so that what anybody may send cannot fill the table.
    """
    sold: dict[str, tuple[str, int]] = {}
    for one in new:
        if one.message.name == ORDER and one.change is not None:
            for item, category, count in bought(one.message.properties):
                if item:
                    sold[item] = (category, sold.get(item, ("", 0))[1] + count)
    if sold:
        items = sorted(sold)
        columns: list[list[Any]] = [items, [sold[i][0] for i in items], [sold[i][1] for i in items]]
        with connection.cursor() as cursor:
            cursor.execute(_SALES, [*columns, sender.site_id])


def _join(new: Sequence[Accepted], sender: Sender) -> None:
    """Attach a userId to its visitor; a public key needs the site's hash of it, else it joins nothing."""
    for one in new:
        user_id = one.message.user_id
        if (
            one.message.kind == "identify"
            and user_id
            and (sender.trusted or hash_is_valid(user_id, one.message.user_hash))
        ):
            claim(one.subject, "user", user_id)
