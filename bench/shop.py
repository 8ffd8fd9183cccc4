"""What is measured: the landing page, and visitors who said yes and of whom something is known.

Consents and profiles are made the way every visitor makes them: a decision, then an event call.
"""

import datetime as dt
import random
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from cms.models.site import current_site
from consent.api.asking import fresh_token
from consent.decisions import How, decide
from consent.purposes import current_notice
from consent.state import read_gates
from personalization.bundle import load_bundle
from personalization.ingest.message import Message, read
from personalization.ingest.store import Sender, keep
from personalization.models import ApiKey

BUNDLE = Path(__file__).with_name("page-bundle.json")
PURPOSES = {"analytics": True, "personalization": True, "profiling": True}
SPORTS = ("running", "hiking", "cycling", "none")
CALL = 100


def open_shop(*, now: dt.datetime) -> None:
    """Load and publish the page; raise when the bundle has errors."""
    report = load_bundle(orjson.loads(BUNDLE.read_bytes()), now=now, publish=True)
    if report.problems:
        raise SystemExit("\n".join(f"{p.pointer}: {p.message}" for p in report.problems))


def let_in(count: int, *, now: dt.datetime, seed: int = 7) -> list[uuid.UUID]:
    """Make visitors with consent and a profile; the same seed gives them the same traits."""
    dice = random.Random(seed)
    site = current_site()
    how = How(method="bench", notice=str(current_notice(site.pk, now=now).n), site_id=site.pk)
    decisions = [decide(None, PURPOSES, how=how, now=now) for _ in range(count)]
    visitors = [decision.subject_id for decision in decisions if decision.subject_id is not None]
    row, _ = ApiKey.objects.create_key(name="bench", site=site, scopes=["ingest", "manage"])
    sender = Sender(row.prefix, True, site.pk)
    for call in _calls(visitors):
        keep([_identify(visitor, dice, now) for visitor in call], sender=sender, now=now)
    return visitors


def tokens(visitors: Sequence[uuid.UUID]) -> list[str]:
    """Return the visitors' tokens."""
    return [fresh_token(visitor) for visitor in visitors]


def warm(visitors: Sequence[uuid.UUID]) -> None:
    """Read the gates of all visitors again: what is measured is a page whose gates are younger than ten seconds."""
    for visitor in visitors:
        read_gates(visitor)


def _calls(visitors: Sequence[uuid.UUID]) -> Iterator[Sequence[uuid.UUID]]:
    return (visitors[start : start + CALL] for start in range(0, len(visitors), CALL))


def _identify(visitor: uuid.UUID, dice: random.Random, now: dt.datetime) -> Message:
    traits: dict[str, Any] = {
        "first_name": dice.choice(("Ada", "Cleo", "Jörg", "Zoë")),
        "city": dice.choice(("Bergen", "Köln", "Lyon")),
        "coupon": f"C{dice.randrange(10_000):04d}",
        "last_category": dice.choice(SPORTS),
        "orders_total": dice.randrange(10),
        "cart_open": dice.random() < 0.3,
        "sport": dice.choice(SPORTS),
        "discount_share": dice.random(),
        "churn_risk": dice.random(),
        "visits": dice.randrange(5),
    }
    raw = {"type": "identify", "anonymousId": str(visitor), "messageId": uuid.uuid4().hex, "traits": traits}
    return read(raw, received_at=now)
