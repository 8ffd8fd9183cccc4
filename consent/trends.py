"""How often people allow and refuse, and how personal the site feels: counts over time, of nobody in particular.

In: the ledger, and `Feeling`. Out: numbers by day, purpose and version of the notice. Somebody who is nobody and refuses
leaves no trace, and is in none of them. Fewer than ten are told as that.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from django.db.models import Count, Sum
from django.db.models.functions import TruncDate

from consent.models import ConsentEvent, Feeling
from consent.wishes import LEVELS

DAYS: Final = 90
FEW: Final = 10
PHRASE: Final = f"fewer than {FEW}"
_GRANTED: Final = "granted"
_CLOSED: Final = ("refused", "withdrawn")
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Decided:
    """How often one purpose was allowed, and refused or withdrawn, on one day under one version of the notice."""

    day: dt.date
    purpose: str
    notice: str
    granted: int
    closed: int


@dataclass(frozen=True, slots=True)
class Rate:
    """Two counts that belong together."""

    granted: int = 0
    closed: int = 0

    @property
    def share(self) -> str:
        """Return how many of a hundred allowed it; nothing where that would give a small number away."""
        if min(self.granted, self.closed) < FEW:
            return ""
        return f"{round(100 * self.granted / (self.granted + self.closed))} %"


def first_day(now: dt.datetime) -> dt.date:
    """Return the first of the days that are looked at, in UTC."""
    return now.astimezone(dt.UTC).date() - dt.timedelta(days=DAYS - 1)


def decisions(*, site_id: int, now: dt.datetime) -> list[Decided]:
    """Count the decisions of the last ninety days, in one statement."""
    since = dt.datetime.combine(first_day(now), dt.time(), dt.UTC)
    entries = ConsentEvent.objects.filter(
        site_id=site_id, at__gte=since, at__lte=now, action__in=[_GRANTED, *_CLOSED]
    )
    grouped = (
        entries.annotate(day=TruncDate("at", tzinfo=dt.UTC))
        .order_by("day", "purpose", "notice_version")
        .values_list("day", "purpose", "notice_version", "action")
        .annotate(n=Count("pk"))
    )
    counted: dict[tuple[dt.date, str, str], Counter[bool]] = {}
    for day, purpose, notice, action, n in grouped:
        counted.setdefault((day, purpose, notice), Counter())[action == _GRANTED] += n
    return [Decided(*group, granted=n[True], closed=n[False]) for group, n in counted.items()]


def by_day(rows: Iterable[Decided], purpose: str) -> dict[dt.date, Rate]:
    """Return the counts of one purpose by day; days without a decision are left out."""
    return _summed((row.day, row) for row in rows if row.purpose == purpose)


def by_version(rows: Iterable[Decided]) -> dict[tuple[str, str], Rate]:
    """Return the counts by purpose and version of the notice, over all days."""
    return dict(sorted(_summed(((row.purpose, row.notice), row) for row in rows).items(), key=_newest_first))


def _summed(rows: Iterable[tuple[K, Decided]]) -> dict[K, Rate]:
    found: dict[K, Rate] = {}
    for key, row in rows:
        before = found.get(key, Rate())
        found[key] = Rate(before.granted + row.granted, before.closed + row.closed)
    return found


def _newest_first(item: tuple[tuple[str, str], Rate]) -> tuple[str, int]:
    (purpose, notice), _ = item
    return purpose, -int(notice) if notice.isdecimal() else 0


def feelings(*, site_id: int, now: dt.datetime) -> dict[int, int]:
    """Return level → how many said so, in the last ninety days; every level is there."""
    rows = Feeling.objects.filter(site_id=site_id, day__gte=first_day(now))
    counts = dict(rows.order_by().values_list("level").annotate(n=Sum("count")))
    return {level: counts.get(level, 0) for level in LEVELS}


def told(number: int) -> str:
    """Return a number as it is told."""
    return f"{number:,}" if number >= FEW else PHRASE
