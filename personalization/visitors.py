"""Load the one who asks: one Redis read for the gates, the snapshot, how far it must be, and the site's epoch.

A missing or expired entry is read from PostgreSQL; while Redis is away PostgreSQL is asked; while both are away the
gates are closed. A snapshot that lags behind an acknowledged event is brought up to date for this one visitor, without
waiting for the worker. Never raises.
"""

import logging
import uuid
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from django.db import DatabaseError

from consent.gates import CLOSED, Gates
from consent.gates import decode as decode_gates
from consent.hot_store import Unavailable, hot_store
from consent.state import gates_key, read_gates
from personalization.directory import Directory
from personalization.exposures import PURPOSE, pace_key, pace_of
from personalization.pacing import Pace
from personalization.plans import EPOCH_KEY
from personalization.profiles import current, snapshot_key, touched_key
from personalization.visitor import NOBODY, Snapshot, Visitor
from personalization.visitor import decode as decode_snapshot

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Record:
    """Who asks, and the site's epoch; None when Redis could not tell it.

    `needed_id` is the last event that was acknowledged to them, as far as Redis knows, and `shown` the record of what
    they were shown.
    """

    visitor: Visitor
    epoch: int | None
    needed_id: int = 0
    shown: bytes | None = None


MAX_JOINED: Final = 10_000
_joined: OrderedDict[uuid.UUID, uuid.UUID] = OrderedDict()


def load(visitor_id: uuid.UUID | None, *, now: float) -> Record:
    """Return who asks and the site's epoch, with one Redis command.

    Whoever was joined to somebody else is read under that name; who that is costs a process one command more, once.
    """
    known = _joined.get(visitor_id, visitor_id) if visitor_id is not None else None
    record = _load(known, now=now)
    merged_into = record.visitor.gates.merged_into
    if merged_into is None or visitor_id is None:
        return record
    _joined[visitor_id] = merged_into
    if len(_joined) > MAX_JOINED:
        _joined.popitem(last=False)
    return _load(merged_into, now=now)


def _load(visitor_id: uuid.UUID | None, *, now: float) -> Record:
    keys = [EPOCH_KEY]
    if visitor_id is not None:
        keys += [
            gates_key(visitor_id),
            snapshot_key(visitor_id),
            touched_key(visitor_id),
            pace_key(visitor_id),
        ]
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
    snapshot = decode_snapshot(found[2]) if found[2] and gates.granted else None
    return Record(Visitor(visitor_id, gates, snapshot), epoch, int(found[3]) if found[3] else 0, found[4])


def _gates(visitor_id: uuid.UUID) -> Gates:
    try:
        return read_gates(visitor_id)
    except DatabaseError:
        log.warning("gates could not be read: closed")
        return CLOSED


def up_to_date(record: Record, directory: Directory, *, now: float) -> Visitor:
    """Return who asks with everything that was acknowledged to them; without an open gate nothing is looked at."""
    visitor = record.visitor
    if visitor.id is None or not visitor.gates.granted:
        return visitor
    snapshot = visitor.snapshot
    if snapshot is not None and _reaches(snapshot, record, directory):
        return visitor
    return replace(visitor, snapshot=_current(visitor.id, directory, now, record.needed_id))


def _reaches(snapshot: Snapshot, record: Record, directory: Directory) -> bool:
    """Say whether a snapshot holds every event it must, and the behaviour of the rules in use."""
    if snapshot.folded_id < record.needed_id:
        return False
    return not directory.behaviours or snapshot.behaviour_version >= directory.behaviour_version


def pace(record: Record) -> Pace | None:
    """Return what the one who asks was shown before; None when that may not or cannot be known."""
    visitor = record.visitor
    if visitor.id is None or PURPOSE not in visitor.gates.granted:
        return None
    try:
        return pace_of(visitor.id, record.shown)
    except DatabaseError:
        log.warning("exposures could not be read: unknown")
        return None


def _current(visitor_id: uuid.UUID, directory: Directory, now: float, needed: int) -> Snapshot | None:
    try:
        return current(visitor_id, directory, now=now, needed=needed)
    except (
        Exception
    ):  # whatever is wrong with one profile: its page is served, with everything personal unknown
        log.exception("a profile could not be read: unknown")
        return None
