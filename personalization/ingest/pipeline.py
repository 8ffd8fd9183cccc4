"""Judge messages: one list of named steps, each keeps, changes or drops with a reason. PURE.

In: a message, and what is known at that moment (`Known`: gates, declared traits, trust). Out: `Accepted`, or the
reason why not. The steps know nothing of HTTP, so that streams and files can be doors as well.
"""

import datetime as dt
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cms.fields import as_date
from consent.gates import SENSITIVE, Gates
from personalization.devices import device_of
from personalization.fold import DEVICE
from personalization.ingest.catalogue import DeclaredEvent
from personalization.ingest.message import Message

# What an event may be used for, unless the catalogue of events says otherwise.
EVENT_PURPOSES: Final = frozenset({"analytics", "personalization", "profiling"})
FUTURE: Final = dt.timedelta(hours=24)
MAX_TEXT: Final = 1_000  # characters of a trait
MAX_ENTRIES: Final = 200  # of a list
_BOTS = re.compile(r"bot\b|crawl|spider|slurp|facebookexternalhit|curl/|wget/", re.IGNORECASE)


class Drop(Exception):
    """A message is not kept; the reason is counted and answered."""

    def __init__(self, reason: str, traits: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.reason, self.traits = reason, traits or {}


@dataclass(frozen=True, slots=True)
class DeclaredTrait:
    key: str
    type: str
    purposes: frozenset[str]  # all of them are needed
    from_server: bool
    identifying: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What the steps may know: whose message it is, what that person allows, and whether the key can be trusted."""

    subject: uuid.UUID | None
    gates: Gates
    traits: Mapping[str, DeclaredTrait]
    trusted: bool
    received_at: dt.datetime
    retention: dt.timedelta
    events: Mapping[str, DeclaredEvent] = field(default_factory=dict)
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody said of themselves: traits by key, and apart from them those that tell who it is."""

    traits: Mapping[str, Any] = field(default_factory=dict)
    identifying: Mapping[str, Any] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)  # key → why it is not kept


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is kept, stamped with what it may be used for."""

    message: Message
    subject: uuid.UUID
    purposes: frozenset[str]
    said: Said | None
    properties: Mapping[str, Any]
    warning: str = ""


@dataclass(frozen=True, slots=True)
class _Judged:
    message: Message
    known: Known
    purposes: frozenset[str] = frozenset()
    said: Said | None = None
    warning: str = ""


def identify_subject(judged: _Judged) -> _Judged:
    """Somebody without a visitor id, and without consent, is nobody."""
    if judged.known.subject is None:
        raise Drop("no_consent")
    return judged


def refuse_bots(judged: _Judged) -> _Judged:
    """The event's own user agent says who browsed; headless browsers are not bots."""
    if _BOTS.search(judged.message.user_agent):
        raise Drop("bot")
    return judged


def check_clock(judged: _Judged) -> _Judged:
    """The future is a wrong clock; the past is accepted as far back as events are kept."""
    happened, received = judged.message.happened_at, judged.known.received_at
    if happened > received + FUTURE:
        raise Drop("clock_skew")
    if happened < received - judged.known.retention:
        raise Drop("too_old")
    return judged


def look_up(judged: _Judged) -> _Judged:
    """Compare with the catalogue: a strict site takes only what is declared there, and in its shape."""
    message, known = judged.message, judged.known
    declared = known.events.get(message.name)
    if declared is None or message.kind == "identify":
        if known.strict and message.kind == "track":
            raise Drop("undeclared_event")
        return judged
    if declared.from_server and not known.trusted:
        raise Drop("untrusted")
    if declared.check(message.properties) is None:
        return judged
    if known.strict:
        raise Drop("schema")
    return replace(judged, warning="schema")


