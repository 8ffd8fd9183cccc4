"""Keep messages: one transaction per call, durable before it is acknowledged.

In: messages and how far their sender can be trusted. Out: how many were kept and why the others were not. The gates
are read under a lock in the same transaction, so that nothing is written after a withdrawal; a message that came
before changes nothing. Folding what happened into profiles comes afterwards (`folding.py`); until it has, Redis tells
every page that the profile lags.
"""

import datetime as dt
import hashlib
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.conf import settings
from django.db import connection, transaction

from cms.models import Site
from consent.fault_points import crash_at
from consent.gates import CLOSED, Gates
from consent.hints import hint
from consent.identities import claim, has_identifier, hash_is_valid, owner_of
from consent.merging import merge, survivors
from consent.models import ConsentState
from consent.state import gates_of
from personalization.events import declared_events
from personalization.ingest.counts import note
from personalization.ingest.message import Message
from personalization.ingest.pipeline import Accepted, DeclaredTrait, Drop, Known, judge
from personalization.models import Trait
from personalization.profiles import Statement, announce_touched, say
from personalization.seen import note_seen

FOLD_TASK = "personalization.tasks.fold_touched"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: the key's prefix, whether it is secret, the site, and the visitor whose token came along.

    `closed` are the purposes that signals of the request refuse, such as Global Privacy Control.
    """

    key_prefix: str
    trusted: bool
    site_id: int
    visitor: uuid.UUID | None = None
    closed: frozenset[str] = frozenset()


@dataclass(slots=True)
class Outcome:
    """What became of a call; `traits` are those that were not kept, with the reason of each."""

    accepted: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    traits: dict[str, str] = field(default_factory=dict)
    sums: Counter[tuple[str, str]] = field(default_factory=Counter)  # (name, reason), for the counts by day


def keep(messages: Sequence[Message], *, sender: Sender, now: dt.datetime) -> Outcome:
    """Store what may be stored, and tell that the profiles it concerns lag behind."""
    outcome = Outcome()
    with transaction.atomic():
        judged = list(_judged(messages, sender, now, outcome))
        stored = _insert(judged, sender, now)
        new = _new_ones(judged, stored)
        say(_said(new), site_id=sender.site_id, now=now)
        joined = _join(new, sender, outcome, now)
    crash_at("after_commit")
    announce_touched(_last(stored, joined))
    note_seen(new, site_id=sender.site_id)
    _count(outcome, judged, new)
    note(sender.site_id, outcome.sums)
    if stored:
        hint(FOLD_TASK)
    return outcome


def subject_of(message: Message, sender: Sender) -> uuid.UUID | None:
    """Return whose message it is: the token's visitor, the visitor whose id it names, or the one with a proven userId."""
    if sender.visitor is not None:
        return sender.visitor
    try:
        return uuid.UUID(message.anonymous_id)
    except ValueError:
        return owner_of("user", message.user_id) if proves(message, sender) else None


def proves(message: Message, sender: Sender) -> bool:
    """Say whether a message proves its userId: by a secret key, or by the site's hash of it."""
    return bool(message.user_id) and (sender.trusted or hash_is_valid(message.user_id, message.user_hash))


def _judged(
    messages: Sequence[Message], sender: Sender, now: dt.datetime, outcome: Outcome
) -> Iterable[Accepted]:
    """Yield the messages that every step keeps, and count the reasons of the others."""
    subjects = _subjects(messages, sender)
    gates = _gates({one for one in (*subjects, *_owners(messages, sender)) if one is not None}, now)
    traits, events = declared_traits(sender.site_id), declared_events(sender.site_id)
    strict = Site.objects.filter(pk=sender.site_id, strict_events=True).exists()
    for message, subject in zip(messages, subjects, strict=True):
        known = Known(
            subject=subject if subject in gates else None,
            gates=gates.get(subject, CLOSED).without(sender.closed) if subject else CLOSED,
            traits=traits,
            trusted=sender.trusted,
            received_at=now,
            retention=dt.timedelta(days=settings.EVENT_RETENTION_DAYS),
            events=events,
            strict=strict,
        )
        try:
            yield judge(message, known)
        except Drop as drop:
            outcome.dropped[drop.reason] += 1
            outcome.traits.update(drop.traits)
            outcome.sums[(message.name, drop.reason)] += 1


def _subjects(messages: Sequence[Message], sender: Sender) -> list[uuid.UUID | None]:
    """Return whose each message is; whoever was joined to somebody is that somebody."""
    named = [subject_of(message, sender) for message in messages]
    joined = survivors({subject for subject in named if subject is not None})
    return [joined.get(subject, subject) if subject is not None else None for subject in named]


def _owners(messages: Sequence[Message], sender: Sender) -> set[uuid.UUID | None]:
    """Return to whom messages will join their visitors, so that all are locked together and in order."""
    return {owner_of("user", message.user_id) for message in messages if may_join(message, sender)}


def may_join(message: Message, sender: Sender) -> bool:
    """Say whether a message tells who its visitor is, and proves it."""
    return message.kind in ("identify", "alias") and proves(message, sender)


def _gates(subjects: Collection[uuid.UUID], now: dt.datetime) -> dict[uuid.UUID, Gates]:
    """Read what the subjects allow, locked until this transaction ends.

    No withdrawal can come in between, and the events of one subject get their numbers in the order of commits:
    that is what lets a profile remember how far it is by one number.
    """
    rows = (
        ConsentState.objects.select_for_update(no_key=True)
        .filter(subject_id__in=subjects)
        .order_by("subject_id")
    )
    return {row.subject_id: gates_of(row, now=now.timestamp()) for row in rows}


