"""Compare what is stored with the source, and show what three of the households see.

In: the source, who the households became, and the moment. Out: rows of a table; a row is right when both numbers are
equal. Orders, revenue and last order are compared for every single household, with one query over the source.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from cms.models import Block, Site
from consent.models import ConsentState
from consent.state import gates_of
from demo.households.api import Api
from demo.households.journal import Person
from demo.households.load import PURPOSES, TYPE
from demo.households.messages import item_key, moment, traits_of
from demo.households.source import POPULAR_HOUSEHOLDS, Household, Source
from personalization.lanes import catch_up
from personalization.models import Event, Profile, Segment
from personalization.segments.refresh import refresh

DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    title: str
    source: int
    stored: int

    @property
    def right(self) -> bool:
        return self.source == self.stored


@dataclass(frozen=True, slots=True)
class Stored:
    """The households as they are stored: household → profile, and who lies in which segment."""

    profiles: Mapping[int, Profile]
    consented: int
    events: int
    members: Mapping[str, frozenset[int]]


def compare(
    source: Source,
    people: Mapping[int, Person],
    *,
    site: Site,
    shift_seconds: int,
    now: dt.datetime,
    bought_by: int = POPULAR_HOUSEHOLDS,
) -> list[Row]:
    """Return the whole table; brings the segments up to date first."""
    households = source.households()
    while catch_up(site, now=now):
        pass
    refresh(site, now=now)
    stored = _stored(people, now)
    products = [item_key(product.id) for product in source.products(bought_by=bought_by)]
    return [
        *_counts(products, households, stored, site),
        *_equal(households, stored, shift_seconds),
        *_segments(households, stored, shift_seconds, now),
    ]


def _stored(people: Mapping[int, Person], now: dt.datetime) -> Stored:
    household_of = {uuid.UUID(person.visitor): household for household, person in people.items()}
    profiles = Profile.objects.in_bulk(list(household_of))
    states = ConsentState.objects.filter(subject_id__in=household_of)
    consented = sum(gates_of(row, now=now.timestamp()).granted >= set(PURPOSES) for row in states)
    events = Event.objects.filter(subject_key__in=household_of, name="Order Completed").count()
    members: dict[str, set[int]] = {}
    keys = dict(Segment.objects.values_list("pk", "key"))
    for subject, profile in profiles.items():
        for pk in profile.segments:
            members.setdefault(keys[pk], set()).add(household_of[subject])
    return Stored(
        profiles={household_of[key]: profile for key, profile in profiles.items()},
        consented=consented,
        events=events,
        members={segment: frozenset(found) for segment, found in members.items()},
    )


def _counts(
    products: Sequence[str], households: Sequence[Household], stored: Stored, site: Site
) -> Iterable[Row]:
    items = Block.objects.filter(site=site, type__key=TYPE, live=True, key__in=products).count()
    yield Row("households with a profile", len(households), len(stored.profiles))
    yield Row("households that agreed", len(households), stored.consented)
    known = sum(one.demographics is not None for one in households)
    yield Row("with demographics", known, sum(bool(p.traits) for p in stored.profiles.values()))
    yield Row("products", len(products), items)
    yield Row("events", sum(one.orders for one in households), stored.events)


def _equal(households: Sequence[Household], stored: Stored, shift_seconds: int) -> Iterable[Row]:
    """Yield in how many households each fact equals the source."""
    tests: dict[str, Callable[[Household, Profile], bool]] = {
        "equal in orders": lambda h, p: p.orders == h.orders,
        "equal in revenue": lambda h, p: p.revenue == Decimal(h.cents) / 100,
        "equal in last order": lambda h, p: p.last_order_at == moment(h.last_at + shift_seconds),
        "equal in traits": lambda h, p: p.traits == (traits_of(h.demographics) if h.demographics else {}),
    }
    for title, test in tests.items():
        found = sum(one.id in stored.profiles and test(one, stored.profiles[one.id]) for one in households)
        yield Row(title, len(households), found)


Belongs = Callable[[Household, int], bool]  # the household, and whole days since its last order
SEGMENTS: Final[Mapping[str, Belongs]] = {  # the rules of demo/bundle.json, over the source
    "recent": lambda h, days: days < 30,
    "lapsed": lambda h, days: days >= 60,
    "loyal": lambda h, days: h.orders >= 8 and days < 30,
    "high_value": lambda h, days: h.cents >= 300_000,
    "families": lambda h, days: h.demographics is not None and traits_of(h.demographics).get("kids", 0) >= 1,
}


def _segments(
    households: Sequence[Household], stored: Stored, shift_seconds: int, now: dt.datetime
) -> Iterable[Row]:
    for key, belongs in SEGMENTS.items():
        expected = {h.id for h in households if belongs(h, (now - moment(h.last_at + shift_seconds)) // DAY)}
        found = stored.members.get(key, frozenset())
        yield Row(f"segment {key}", len(expected), len(found))
        yield Row(f"segment {key}: the same people", len(expected), len(expected & found))


def table(rows: Iterable[Row]) -> str:
    """Return the table as text."""
    lines = [f"{'':<36}{'source':>10}{'stored':>10}"]
    lines += [f"{r.title:<36}{r.source:>10,}{r.stored:>10,}{'' if r.right else '  WRONG'}" for r in rows]
    return "\n".join(lines)


def three_front_pages(households: Sequence[Household], people: Mapping[int, Person], api: Api) -> str:
    """Return what the front page shows the best customer, the best of those who left, and the smallest family."""
    last = max(one.last_at for one in households)
    away = [one for one in households if last - one.last_at >= 60 * 86_400]
    families = [h for h in households if h.demographics and h.demographics.kids in ("1", "2", "3+")]
    chosen = (
        max(households, key=lambda one: one.cents),
        max(away or households, key=lambda one: one.cents),
        min(families or households, key=lambda one: (one.orders, one.id)),
    )
    return "\n".join(_front_page(one, people[one.id].token, api, last) for one in chosen)


def _front_page(household: Household, token: str, api: Api, last: int) -> str:
    page = api.call("GET", "/api/v1/pages/?locale=en", headers={"X-Visitor": token})
    days = (last - household.last_at) // 86_400
    head = f"Household {household.id}: {household.orders} orders, {household.cents / 100:,.2f}, last {days} days earlier"
    shown = [one for choices in page["slots"].values() for one in choices if one["variant"] != "default"]
    return "\n".join([head, *(_placement(one) for one in shown)])


def _placement(shown: Mapping[str, Any]) -> str:
    fields = shown["fields"]
    text = fields.get("headline") or fields.get("text") or ""
    return f"  {shown['placement']:<20} {shown['block']:<20} {shown['variant']}, {shown['reason']}: {text}"
