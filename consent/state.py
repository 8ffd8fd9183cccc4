"""Read and announce the gates of one visitor: PostgreSQL is the truth, Redis a copy that lives ten seconds.

`read_gates` costs one indexed SELECT; `announce_gates` is called before a change is answered and waits, when something
was closed and Redis cannot be written, until any older copy has expired.
"""

import time
import uuid

from django.conf import settings
from django.db import transaction

from consent.gates import CLOSED, Gates, encode, open_gates
from consent.hot_store import Unavailable, hot_store
from consent.models import ConsentState, Subject
from consent.purposes import closing_of

_RETRY_SECONDS = 0.25


def gates_key(subject_id: uuid.UUID) -> str:
    return f"gates:{subject_id.hex}"


def gates_of(row: ConsentState, *, now: float) -> Gates:
    """Return the gates of a stored state: what is allowed, unless the person paused all of it."""
    allowed = allowed_by(row, now=now)
    paused = row.paused_until is not None and row.paused_until.timestamp() > now
    return Gates(version=allowed.version, gpc=allowed.gpc) if paused else allowed


def allowed_by(row: ConsentState, *, now: float) -> Gates:
    """Return what a stored state allows to be kept; a pause deletes nothing.

    A kept signal closes what it covers, and a purpose that is switched off is closed for everybody.
    """
    closing = closing_of(row.site_id)
    closed = closing.for_all | closing.by_gpc if row.gpc else closing.for_all
    return open_gates(
        row.state, expires=row.expires, version=row.version, closed=closed, now=now, gpc=row.gpc
    )


def read_gates(subject_id: uuid.UUID) -> Gates:
    """Read the truth and leave a copy for the next ten seconds; an unknown subject has no open gate."""
    read_at = time.time()
    row = ConsentState.objects.filter(subject_id=subject_id).first()
    gates = gates_of(row, now=read_at) if row else _of_nobody(subject_id)
    try:
        _copy(subject_id, gates, read_at)
    except Unavailable:
        return gates  # the copy is a convenience here: what was read is the truth
    return gates


def _of_nobody(subject_id: uuid.UUID) -> Gates:
    """Return the gates of a subject without a state: closed, and whose count in their place."""
    merged_into = Subject.objects.filter(pk=subject_id).values_list("merged_into", flat=True).first()
    return Gates(merged_into=merged_into) if merged_into else CLOSED


def _copy(subject_id: uuid.UUID, gates: Gates, read_at: float) -> None:
    until = read_at + settings.GATES_MAX_AGE_SECONDS
    left = until - time.time()
    if left > 0:
        hot_store().put(
            gates_key(subject_id),
            encode(gates, until=until),
            version=gates.version,
            ttl_seconds=max(left, 0.001),
        )


def announce_gates(subject_id: uuid.UUID, gates: Gates, *, wait: bool) -> None:
    """Put changed gates where every process sees them at its next request.

    With `wait`, a Redis that cannot be written is waited for until no older copy is valid any more: somebody who
    closed a purpose is answered only when nobody can use it. Who opens one loses nothing by an older copy.
    """
    deadline = time.time() + (settings.GATES_MAX_AGE_SECONDS if wait else 0)
    while True:
        try:
            return _copy(subject_id, gates, time.time())
        except Unavailable:
            if time.time() >= deadline:
                return None
            time.sleep(_RETRY_SECONDS)


def lock(subject_id: uuid.UUID) -> ConsentState | None:
    """Lock somebody's consent until the end of the caller's transaction: whatever changes what is kept of them begins so."""
    return ConsentState.objects.select_for_update().filter(pk=subject_id).first()


def announce_after_commit(subject_id: uuid.UUID, gates: Gates, *, wait: bool) -> None:
    """Announce the gates when the running transaction commits."""
    transaction.on_commit(lambda: announce_gates(subject_id, gates, wait=wait))
