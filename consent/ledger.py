"""The append-only ledger of consent: one hash chain per subject.

`commitment = SHA-256(salt ‖ JCS(payload))` and `hash = SHA-256(prev ‖ JCS(clear columns) ‖ commitment)`, JCS being
RFC 8785. Erasing salt and payload of one subject leaves every chain valid; editing, deleting or swapping entries
does not.
"""

import datetime as dt
import hashlib
import secrets
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import rfc8785
from django.db import connection

from consent.models import CLEAR_COLUMNS, ConsentEvent, SubjectKey
from consent.seal import Unreadable, seal, unseal


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be written for one purpose."""

    purpose: str
    action: str
    method: str
    actor: str = "visitor"
    notice_version: str = ""
    served_id: str = ""
    regime: str = "gdpr"
    gpc: bool = False


def append(
    subject_id: uuid.UUID,
    entries: Sequence[Entry],
    *,
    site_id: int,
    payload: Mapping[str, Any],
    now: dt.datetime,
) -> list[ConsentEvent]:
    """Append entries to a subject's chain; the caller holds the lock on the subject's consent state."""
    last = ConsentEvent.objects.filter(subject_key=subject_id).order_by("-seq").first()
    seq, previous = (last.seq, last.hash) if last else (0, "")
    rows = []
    for entry in entries:
        seq += 1
        row = _row(subject_id, entry, seq, previous, site_id=site_id, payload=payload, now=now)
        previous = row.hash
        rows.append(row)
    return ConsentEvent.objects.bulk_create(rows)


def _row(
    subject_id: uuid.UUID,
    entry: Entry,
    seq: int,
    previous: str,
    *,
    site_id: int,
    payload: Mapping[str, Any],
    now: dt.datetime,
) -> ConsentEvent:
    salt, spelled = secrets.token_bytes(16), rfc8785.dumps(dict(payload))
    row = ConsentEvent(
        subject_key=subject_id,
        site_id=site_id,
        seq=seq,
        purpose=entry.purpose,
        action=entry.action,
        notice_version=entry.notice_version,
        served_id=entry.served_id,
        method=entry.method,
        actor=entry.actor,
        regime=entry.regime,
        gpc=entry.gpc,
        at=now,
        salt=salt,
        payload_enc=seal(subject_id, spelled),
        commitment=hashlib.sha256(salt + spelled).hexdigest(),
        prev_hash=previous,
    )
    row.hash = hash_of(row)
    return row


def entry_of(row: ConsentEvent) -> dict[str, Any]:
    """Return an entry as its hash covers it: the clear columns, the commitment to the payload, and the one before."""
    clear = {name: getattr(row, name) for name in CLEAR_COLUMNS}
    clear |= {"subject": row.subject_key.hex, "at": row.at.astimezone(dt.UTC).isoformat()}
    return {"clear": clear, "commitment": row.commitment, "prev": row.prev_hash, "hash": row.hash}


def hash_of_entry(entry: Mapping[str, Any]) -> str:
    """Return the hash that an entry must have."""
    spelled = entry["prev"].encode() + rfc8785.dumps(entry["clear"]) + entry["commitment"].encode()
    return hashlib.sha256(spelled).hexdigest()


def hash_of(row: ConsentEvent) -> str:
    """Return the hash that a stored entry must have."""
    return hash_of_entry(entry_of(row))


def broken_entries(subject_id: uuid.UUID) -> Iterator[ConsentEvent]:
    """Yield the entries of a chain that do not follow from the one before."""
    previous, seq = "", 0
    for row in ConsentEvent.objects.filter(subject_key=subject_id).order_by("seq"):
        follows = row.prev_hash == previous and row.seq == seq + 1
        if not (follows and row.hash == hash_of(row) and payload_is_theirs(row)):
            yield row
        previous, seq = row.hash, row.seq


def payload_of(row: ConsentEvent) -> dict[str, Any]:
    """Return what an entry says in words; nothing once it is shredded."""
    if row.payload_enc is None:
        return {}
    try:
        said: dict[str, Any] = orjson.loads(unseal(row.subject_key, bytes(row.payload_enc)))
    except Unreadable:
        return {}
    return said


def payload_is_theirs(row: ConsentEvent) -> bool:
    """Say whether salt and payload are those that were committed to; a shredded entry has neither to compare."""
    if row.salt is None or row.payload_enc is None:
        return row.salt is row.payload_enc
    try:
        spelled = unseal(row.subject_key, bytes(row.payload_enc))
    except Unreadable:
        return SubjectKey.objects.filter(pk=row.subject_key, destroyed_at__isnull=True).first() is None
    return hashlib.sha256(bytes(row.salt) + spelled).hexdigest() == row.commitment


def shred(subjects: Collection[uuid.UUID]) -> int:
    """Take salt and payload out of the ledger's entries; rows, commitments and hashes stay."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT consent_shred(%s)", [list(subjects)])
        (shredded,) = cursor.fetchone() or (0,)
        return int(shredded)