def stamp(judged: _Judged) -> _Judged:
    """Stamp the purposes that are granted now; the message itself may only narrow them."""
    message = judged.message
    granted = judged.known.gates.granted - {k for k, v in message.preferences.items() if v is not True}
    if message.kind == "identify":
        return replace(judged, purposes=granted)
    declared = judged.known.events.get(message.name)
    wanted = declared.purposes if declared is not None and declared.purposes else EVENT_PURPOSES
    if SENSITIVE in wanted and SENSITIVE not in granted:
        raise Drop("no_consent")
    purposes = (wanted - {SENSITIVE}) & granted
    if not purposes:
        raise Drop("no_consent")
    return replace(judged, purposes=purposes | (wanted & {SENSITIVE}))


def take_traits(judged: _Judged) -> _Judged:
    """Keep the declared traits whose purposes are granted and that the key may set."""
    if judged.message.kind != "identify":
        return judged
    if not judged.message.traits:
        return _only_named(judged)
    kept: dict[str, Any] = {}
    identifying: dict[str, Any] = {}
    dropped: dict[str, str] = {}
    purposes: set[str] = set()
    for key, value in judged.message.traits.items():
        trait = judged.known.traits.get(key)
        refusal = _trait_refusal(trait, judged)
        typed = None if trait is None or value is None else as_type(value, trait.type)
        if trait is None or refusal or (typed is None and value is not None):
            dropped[key] = refusal or "wrong_type"
            continue
        (identifying if trait.identifying else kept)[key] = typed
        purposes |= trait.purposes
    if not kept and not identifying:
        if not judged.message.user_id:
            raise Drop(list(dropped.values())[-1], dropped)
        return replace(_only_named(judged), said=Said(dropped=dropped))
    return replace(judged, purposes=frozenset(purposes), said=Said(kept, identifying, dropped))


def _only_named(judged: _Judged) -> _Judged:
    """A call that says who somebody is and nothing else needs a purpose that events serve."""
    purposes = EVENT_PURPOSES & judged.purposes
    if not purposes:
        raise Drop("no_consent")
    return replace(judged, purposes=purposes)


def _trait_refusal(trait: DeclaredTrait | None, judged: _Judged) -> str:
    if trait is None:
        return "undeclared"
    if not trait.purposes <= judged.purposes:
        return "no_consent"
    return "untrusted" if trait.from_server and not judged.known.trusted else ""


def fits(value: Any) -> bool:
    """Say whether a value is kept as long as it is: what libraries send is cut, what people write is refused."""
    limit = MAX_TEXT if isinstance(value, str) else MAX_ENTRIES if isinstance(value, list) else None
    return limit is None or len(value) <= limit


def as_type(value: Any, kind: str) -> Any:
    """Return a value of the trait's type, cut to what is kept, or None when it is not one."""
    if kind == "text":
        return value[:MAX_TEXT] if isinstance(value, str) else None
    if kind == "number":
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "date":
        return as_date(value)
    return (
        value[:MAX_ENTRIES]
        if isinstance(value, list) and all(isinstance(v, str | int | float) for v in value)
        else None
    )


Step = Callable[[_Judged], _Judged]
STEPS: Final[tuple[Step, ...]] = (
    identify_subject,
    refuse_bots,
    check_clock,
    look_up,
    stamp,
    take_traits,
)


def judge(message: Message, known: Known) -> Accepted:
    """Run a message through every step; raises Drop with the reason of the first that refuses it."""
    judged = _Judged(message, known)
    for step in STEPS:
        judged = step(judged)
    if known.subject is None:
        raise Drop("no_consent")
    return Accepted(
        message, known.subject, judged.purposes, judged.said, kept_properties(message), judged.warning
    )


def kept_properties(message: Message) -> Mapping[str, Any]:
    """Return what is kept of an event; what somebody said of themselves is kept in the profile alone."""
    if message.kind == "identify":
        return {}
    if not message.user_agent:
        return message.properties
    return {**message.properties, DEVICE: device_of(message.user_agent)}
