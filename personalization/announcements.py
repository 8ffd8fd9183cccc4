"""What a webhook says, how it is signed, and when it is tried again. PURE.

In: ids, moments, secrets. Out: bytes and headers in the shape of Standard Webhooks (standardwebhooks.com, 1.0), and
delays. A message never holds more than ids: who may know more asks for the profile with a key of their own.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from standardwebhooks import Webhook

ENTERED: Final = "segment.entered"
LEFT: Final = "segment.left"
TEST: Final = "webhook.test"
KINDS: Final = (ENTERED, LEFT)

DELAYS: Final = tuple(
    dt.timedelta(seconds=seconds) for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400)
)
TRIES: Final = len(DELAYS) + 1
JITTER: Final = 0.2  # of a delay, so that what failed together is not tried again together
_FIRST_PAUSE: Final = dt.timedelta(seconds=5)
_LONGEST_PAUSE: Final = dt.timedelta(minutes=5)
GIVES_UP_AFTER: Final = dt.timedelta(days=5)


def kind_of(entered: bool) -> str:
    return ENTERED if entered else LEFT


def message(
    kind: str,
    *,
    segment: str,
    subject: uuid.UUID,
    at: dt.datetime,
    more: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the body of a message; `more` is left out of one that only says goodbye."""
    data = {"segment": segment, "visitor_id": str(subject), **(more or {})}
    return _body(kind, at, data)


def test_message(*, at: dt.datetime) -> bytes:
    """Return the body of a message about nobody."""
    return _body(TEST, at, {"segment": None, "visitor_id": None})


def _body(kind: str, at: dt.datetime, data: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"type": kind, "timestamp": spelled(at), "data": data})


def spelled(moment: dt.datetime) -> str:
    """Spell a moment with milliseconds, in UTC."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def headers(message_id: str, body: bytes, *, secrets: Sequence[str], now: dt.datetime) -> dict[str, str]:
    """Return the headers of a message, signed with each of the secrets (two while one takes over from another)."""
    moment = now.astimezone(dt.UTC)
    signed = (Webhook(one).sign(message_id, moment, body.decode()) for one in secrets)
    return {
        "content-type": "application/json",
        "user-agent": "Tessera-Webhooks/1",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signed),
    }


def retry_in(attempts: int, *, random: float) -> dt.timedelta | None:
    """Return how long to wait after so many failed tries, or None when that was the last; `random` is from 0 to 1."""
    if attempts >= TRIES:
        return None
    wait: dt.timedelta = DELAYS[attempts - 1]
    return wait * (1 + JITTER * (random - 0.5))


def pause_after(failures: int) -> dt.timedelta:
    """Return for how long an endpoint is left alone after so many failures in a row."""
    return min(_FIRST_PAUSE * int(2 ** min(failures - 1, 10)), _LONGEST_PAUSE)
