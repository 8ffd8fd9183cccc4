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
MAX_DEPTH: Final = 5  # of properties and of traits
MAX_DEPTH_OF_ALL: Final = 12


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
    _check_shape(raw)
    context = _object(raw.get("context"))
    properties = {**_top_level(raw, kind), **_object(raw.get("properties"))}
    traits = _object(raw.get("traits")) or (_object(context.get("traits")) if kind == "identify" else {})
    if _too_deep(properties, MAX_DEPTH) or _too_deep(traits, MAX_DEPTH) or len(properties) > MAX_PROPERTIES:
        raise Malformed("too_deep")
    name = NAMES.get(kind) or (_text(raw.get("event")) if kind == "track" else kind)
    if not name:
        raise Malformed("invalid")
    return Message(
        kind=kind,
        name=name[:200],
        message_id=_text(raw.get("messageId"))[:100] or uuid.uuid4().hex,
        anonymous_id=_text(raw.get("anonymousId"))
        or (_text(raw.get("previousId")) if kind == "alias" else ""),
        user_id=_text(raw.get("userId"))[:200],
        user_hash=_text(context.get("userHash")),
        properties=properties,
        traits=traits,
        happened_at=moment(raw, received_at=received_at, sent_at=raw.get("sentAt") or sent_at),
        preferences=_object(_object(context.get("consent")).get("categoryPreferences")),
        user_agent=_text(context.get("userAgent"))[:500],
    )


def _top_level(raw: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Return what the SDKs for servers say beside the properties: a page's name and category, a group's id."""
    wanted = {"page": ("name", "category"), "screen": ("name", "category"), "group": ("groupId",)}.get(
        kind, ()
    )
    return {name: text for name in wanted if (text := _text(raw.get(name))[:200])}


def _check_shape(raw: Mapping[str, Any]) -> None:
    """Refuse what is too deep to be written again, too large, or holds the one character PostgreSQL cannot keep."""
    if _too_deep(raw, MAX_DEPTH_OF_ALL):
        raise Malformed("too_deep")
    spelled = orjson.dumps(raw)
    if len(spelled) > MAX_BYTES:
        raise Malformed("too_large")
    if b"\\u0000" in spelled and _has_nul(raw):
        raise Malformed("invalid")


def _has_nul(value: object) -> bool:
    if isinstance(value, Mapping):
        return any("\x00" in key or _has_nul(one) for key, one in value.items())
    if isinstance(value, list):
        return any(_has_nul(one) for one in value)
    return isinstance(value, str) and "\x00" in value


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def _too_deep(value: object, left: int) -> bool:
    """Say whether a value read from JSON is nested deeper than so many levels."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return left == 0 or any(_too_deep(one, left - 1) for one in inner if isinstance(one, (dict, list)))


def moment(raw: Mapping[str, Any], *, received_at: dt.datetime, sent_at: object) -> dt.datetime:
    """Return when it happened by our clock."""
    original = parse_moment(raw.get("originalTimestamp") or raw.get("timestamp"))
    sent = parse_moment(sent_at)
    if original is None:
        return received_at
    try:
        return received_at - (sent - original) if sent is not None else original
    except OverflowError:  # a clock that is off by millennia says nothing
        raise Malformed("clock_skew") from None


def parse_moment(value: object) -> dt.datetime | None:
    """Read an ISO 8601 moment; None when it is not one."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        read_moment = dt.datetime.fromisoformat(value)
    except ValueError:
        return None
    return read_moment if read_moment.tzinfo else read_moment.replace(tzinfo=dt.UTC)
