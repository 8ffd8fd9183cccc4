"""Instants as facts hold them, and how old they are.

Goes in: ``YYYY-MM-DDTHH:MM:SSZ`` and an aware now. Comes out: an aware UTC datetime, or whole 24-hour periods (rounded
down, so a moment ahead is negative). Rule: any other spelling is no instant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cms.language.operators import WITHHELD, Withheld, lookup
from cms.language.vocabulary import DAYS_AGO

NOW: Final = "$now"
MOMENT: Final = (
    "$moment"  # the same in whole microseconds since 1970, where somebody has worked it out already
)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAY: Final = timedelta(days=1)
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def instant(value: Any) -> datetime | None:
    """Read an instant, or return ``None``."""
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:  # the 31st of June
        return None


def now(facts: Mapping[str, Any]) -> datetime | None:
    """Return the visitor's now in their own zone, or ``None`` when it is not among the facts."""
    value = facts.get(NOW)
    return value if isinstance(value, datetime) and value.utcoffset() is not None else None


def micros(facts: Mapping[str, Any]) -> int | None:
    """Return now in whole microseconds since 1970, or ``None`` when it is not among the facts."""
    given = facts.get(MOMENT)
    if given is not None:
        return int(given)
    at = now(facts)
    return None if at is None else (at - EPOCH) // timedelta(microseconds=1)


def days_ago(facts: Mapping[str, Any], name: str) -> int | Withheld | Any | None:
    """Return the value of ``X.days_ago``: given, else computed from ``X``; without a now it is unknown."""
    given = lookup(facts, name)
    if given is not None:
        return given
    stored = lookup(facts, name.removesuffix(DAYS_AGO))
    if stored is WITHHELD:
        return WITHHELD
    moment, at = instant(stored), now(facts)
    if moment is None:
        return None
    return WITHHELD if at is None else age(moment, at)


def age(moment: datetime, at: datetime) -> int:
    """Count the whole 24-hour periods from a moment until ``at``."""
    return (at.astimezone(UTC) - moment) // DAY


def value(facts: Mapping[str, Any], name: str) -> Any:
    """Return the value of any fact: ``None`` when absent, ``WITHHELD`` when unknown."""
    return days_ago(facts, name) if name.endswith(DAYS_AGO) else lookup(facts, name)
