"""Fold what happened into what is known. PURE, and indifferent to order: batches = one by one = recomputed.

In: the features of a profile and further events. Out: the new features. Counts and sums add up, first and last are
minimum and maximum, sessions are runs of events at most thirty minutes apart. What is counted by name is bounded by
keeping the names with the lowest hashes: whichever order they come in, the same ones stay, with exact counts. Sessions
are bounded to the last ones and the number of those before; what comes so late that it lies among these is folded
together with everything else (`fold_on`).
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from cms.language.behaviour.events import Happened
from personalization.orders import ORDER, amount, bought, named

MAX_NAMES: Final = 200
MAX_SESSIONS: Final = 50
MAX_PATHS: Final = 20
SESSION_GAP: Final = 30 * 60 * 1_000_000
PAGE_VIEWS: Final = frozenset({"Page Viewed", "Screen Viewed"})
ITEM_VIEW: Final = "Product Viewed"
CATEGORY_VIEW: Final = "Product List Viewed"
DEVICE: Final = "$device"  # written by us beside an event's own properties
DAY: Final = 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Session:
    """A run of events; `began` and `ended` in microseconds, `paths` those of its last pages with their moments."""

    began: int
    ended: int
    pages: int = 0
    paths: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Features:
    """What is computed about one person; moments are microseconds since 1970."""

    orders: int = 0
    revenue: Decimal = Decimal(0)
    first_order_at: int | None = None
    last_order_at: int | None = None
    categories: Mapping[str, int] = field(default_factory=dict)  # bought, by category
    bought: Mapping[str, int] = field(default_factory=dict)
    views: Mapping[str, int] = field(default_factory=dict)
    category_views: Mapping[str, int] = field(default_factory=dict)
    sessions: tuple[Session, ...] = ()
    earlier_sessions: int = 0
    first_seen_at: int | None = None
    device: tuple[int, str] | None = None


class Basis(StrEnum):
    """What a computed fact was worked out from."""

    ORDERS = "orders"
    PAGES = "pages"
    DEVICES = "devices"
    EVERYTHING = "everything"


def basis_of(fact: str) -> Basis:
    """Return what a computed fact, by its name in rules, was worked out from."""
    return _BASIS.get(fact.removeprefix("features."), Basis.EVERYTHING)


_BASIS: Final[Mapping[str, Basis]] = {
    **dict.fromkeys(
        ("orders", "revenue", "average_order", "first_order_at", "last_order_at", "favourite_category"),
        Basis.ORDERS,
    ),
    **dict.fromkeys(("session_depth", "session_paths"), Basis.PAGES),
    "device": Basis.DEVICES,
}


def fold(features: Features, events: Iterable[Happened]) -> Features:
    """Return the features after the events, which may come in any order."""
    new = _Tally(features)
    for event in events:
        new.count(event)
    return new.features()


def fold_on(
    features: Features, events: Sequence[Happened], everything: Callable[[], Iterable[Happened]]
) -> Features:
    """Return the features after the events; `everything` that ever happened is asked for only where it must be."""
    new = fold(features, events)
    if not cuts_off(features):
        return new
    late = any(event.at < features.sessions[0].began for event in events)
    became_one = len(new.sessions) < MAX_SESSIONS  # so that one more of those before is kept
    return fold(Features(), everything()) if late or became_one else new


def cuts_off(features: Features) -> bool:
    """Say whether there were more sessions than are kept one by one."""
    return features.earlier_sessions > 0


def combined(one: Features, other: Features) -> Features:
    """Return the features of one person who was known as two: what folding all events of both would give."""
    sessions = merged([*one.sessions, *other.sessions])
    return Features(
        orders=one.orders + other.orders,
        revenue=one.revenue + other.revenue,
        first_order_at=_pick(min, one.first_order_at, other.first_order_at),
        last_order_at=_pick(max, one.last_order_at, other.last_order_at),
        categories=_summed(one.categories, other.categories),
        bought=_summed(one.bought, other.bought),
        views=_summed(one.views, other.views),
        category_views=_summed(one.category_views, other.category_views),
        sessions=tuple(sessions[-MAX_SESSIONS:]),
        earlier_sessions=one.earlier_sessions + other.earlier_sessions + max(0, len(sessions) - MAX_SESSIONS),
        first_seen_at=_pick(min, one.first_seen_at, other.first_seen_at),
        device=_pick(max, one.device, other.device),
    )


def _summed(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return bounded({name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}})


def _pick(choose: Callable[..., Any], *values: Any) -> Any:
    """Choose among the values that are known; None when none is."""
    return choose((value for value in values if value is not None), default=None)


class _Tally:
    """The features of one profile while they are being counted."""

    def __init__(self, known: Features) -> None:
        self.known = known
        self.orders, self.revenue = known.orders, known.revenue
        self.first_order_at, self.last_order_at = known.first_order_at, known.last_order_at
        self.first_seen_at, self.device = known.first_seen_at, known.device
        self.categories, self.bought = dict(known.categories), dict(known.bought)
        self.views, self.category_views = dict(known.views), dict(known.category_views)
        self.visits = [*known.sessions]

    def count(self, event: Happened) -> None:
        self.first_seen_at = min(self.first_seen_at or event.at, event.at)
        self._device(event)
        self.visits.append(_visit(event))
        if event.kind == "track":
            if event.name == ORDER:
                self._order(event)
            elif event.name == ITEM_VIEW:
                _add(self.views, named(event.properties, "product_id"))
                _add(self.category_views, named(event.properties, "category"))
            elif event.name == CATEGORY_VIEW:
                _add(self.category_views, named(event.properties, "category"))

    def _order(self, event: Happened) -> None:
        self.orders += 1
        self.revenue += amount(event.properties)
        self.first_order_at = min(self.first_order_at or event.at, event.at)
        self.last_order_at = max(self.last_order_at or event.at, event.at)
        for item, category, quantity in bought(event.properties):
            _add(self.bought, item, quantity)
            _add(self.categories, category, quantity)

    def _device(self, event: Happened) -> None:
        name = event.properties.get(DEVICE)
        if isinstance(name, str):
            self.device = max(self.device or (0, ""), (event.at, name))

    def features(self) -> Features:
        sessions = merged(self.visits)
        return Features(
            self.orders,
            self.revenue,
            self.first_order_at,
            self.last_order_at,
            bounded(self.categories),
            bounded(self.bought),
            bounded(self.views),
            bounded(self.category_views),
            tuple(sessions[-MAX_SESSIONS:]),
            self.known.earlier_sessions + max(0, len(sessions) - MAX_SESSIONS),
            self.first_seen_at,
            self.device,
        )


def _add(counts: dict[str, int], name: str, quantity: int = 1) -> None:
    if name:
        counts[name] = counts.get(name, 0) + quantity


def bounded(counts: Mapping[str, int]) -> dict[str, int]:
    """Keep at most `MAX_NAMES` names, always the same ones whatever came first."""
    if len(counts) <= MAX_NAMES:
        return dict(sorted(counts.items()))
    kept = sorted(counts, key=_rank)[:MAX_NAMES]
    return {name: counts[name] for name in sorted(kept)}


def _rank(name: str) -> bytes:
    return hashlib.blake2s(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _visit(event: Happened) -> Session:
    if event.name not in PAGE_VIEWS:
        return Session(event.at, event.at)
    path = event.properties.get("path")
    paths = ((event.at, path[:200]),) if isinstance(path, str) else ()
    return Session(event.at, event.at, 1, paths)


def merged(visits: Iterable[Session]) -> list[Session]:
    """Join visits that are at most thirty minutes apart, in the order of time."""
    joined: list[Session] = []
    for visit in sorted(visits, key=lambda one: (one.began, one.ended)):
        if joined and visit.began - joined[-1].ended <= SESSION_GAP:
            joined[-1] = _joined(joined[-1], visit)
        else:
            joined.append(visit)
    return joined


def _joined(one: Session, other: Session) -> Session:
    paths = sorted({*one.paths, *other.paths})[-MAX_PATHS:]
    return Session(
        min(one.began, other.began), max(one.ended, other.ended), one.pages + other.pages, tuple(paths)
    )


def computed_facts(features: Features) -> dict[str, Any]:
    """Return the computed facts by their names in rules, without those that are absent."""
    facts: dict[str, Any] = {
        "features.orders": features.orders,
        "features.revenue": plain(features.revenue),
        "features.sessions": features.earlier_sessions + len(features.sessions),
    }
    if features.orders:
        facts["features.average_order"] = plain(
            (features.revenue / features.orders).quantize(Decimal("0.01"))
        )
    for name in ("first_order_at", "last_order_at", "first_seen_at"):
        if (moment := getattr(features, name)) is not None:
            facts[f"features.{name}"] = spelled(moment)
    if features.categories:
        facts["features.favourite_category"] = favourite(features.categories)
    if features.device:
        facts["features.device"] = features.device[1]
    return facts | _session_facts(features.sessions)


def _session_facts(sessions: tuple[Session, ...]) -> dict[str, Any]:
    """Return what the visits tell: the last one's length and depth, and how many days lie between them."""
    if not sessions:
        return {}
    last = sessions[-1]
    facts: dict[str, Any] = {
        "features.last_seen_at": spelled(max(session.ended for session in sessions)),
        "features.session_duration": (last.ended - last.began) // 1_000_000,
        "features.session_depth": last.pages,
    }
    if last.paths:
        facts["features.session_paths"] = [path for _, path in last.paths]
    if len(sessions) > 1:
        days = Decimal(last.began - sessions[0].began) / DAY / (len(sessions) - 1)
        facts["features.days_between_visits"] = plain(days.quantize(Decimal("0.01")))
    return facts


