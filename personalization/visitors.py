"""Load the one who asks: one Redis read for the gates, the snapshot and the site's epoch.

A missing or expired entry is read from PostgreSQL; while Redis is away PostgreSQL is asked; while both are away the
gates are closed. Never raises.
"""

import logging
import uuid
from dataclasses import dataclass

from django.db import DatabaseError

from consent.gates import CLOSED, Gates
from consent.gates import decode as decode_gates
from consent.hot_store import Unavailable, hot_store
from consent.state import gates_key, read_gates
from personalization.plans import EPOCH_KEY
from personalization.profiles import read_snapshot, snapshot_key
from personalization.visitor import EMPTY, NOBODY, Snapshot, Visitor
from personalization.visitor import decode as decode_snapshot

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Record:
    """Who asks, and the site's epoch; None when Redis could not tell it."""

    visitor: Visitor
    epoch: int | None


def load(visitor_id: uuid.UUID | None, *, now: float) -> Record:
    """Return who asks and the site's epoch, with one Redis command."""
    keys = [EPOCH_KEY]
    if visitor_id is not None:
        keys += [gates_key(visitor_id), snapshot_key(visitor_id)]
    try:
        found = hot_store().read(keys)
    except Unavailable:
        found = [None] * len(keys)
    epoch = int(found[0]) if found[0] else None
    if visitor_id is None:
        return Record(NOBODY, epoch)
    gates = decode_gates(found[1], now=now) if found[1] else None
    if gates is None:
        gates = _gates(visitor_id)
    return Record(Visitor(visitor_id, gates, _snapshot(visitor_id, gates, found[2])), epoch)


def _gates(visitor_id: uuid.UUID) -> Gates:
    try:
        return read_gates(visitor_id)
    except DatabaseError:
        log.warning("gates could not be read: closed")
        return CLOSED


def _snapshot(visitor_id: uuid.UUID, gates: Gates, entry: bytes | None) -> Snapshot | None:
    """Return what is known, or None when it could not be loaded; without an open gate nothing is looked at."""
    if not gates.granted:
        return None
    snapshot = decode_snapshot(entry) if entry else None
    if snapshot is not None:
        return snapshot
    try:
        return read_snapshot(visitor_id) or EMPTY
    except DatabaseError:
        log.warning("profile could not be read: unknown")
        return None
