"""Judge messages: one list of named steps, each keeps, changes or drops with a reason. PURE.

In: a message, and what is known at that moment (`Known`: gates, declared traits, trust). Out: `Accepted`, or the
reason why not. The steps know nothing of HTTP, so that streams and files can be doors as well.
"""

import datetime as dt
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from cms.fields import as_date
from consent.gates import Gates
from personalization.fold import ORDER, Change
from personalization.ingest.message import Message

# What an event may be used for, unless the catalogue of events says otherwise.
EVENT_PURPOSES: Final = frozenset({"analytics", "personalization", "profiling"})
FUTURE: Final = dt.timedelta(hours=24)
_BOTS = re.compile(r"bot\b|crawl|spider|slurp|facebookexternalhit|curl/|wget/", re.IGNORECASE)


class Drop(Exception):
    """A message is not kept; the reason is counted and answered."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class DeclaredTrait:
    key: str
    type: str
    purpose: str
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


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is kept, stamped with what it may be used for, and what it means for the profile."""

    message: Message
    subject: uuid.UUID
    purposes: frozenset[str]
    change: Change | None


@dataclass(frozen=True, slots=True)
class _Judged:
    message: Message
    known: Known
    purposes: frozenset[str] = frozenset()
    change: Change | None = None


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


def stamp(judged: _Judged) -> _Judged:
    """Stamp the purposes that are granted now; the message itself may only narrow them."""
    granted = judged.known.gates.granted - {k for k, v in judged.message.preferences.items() if v is not True}
    if judged.message.kind == "identify":
        return replace(judged, purposes=granted)
    purposes = EVENT_PURPOSES & granted
    if not purposes:
        raise Drop("no_consent")
    return replace(judged, purposes=purposes)


def take_traits(judged: _Judged) -> _Judged:
    """Keep the declared traits whose purpose is granted and that the key may set."""
    if judged.message.kind != "identify":
        return judged
    if not judged.message.traits:
        return _only_named(judged)
    kept: dict[str, Any] = {}
    identifying: dict[str, Any] = {}
    purposes: set[str] = set()
    reason = "undeclared"
    for key, value in judged.message.traits.items():
        trait = judged.known.traits.get(key)
        refusal = _trait_refusal(trait, judged)
        if trait is None or refusal:
            reason = refusal
            continue
        typed = None if value is None else as_type(value, trait.type)
        if typed is None and value is not None:
            reason = "wrong_type"
            continue
        (identifying if trait.identifying else kept)[key] = typed
        purposes.add(trait.purpose)
    if not kept and not identifying:
        raise Drop(reason)
    return replace(
        judged, purposes=frozenset(purposes), change=Change(kept, identifying, purposes=frozenset(purposes))
    )


def _only_named(judged: _Judged) -> _Judged:
    """A call that says who somebody is and nothing else needs a purpose that events serve."""
    purposes = EVENT_PURPOSES & judged.purposes
    if not purposes:
        raise Drop("no_consent")
    return replace(judged, purposes=purposes)


def _trait_refusal(trait: DeclaredTrait | None, judged: _Judged) -> str:
    if trait is None:
        return "undeclared"
    if trait.purpose not in judged.purposes:
        return "no_consent"
    return "untrusted" if trait.from_server and not judged.known.trusted else ""


def count_orders(judged: _Judged) -> _Judged:
    """An order changes the computed facts, if it may be used for pages."""
    if (
        judged.message.name != ORDER
        or judged.message.kind != "track"
        or "personalization" not in judged.purposes
    ):
        return judged
    properties = judged.message.properties
    change = Change(
        orders=1,
        revenue=amount(properties),
        ordered_at=judged.message.happened_at,
        categories={name: count for _, name, count in bought(properties) if name},
        purposes=judged.purposes,
    )
    return replace(judged, change=change)


def amount(properties: Mapping[str, Any]) -> Decimal:
    """Return what an order was worth: `revenue`, else `total`, else `value`; 0 when none of them is a number."""
    for name in ("revenue", "total", "value"):
        value = properties.get(name)
        if value is None or isinstance(value, bool):
            continue
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            continue
        if number.is_finite() and abs(number) < Decimal(10) ** 11:
            return number.quantize(Decimal("0.0001"))
    return Decimal(0)


def bought(properties: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """Return (item, category, quantity) of each product in an order, one entry per item."""
    found: dict[tuple[str, str], int] = {}
    products = properties.get("products")
    for product in products if isinstance(products, list) else ():
        if not isinstance(product, dict):
            continue
        quantity = product.get("quantity", 1)
        quantity = int(quantity) if isinstance(quantity, (int, float)) and 0 < quantity < 10_000 else 1
        key = (str(product.get("product_id", ""))[:100], str(product.get("category", ""))[:100])
        found[key] = found.get(key, 0) + quantity
    return [(item, category, count) for (item, category), count in found.items()]


def as_type(value: Any, kind: str) -> Any:
    """Return a value of the trait's type, or None when it is not one."""
    if kind == "text":
        return value[:1000] if isinstance(value, str) else None
    if kind == "number":
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "date":
        return as_date(value)
    return (
        value[:200]
        if isinstance(value, list) and all(isinstance(v, str | int | float) for v in value)
        else None
    )


Step = Callable[[_Judged], _Judged]
STEPS: Final[tuple[Step, ...]] = (
    identify_subject,
    refuse_bots,
    check_clock,
    stamp,
    take_traits,
    count_orders,
)


def judge(message: Message, known: Known) -> Accepted:
    """Run a message through every step; raises Drop with the reason of the first that refuses it."""
    judged = _Judged(message, known)
    for step in STEPS:
        judged = step(judged)
    if known.subject is None:
        raise Drop("no_consent")
    return Accepted(judged.message, known.subject, judged.purposes, judged.change)