def favourite(categories: Mapping[str, int]) -> str:
    """Return the category bought most; between equals the first by name, so that the answer is stable."""
    return min(categories, key=lambda name: (-categories[name], name))


def plain(number: Decimal | int | float) -> int | float:
    """Return a number as JSON spells it: whole where it is."""
    return int(number) if number == int(number) else float(number)


def spelled(moment: int) -> str:
    """Spell a moment in microseconds as facts hold it, in whole seconds."""
    return dt.datetime.fromtimestamp(moment // 1_000_000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_json(features: Features) -> dict[str, Any]:
    """Return what is kept beside the columns of its own: counters, visits, and the computed facts for sets."""
    return {
        "facts": {
            name.removeprefix("features."): value
            for name, value in computed_facts(features).items()
            if name not in IN_COLUMNS
        },
        "bought": dict(features.bought),
        "views": dict(features.views),
        "category_views": dict(features.category_views),
        "sessions": [[s.began, s.ended, s.pages, [list(p) for p in s.paths]] for s in features.sessions],
        "earlier_sessions": features.earlier_sessions,
        "first_seen_at": features.first_seen_at,
        "device": list(features.device) if features.device else None,
    }


IN_COLUMNS: Final = frozenset(
    {f"features.{name}" for name in ("orders", "revenue", "first_order_at", "last_order_at")}
)


def from_json(kept: Mapping[str, Any], **columns: Any) -> Features:
    """Return the features of a stored profile; `columns` are those that are kept apart."""
    device = kept.get("device")
    return Features(
        **columns,
        bought=kept.get("bought", {}),
        views=kept.get("views", {}),
        category_views=kept.get("category_views", {}),
        sessions=tuple(
            Session(began, ended, pages, tuple((at, path) for at, path in paths))
            for began, ended, pages, paths in kept.get("sessions", ())
        ),
        earlier_sessions=kept.get("earlier_sessions", 0),
        first_seen_at=kept.get("first_seen_at"),
        device=(device[0], device[1]) if device else None,
    )
