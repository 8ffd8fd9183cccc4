"""Read what happened to several people at once, as the pure parts want it.

In: subject keys. Out: per subject its events in order, only those that may be used for pages, and only as much of
their properties as was asked for. What is sensitive is folded into nothing, for what is folded tells no more what it
came from; a rule that names such an event needs its purpose, and finds it among what is `past`.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from django.db import connection

from cms.language.behaviour import Behaviour
from cms.language.behaviour.events import Happened, in_order

PURPOSE: Final = "personalization"
History = dict[uuid.UUID, list[Happened]]
_EVENT = """
e.subject_key, e.name, (extract(epoch FROM e.happened_at) * 1000000)::bigint, e.properties::text, e.kind, e.message_id
"""
_UNFOLDED = f"""
SELECT {_EVENT}, e.id, %(purpose)s = ANY(e.purposes) AND NOT 'sensitive' = ANY(e.purposes)
FROM unnest(%(subjects)s::uuid[], %(folded)s::bigint[]) AS lagging(s, f)
CROSS JOIN LATERAL (
  SELECT * FROM personalization_event e WHERE e.subject_key = s AND e.id > f
  AND e.id <= coalesce(%(last)s, 9223372036854775807)
  AND e.happened_at BETWEEN coalesce(%(since)s, '-infinity'::timestamptz) AND coalesce(%(until)s, 'infinity'::timestamptz)
) e
ORDER BY 1, 3, 6
"""  # noqa: S608  # fragments of our own
_PAST = f"""
SELECT {_EVENT}
FROM unnest(%(subjects)s::uuid[]) AS wanted(s)
CROSS JOIN LATERAL (
  SELECT * FROM personalization_event e
  WHERE e.subject_key = s AND %(purpose)s = ANY(e.purposes) AND e.kind IN ('track', 'page', 'screen')
    AND (%(names)s::text[] IS NULL OR e.name = ANY(%(names)s))
    AND e.happened_at > coalesce(to_timestamp(%(since)s::numeric / 1000000), '-infinity')
    AND e.happened_at < to_timestamp(%(ahead)s::numeric / 1000000)
) e
ORDER BY 1, 3, 6
"""  # noqa: S608  # fragments of our own


@dataclass(frozen=True, slots=True)
class Where:
    """Where events lie: in which time, and up to which number. It spares PostgreSQL the months without them."""

    since: dt.datetime | None = None
    until: dt.datetime | None = None
    last: int | None = None


ANYWHERE: Final = Where()
_AHEAD: Final = 2 * 86_400_000_000  # microseconds; no event is accepted that happened further ahead


def unfolded(
    folded: Mapping[uuid.UUID, int], where: Where = ANYWHERE
) -> tuple[History, dict[uuid.UUID, int]]:
    """Return the events after the last that is folded, per subject, and the number of the last one there is."""
    values: dict[str, Any] = {
        "subjects": list(folded), "folded": list(folded.values()), "purpose": PURPOSE,
        "since": where.since, "until": where.until, "last": where.last,
    }  # fmt: skip
    events: History = {}
    last: dict[uuid.UUID, int] = {}
    with connection.cursor() as cursor:
        cursor.execute(_UNFOLDED, values)
        for *spelled, number, usable in cursor.fetchall():
            subject = spelled[0]
            last[subject] = max(number, last.get(subject, 0))
            if usable:
                events.setdefault(subject, []).append(_happened(spelled))
    return events, last


def everything_until(last: int, *subjects: uuid.UUID) -> list[Happened]:
    """Return all that happened to one person, who may have had several keys, up to an event, in order."""
    events, _ = unfolded(dict.fromkeys(subjects, 0), Where(last=last))
    found = [event for own in events.values() for event in own]
    return sorted(found, key=in_order)


def past(subjects: Sequence[uuid.UUID], behaviours: Iterable[Behaviour], *, moment: int) -> History:
    """Return the events that behaviours look at, as far back as the one that looks furthest."""
    wanted = list(behaviours)
    if not wanted or not subjects:
        return {}
    names: set[str] | None = set()
    since: int | None = moment
    for one in wanted:
        names = None if one.wants is None or names is None else names | one.wants
        since = None if one.reach is None or since is None else min(since, moment - one.reach)
    values: dict[str, Any] = {
        "subjects": list(subjects),
        "purpose": PURPOSE,
        "names": sorted(names) if names is not None else None,
        "since": since,
        "ahead": moment + _AHEAD,
    }
    events: History = {}
    with connection.cursor() as cursor:
        cursor.execute(_PAST, values)
        for spelled in cursor.fetchall():
            events.setdefault(spelled[0], []).append(_happened(spelled))
    return events


def _happened(spelled: Sequence[Any]) -> Happened:
    _, name, at, properties, kind, message_id = spelled
    return Happened(name, at, orjson.loads(properties), kind, message_id)