def declared_traits(site_id: int) -> dict[str, DeclaredTrait]:
    return {
        trait.key: DeclaredTrait(
            trait.key, trait.type, trait.purposes, trait.source == Trait.Source.SERVER, trait.identifying
        )
        for trait in Trait.objects.filter(site_id=site_id)
    }


# The rows travel as one JSON text: an array of texts would be escaped twice, element by element, in Python.
_INSERT = """
WITH sent AS (
  SELECT * FROM json_to_recordset(%(rows)s::json)
  AS sent(d uuid, m text, s uuid, k text, n text, p jsonb, h timestamptz, g text[])
), fresh AS (
  INSERT INTO personalization_eventseen (digest, seen_at) SELECT d, %(now)s FROM sent ORDER BY d
  ON CONFLICT DO NOTHING RETURNING digest
), kept AS (
  INSERT INTO personalization_event
    (site_id, key_prefix, message_id, subject_key, kind, name, properties, happened_at, received_at, purposes)
  SELECT %(site)s, %(key)s, m, s, k, n, p, h, %(now)s, g FROM sent JOIN fresh ON digest = d
  RETURNING id, subject_key, message_id, happened_at
), lagging AS (
  INSERT INTO personalization_touched (site_id, subject_key, at, since, until, last_id)
  SELECT %(site)s::bigint, subject_key, %(now)s::timestamptz, min(happened_at), max(happened_at), max(id)
  FROM kept GROUP BY subject_key
)
SELECT subject_key, max(id), array_agg(message_id) FROM kept GROUP BY subject_key
"""


def _insert(
    judged: Sequence[Accepted], sender: Sender, now: dt.datetime
) -> dict[uuid.UUID, tuple[int, frozenset[str]]]:
    """Insert the events in one statement; return, per subject, the last number and the ids that were new."""
    rows = {one.message.message_id: _row(one, sender) for one in reversed(judged)}
    if not rows:
        return {}
    written = orjson.dumps(list(reversed(rows.values()))).decode()  # numbered in the order in which they came
    values: dict[str, Any] = {"rows": written, "now": now, "site": sender.site_id, "key": sender.key_prefix}
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)
        return {subject: (last, frozenset(ids)) for subject, last, ids in cursor.fetchall()}


def _row(one: Accepted, sender: Sender) -> dict[str, Any]:
    """Return an event as the insert reads it."""
    message = one.message
    return {
        "d": digest(sender.key_prefix, message.message_id),
        "m": message.message_id,
        "s": one.subject,
        "k": message.kind,
        "n": message.name,
        "p": one.properties,
        "h": message.happened_at,
        "g": sorted(one.purposes),
    }


def digest(key_prefix: str, message_id: str) -> str:
    """Return the digest by which a message is known again."""
    return hashlib.sha256(f"{key_prefix} {message_id}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _new_ones(
    judged: Sequence[Accepted], stored: dict[uuid.UUID, tuple[int, frozenset[str]]]
) -> list[Accepted]:
    """Return the messages that were stored now, the first of each id, in the order in which they happened."""
    new: dict[str, Accepted] = {}
    for one in judged:
        if one.message.message_id in stored.get(one.subject, (0, frozenset()))[1]:
            new.setdefault(one.message.message_id, one)
    return sorted(new.values(), key=lambda one: one.message.happened_at)


def _said(new: Sequence[Accepted]) -> list[Statement]:
    """Return what people said of themselves: kept in the profile alone, where it can be sealed and erased."""
    return [
        Statement(one.subject, one.message.happened_at, one.said.traits, one.said.identifying, one.purposes)
        for one in new
        if one.said is not None
    ]


def _count(outcome: Outcome, judged: Sequence[Accepted], new: Sequence[Accepted]) -> None:
    """Count what was kept, what was there already, and which traits were cut."""
    outcome.accepted = len(new)
    outcome.sums.update((one.message.name, "") for one in new)
    outcome.sums.update((one.message.name, f"{one.warning}_warning") for one in new if one.warning)
    if len(judged) > len(new):
        outcome.dropped["duplicate"] += len(judged) - len(new)
        outcome.sums[("*", "duplicate")] += len(judged) - len(new)
    for one in new:
        outcome.traits.update(one.said.dropped if one.said else {})
    outcome.sums.update((f"trait {key}", reason) for key, reason in outcome.traits.items())


def _join(
    new: Sequence[Accepted], sender: Sender, outcome: Outcome, now: dt.datetime
) -> dict[uuid.UUID, uuid.UUID]:
    """Attach each proven userId to its visitor, or join the visitor to whose it is; return who was joined to whom.

    A visitor who is somebody already becomes nobody else: two people may share a browser. That is counted.
    """
    joined: dict[uuid.UUID, uuid.UUID] = {}
    for one in new:
        if not may_join(one.message, sender):
            continue
        subject = joined.get(one.subject, one.subject)
        owner = owner_of("user", one.message.user_id)
        if owner == subject:
            continue
        if has_identifier(subject, "user"):
            outcome.sums[(one.message.name, "other_user_warning")] += 1
        elif owner is None:
            claim(subject, "user", one.message.user_id)
        elif merge(subject, owner, now=now):
            joined[one.subject] = owner
    return joined


def _last(
    stored: dict[uuid.UUID, tuple[int, frozenset[str]]], joined: dict[uuid.UUID, uuid.UUID]
) -> dict[uuid.UUID, int]:
    """Return the last event of everybody concerned."""
    last: dict[uuid.UUID, int] = {}
    for subject, (number, _) in stored.items():
        owner = joined.get(subject, subject)
        last[owner] = max(number, last.get(owner, 0))
    return last
