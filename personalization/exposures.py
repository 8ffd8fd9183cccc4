"""Remember what people were shown: for pacing at once, for the tables soon.

In: a decision that was answered. Out: nothing that the answer would wait for. Exposures leave through a bounded queue
and a background thread, in one Redis pipeline every fifty milliseconds: into the list that the worker moves to the
table, and behind the record that pacing reads with the next request. Only of somebody who allowed personal content.
"""

import datetime as dt
import logging
import queue
import threading
import time
import uuid
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import orjson
import redis
from django.conf import settings
from django.db import transaction

from consent.hot_store import Unavailable, hot_store
from consent.models import ConsentState
from consent.state import gates_of
from personalization.assemble import Decision, shown_lines
from personalization.models import Exposure
from personalization.pacing import NOTHING_SHOWN, Pace, line, read

log = logging.getLogger(__name__)
LIST: Final = "exposures"
PURPOSE: Final = "personalization"
EVERY_SECONDS: Final = 0.05
KEPT_SECONDS: Final = 400 * 24 * 3600
MAX_BYTES: Final = 16_384  # of one record: then it is made anew from the table
BATCH: Final = 1_000
_waiting: "queue.Queue[tuple[uuid.UUID, list[dict[str, Any]], str]]" = queue.Queue(maxsize=10_000)
_sender: threading.Thread | None = None
_starting = threading.Lock()

# An entry that is not there is not begun: it would be taken for all there is.
_APPEND = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  if redis.call('APPEND', KEYS[1], ARGV[1]) > tonumber(ARGV[2]) then redis.call('DEL', KEYS[1]) end
end
"""


def pace_key(subject_id: uuid.UUID) -> str:
    return f"pace:{subject_id.hex}"


class Line(NamedTuple):
    """One placement as it was shown: where, what, and the counters that it counts for."""

    place: str
    variant: str
    counters: Sequence[str]


def note(decision: Decision, *, counting: bool = True) -> None:
    """Remember what an answer showed, and count it unless it counts only when it is seen; never waits, never raises."""
    subject = decision.visitor.id
    if subject is None or PURPOSE not in decision.visitor.gates.granted:
        return
    lines = [
        Line(place, variant, counters if counting else ())
        for place, variant, counters in shown_lines(decision)
    ]
    at = dt.datetime.fromtimestamp(decision.now, dt.UTC)
    remember(subject, lines, at=at, decision=decision.key)


def remember(subject: uuid.UUID, lines: Sequence[Line], *, at: dt.datetime, decision: str = "") -> None:
    """Put down what somebody was shown, or saw; never waits, never raises."""
    if not lines:
        return
    moment = round(at.timestamp() * 1_000_000)
    rows = [
        {
            "i": uuid.uuid4().hex,
            "s": subject.hex,
            "p": place,
            "v": variant,
            "c": counters,
            "t": moment,
            "d": decision,
        }
        for place, variant, counters in lines
    ]
    written = "".join(line(moment, place, variant, counters) for place, variant, counters in lines)
    _start()
    try:
        _waiting.put_nowait((subject, rows, written))
    except queue.Full:
        log.warning("exposures dropped: too many wait")


def _start() -> None:
    global _sender
    with _starting:
        if _sender is None or not _sender.is_alive():
            _sender = threading.Thread(target=_send, name="exposures", daemon=True)
            _sender.start()


def _send() -> None:
    client = redis.Redis.from_url(settings.REDIS_HOT_URL, socket_timeout=1, socket_connect_timeout=1)
    while True:
        batch = [_waiting.get()]
        time.sleep(EVERY_SECONDS)
        while not _waiting.empty() and len(batch) < BATCH:
            batch.append(_waiting.get_nowait())
        try:
            _write(client, batch)
        except redis.RedisError as error:
            log.warning("exposures not written: %s", type(error).__name__)
        for _ in batch:
            _waiting.task_done()


def _write(client: "redis.Redis", batch: Sequence[tuple[uuid.UUID, list[dict[str, Any]], str]]) -> None:
    pipeline = client.pipeline(transaction=False)
    pipeline.rpush(LIST, *(orjson.dumps(row) for _, rows, _ in batch for row in rows))
    for subject, _, written in batch:
        pipeline.eval(_APPEND, 1, pace_key(subject), written, MAX_BYTES)
    pipeline.execute()


def settle(*, timeout_seconds: float = 2.0) -> None:
    """Wait until what was noted is written, for whoever must see it; the product itself never waits."""
    until = time.monotonic() + timeout_seconds
    while _waiting.unfinished_tasks and time.monotonic() < until:
        time.sleep(0.005)


def pace_of(subject_id: uuid.UUID, entry: bytes | None) -> Pace:
    """Return what somebody was shown: from the record in Redis, else from the table."""
    if entry is not None:
        return read(entry)
    rows = Exposure.objects.filter(subject_key=subject_id).order_by("-at")[:200]
    written = "".join(
        line(round(row.at.timestamp() * 1_000_000), row.placement, row.variant, row.counters)
        for row in reversed(list(rows))
    )
    try:
        hot_store().put(
            pace_key(subject_id),
            written.encode(),
            version=0,
            ttl_seconds=KEPT_SECONDS,
        )
    except Unavailable:
        log.warning("pace not kept: Redis is away")
    return read(written.encode()) if written else NOTHING_SHOWN


def store(*, limit: int = BATCH) -> int:
    """Move exposures from Redis to the table, each once whatever dies in between; return how many there were."""
    client = redis.Redis.from_url(settings.REDIS_HOT_URL, socket_timeout=2, socket_connect_timeout=2)
    try:
        found = client.lrange(LIST, 0, limit - 1)
        if found:
            with transaction.atomic():
                rows = [_row(orjson.loads(one)) for one in found]
                allowed = _allowed({row.subject_key for row in rows})
                mine = [row for row in rows if row.subject_key in allowed]
                Exposure.objects.bulk_create(mine, ignore_conflicts=True)
            client.ltrim(LIST, len(found), -1)
        return len(found)
    except redis.RedisError:
        return 0
    finally:
        client.close()


def _allowed(subjects: set[uuid.UUID]) -> set[uuid.UUID]:
    """Return those who still allow it, locked until they are written: what was withdrawn meanwhile is not kept."""
    states = ConsentState.objects.select_for_update(no_key=True).filter(subject_id__in=subjects)
    now = time.time()
    return {
        row.subject_id for row in states.order_by("subject_id") if PURPOSE in gates_of(row, now=now).granted
    }


def _row(spelled: dict[str, Any]) -> Exposure:
    return Exposure(
        key=uuid.UUID(spelled["i"]),
        site_id=1,
        subject_key=uuid.UUID(spelled["s"]),
        placement=spelled["p"],
        variant=spelled["v"],
        counters=spelled["c"],
        decision=spelled["d"],
        at=dt.datetime.fromtimestamp(spelled["t"] / 1_000_000, dt.UTC),
        purposes=[PURPOSE],
    )


def export(subject_id: uuid.UUID) -> dict[str, Any]:
    """Return what somebody was shown, and when."""
    rows = Exposure.objects.filter(subject_key=subject_id).order_by("at")
    return {"shown": [{"placement": r.placement, "variant": r.variant, "at": r.at.isoformat()} for r in rows]}


def erase(subject_id: uuid.UUID, purposes: Collection[str]) -> int:
    """Delete what somebody was shown; what still waits in the list is not stored once nothing may be."""
    if PURPOSE not in purposes:
        return 0
    hot_store().delete(pace_key(subject_id))
    return Exposure.objects.filter(subject_key=subject_id).delete()[0]
