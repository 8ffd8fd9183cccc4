"""One message in the shape of the Segment specification, read from JSON. PURE.

In: what a client sent. Out: a `Message`, or `Malformed` with the reason. Its moment is corrected by the client's own
clock: `timestamp = receivedAt − (sentAt − originalTimestamp)`.
"""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

KINDS: Final = ("track", "identify", "page", "screen", "group", "alias")
NAMES: Final = {"page": "Page Viewed", "screen": "Screen Viewed"}
MAX_BYTES: Final = 32 * 1024
MAX_PROPERTIES: Final = 200
MAX_DEPTH: Final = 5


class Malformed(Exception):
    """A message that cannot be read; the reason is counted and answered."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Message:
    kind: str
    name: str
    message_id: str
    anonymous_id: str
    user_id: str
    user_hash: str
    properties: Mapping[str, Any]
    traits: Mapping[str, Any]
    happened_at: dt.datetime
    preferences: Mapping[str, Any] = field(default_factory=dict)
    user_agent: str = ""


def read(
    raw: object, *, received_at: dt.datetime, kind: str | None = None, sent_at: object = None
) -> Message:
    """Read one message; `kind` and `sent_at` come from the call when the message does not say them itself."""
    if not isinstance(raw, Mapping):
        raise Malformed("invalid")
    kind = kind or str(raw.get("type", ""))
    if kind not in KINDS:
        raise Malformed("unknown_type")
    if len(orjson.dumps(raw)) > MAX_BYTES:
        raise Malformed("too_large")
    context = _object(raw.get("context"))
    properties = _object(raw.get("properties"))
    traits = _object(raw.get("traits")) or (_object(context.get("traits")) if kind == "identify" else {})
    if _too_deep(properties, MAX_DEPTH) or _too_deep(traits, MAX_DEPTH) or len(properties) > MAX_PROPERTIES:
        raise Malformed("too_deep")
    name = NAMES.get(kind) or (_text(raw.get("event")) if kind == "track" else kind)
    if not name or "\x00" in orjson.dumps(raw).decode() or b"\\u0000" in orjson.dumps(raw):
        raise Malformed("invalid")
    return Message(
        kind=kind,
        name=name[:200],
        message_id=_text(raw.get("messageId"))[:100] or uuid.uuid4().hex,
        anonymous_id=_text(raw.get("anonymousId")),
        user_id=_text(raw.get("userId"))[:200],
        user_hash=_text(context.get("userHash")),
        properties=properties,
        traits=traits,
        happened_at=moment(raw, received_at=received_at, sent_at=raw.get("sentAt") or sent_at),
        preferences=_object(_object(context.get("consent")).get("categoryPreferences")),
        user_agent=_text(context.get("userAgent"))[:500],
    )


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def _too_deep(value: object, left: int) -> bool:
    if isinstance(value, Mapping):
        return left == 0 or any(_too_deep(one, left - 1) for one in value.values())
    if isinstance(value, list):
        return left == 0 or any(_too_deep(one, left - 1) for one in value)
    return False


def moment(raw: Mapping[str, Any], *, received_at: dt.datetime, sent_at: object) -> dt.datetime:
    """Return when it happened by our clock."""
    original = parse_moment(raw.get("originalTimestamp") or raw.get("timestamp"))
    sent = parse_moment(sent_at)
    if original is None:
        return received_at
    return received_at - (sent - original) if sent is not None else original


def parse_moment(value: object) -> dt.datetime | None:
    """Read an ISO 8601 moment; None when it is not one."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        read_moment = dt.datetime.fromisoformat(value)
    except ValueError:
        return None
    return read_moment if read_moment.tzinfo else read_moment.replace(tzinfo=dt.UTC)
