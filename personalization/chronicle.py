"""What happened to one profile, in the order of time: events, segments that opened and closed, offers, consent.

In: a subject and a moment to look back from. Out: entries, the newest first, each with its kind and why. Reads the
tables as they stand; what a purpose's end deleted is not there.
"""

import datetime as dt
import heapq
import itertools
import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from consent.gates import SENSITIVE
from consent.merging import everyone_in
from consent.models import ConsentEvent
from personalization.models import Event, Exposure, SegmentChange

PAGE: Final = 50
MAX_SHOWN: Final = 300  # characters of an event's properties


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One line: `kind` is event, entered, left, shown or consent."""

    at: dt.datetime
    kind: str
    title: str
    why: str = ""
    purposes: tuple[str, ...] = field(default=(), compare=False)


def chronicle(
    subject: uuid.UUID,
    *,
    granted: frozenset[str],
    before: dt.datetime,
    limit: int = PAGE,
    sensitive: bool = False,
) -> list[Entry]:
    """Return the newest entries before a moment, of what is allowed now: what is sealed, nobody reads.

    `sensitive` shows what sensitive events hold.
    """
    sources = (
        _events(subject, granted, before, limit, sensitive),
        _changes(subject, granted, before, limit),
        _shown(subject, granted, before, limit),
        _consent(subject, before, limit),
    )
    merged = heapq.merge(*sources, key=lambda entry: entry.at, reverse=True)
    return list(itertools.islice(merged, limit))


def may_be_read(purposes: Collection[str], granted: frozenset[str]) -> bool:
    """Say whether what carries this stamp may be read by the office: something of it is allowed, and `sensitive` in addition."""
    open_ = granted.intersection(purposes)
    return bool(open_ - {SENSITIVE}) and (SENSITIVE not in purposes or SENSITIVE in open_)


def _events(
    subject: uuid.UUID, granted: frozenset[str], before: dt.datetime, limit: int, sensitive: bool
) -> Iterator[Entry]:
    rows = Event.objects.filter(
        subject_key=subject, happened_at__lt=before, purposes__overlap=sorted(granted - {SENSITIVE})
    )
    if SENSITIVE not in granted:
        rows = rows.exclude(purposes__contains=[SENSITIVE])
    for row in rows.order_by("-happened_at", "-pk")[:limit]:
        hidden = SENSITIVE in row.purposes and not sensitive
        why = "What it holds is sensitive and not shown here." if hidden else spelled(row.properties)
        yield Entry(row.happened_at, "event", row.name, why, tuple(row.purposes))


def spelled(properties: Any) -> str:
    """Return an event's properties as short text, without what we added ourselves."""
    kept = {name: value for name, value in properties.items() if not name.startswith("$")}
    text = orjson.dumps(kept).decode() if kept else ""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


_CAUSES: Final = {
    "event": "because of {event}",
    "time": "because time passed",
    "set": "when everybody was looked at",
    "list": "because the list was changed",
    "consent": "because consent was withdrawn",
}


def _changes(subject: uuid.UUID, granted: frozenset[str], before: dt.datetime, limit: int) -> Iterator[Entry]:
    rows = SegmentChange.objects.filter(
        subject_key=subject, at__lt=before, segment__purposes__contained_by=sorted(granted)
    ).select_related("segment")
    for row in rows.order_by("-at", "-pk")[:limit]:
        word = "Entered" if row.entered else "Left"
        why = _CAUSES[row.cause].format(event=row.event or "something that happened")
        yield Entry(row.at, "entered" if row.entered else "left", f"{word} {row.segment}", why)


def _shown(subject: uuid.UUID, granted: frozenset[str], before: dt.datetime, limit: int) -> Iterator[Entry]:
    rows = Exposure.objects.filter(
        subject_key=subject, at__lt=before, purposes__overlap=sorted(granted)
    ).order_by("-at", "-pk")
    for row in rows[:limit]:
        path, _, placement = row.placement.partition(" ")
        yield Entry(
            row.at, "shown", f"Was shown {row.variant}", f"{placement} on {path}", tuple(row.purposes)
        )


def _consent(subject: uuid.UUID, before: dt.datetime, limit: int) -> Iterator[Entry]:
    rows: Iterable[ConsentEvent] = ConsentEvent.objects.filter(
        subject_key__in=everyone_in(subject), at__lt=before
    ).order_by("-at", "-seq")[:limit]
    for row in rows:
        about = "" if row.purpose == "*" else f" {row.purpose}"
        title = f"{row.action.replace('_', ' ').capitalize()}{about}"
        yield Entry(row.at, "consent", title, f"by {row.actor}, {row.method}")
