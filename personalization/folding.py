"""Bring profiles up to date: fold in what happened, look again at behaviour and segments, and write the difference.

In: subjects of one site, inside a transaction. Out: a `Batch` with what changed, for whoever commits it to publish.
Profiles are locked first, then their gates and events are read, so that nothing is derived from what was withdrawn.
Which profiles, and when, is the business of `lanes.py`.
"""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from django.db import connection, transaction

from cms.language.behaviour.events import Happened
from cms.models import Site
from consent.gates import CLOSED, Gates
from consent.hints import hint
from consent.models import ConsentState
from consent.state import gates_of
from personalization.directory import Directory
from personalization.fault_points import fail_over
from personalization.history import PURPOSE, past, unfolded
from personalization.models import Profile, Segment, SegmentChange
from personalization.profiles import (
    facts_of,
    fold_in,
    make_missing,
    micros,
    publish_snapshots,
    snapshot_of,
)
from personalization.sales import count_sales
from personalization.segments.directory import directory_of
from personalization.segments.sizes import grow, settle
from personalization.standing import Standing, stand
from personalization.timelines import timelines_of
from personalization.visitor import Visitor

BATCH: Final = 500
ANNOUNCE_TASK: Final = "personalization.tasks.announce_changes"
Cause = SegmentChange.Cause


def touch(subjects: Iterable[uuid.UUID], *, site_id: int, now: dt.datetime) -> None:
    """Ask for these profiles to be looked at, in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO personalization_touched (site_id, subject_key, at) SELECT %s, s, %s FROM unnest(%s::uuid[]) s",
            [site_id, now, list(subjects)],
        )


def look_again(
    site: Site, subjects: Collection[uuid.UUID], *, now: dt.datetime
) -> tuple[Counter[str], Counter[str]]:
    """Look at these profiles in the caller's transaction; return how many entered and left, by segment.

    Who is found in a segment that was never counted before has been in it all along: that is no news.
    """
    batch = bring_up(site, subjects, cause=Cause.SET, now=now)
    transaction.on_commit(batch.publish)
    keys = {pk: key for key, pk in segment_ids(site).items()}
    found = {True: Counter[str](), False: Counter[str]()}
    for change in batch.changes:
        found[change.entered][keys[change.segment_id]] += 1
    return found[True], found[False]


@dataclass(slots=True)
class Batch:
    """What one batch changed."""

    site: Site
    profiles: list[Profile] = field(default_factory=list)
    changes: list[SegmentChange] = field(default_factory=list)

    def publish(self) -> None:
        """Let pages and whoever waits for news follow, after the commit."""
        publish_snapshots(self.profiles)
        if self.changes:
            settle(self.site)
            hint(ANNOUNCE_TASK)


def bring_up(site: Site, subjects: Collection[uuid.UUID], *, cause: str, now: dt.datetime) -> Batch:
    """Fold, evaluate and write, for profiles of one site, inside a transaction."""
    directory = directory_of(site)
    ids = segment_ids(site)
    known = gates_of_subjects(list(subjects), now=now)
    make_missing([s for s, own in known.items() if PURPOSE in own.granted], site_id=site.pk, now=now)
    rows = list(Profile.objects.select_for_update().filter(pk__in=list(subjects)).order_by("pk"))
    gates = gates_of_subjects(
        [row.pk for row in rows], now=now
    )  # again, now that nobody can erase in between
    events, last = unfolded({row.pk: row.folded_id for row in rows})
    history = past([row.pk for row in rows], directory.behaviours, moment=micros(now))
    batch = Batch(site)
    for row in rows:
        own = gates.get(row.pk, CLOSED)
        usable = events.get(row.pk, []) if PURPOSE in own.granted else []
        _take_in(row, usable, last.get(row.pk, 0), now)
        standing = _stand(row, own, directory, history.get(row.pk, ()), ids, site, now)
        _place(batch, row, standing, ids, cause, usable, now)
        batch.profiles.append(row)
    _write(batch.profiles)
    quiet = set(Segment.objects.filter(site=site, size__isnull=True).values_list("pk", flat=True))
    SegmentChange.objects.bulk_create([change for change in batch.changes if change.segment_id not in quiet])
    grow(batch.site, batch.changes)
    count_sales(site.pk, [event for found in events.values() for event in found])
    return batch


def segment_ids(site: Site) -> dict[str, int]:
    """Return the stored segments by key: those by rule or score that read something of a person."""
    rows = dict(Segment.objects.filter(site=site).values_list("key", "pk"))
    return {segment.key: rows[segment.key] for segment in directory_of(site).stored if segment.key in rows}


def gates_of_subjects(subjects: Sequence[uuid.UUID], *, now: dt.datetime) -> dict[uuid.UUID, Gates]:
    """Return what the subjects allow now."""
    rows = ConsentState.objects.filter(subject_id__in=subjects)
    return {row.subject_id: gates_of(row, now=now.timestamp()) for row in rows}


def _take_in(profile: Profile, events: Sequence[Happened], last: int, now: dt.datetime) -> None:
    if events:
        fail_over(events)
        profile.held = sorted({*profile.held, PURPOSE})
        profile.last_seen_at = max(now, profile.last_seen_at)
    fold_in(profile, events, last)
    profile.version += 1


def _stand(
    profile: Profile,
    gates: Gates,
    directory: Directory,
    history: Sequence[Happened],
    ids: Mapping[str, int],
    site: Site,
    now: dt.datetime,
) -> Standing:
    """Work out behaviour and memberships; without consent for pages there is no behaviour."""
    open_history = history if PURPOSE in gates.granted else ()
    profile.behaviour = timelines_of(directory.behaviours, open_history, moment=micros(now))
    profile.behaviour_version = directory.behaviour_version
    scores = {pk: key for key, pk in ids.items() if directory.segments[key].kind == Segment.Kind.SCORE}
    visitor = Visitor(profile.pk, gates, snapshot_of(profile, (), scores))
    return stand(directory, facts_of(profile), visitor, now=now, time_zone=site.time_zone)


def _place(
    batch: Batch,
    profile: Profile,
    standing: Standing,
    ids: Mapping[str, int],
    cause: str,
    events: Sequence[Happened],
    now: dt.datetime,
) -> None:
    """Put the profile into its segments and note what it entered and left."""
    before, after = set(profile.segments), {ids[key] for key in standing.segments if key in ids}
    name = events[-1].name if events else ""
    for pk, entered in [
        *((pk, False) for pk in sorted(before - after)),
        *((pk, True) for pk in sorted(after - before)),
    ]:
        if pk in ids.values():
            batch.changes.append(
                SegmentChange(
                    site_id=batch.site.pk,
                    segment_id=pk,
                    subject_key=profile.pk,
                    entered=entered,
                    at=now,
                    cause=cause,
                    event=name if cause == Cause.EVENT else "",
                )
            )
    profile.segments = sorted(after)
    profile.due_at = standing.due_at


_WRITE = """
UPDATE personalization_profile p
SET orders = n.o, revenue = n.r, first_order_at = n.fo, last_order_at = n.lo, categories = n.c, features = n.f,
    behaviour = n.b, behaviour_version = n.bv, segments = n.s, due_at = n.d, folded_id = n.e, held = n.h,
    last_seen_at = n.l, version = n.v
FROM json_to_recordset(%s::json) AS n(
  k uuid, o int, r numeric, fo timestamptz, lo timestamptz, c jsonb, f jsonb, b jsonb, bv bigint, s bigint[],
  d timestamptz, e bigint, h varchar[], l timestamptz, v bigint
) WHERE p.subject_key = n.k
"""


def _write(profiles: Sequence[Profile]) -> None:
    rows = [_written(profile) for profile in profiles]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, [orjson.dumps(rows).decode()])


def _written(profile: Profile) -> dict[str, Any]:
    return {
        "k": profile.pk,
        "o": profile.orders,
        "r": str(profile.revenue),
        "fo": profile.first_order_at,
        "lo": profile.last_order_at,
        "c": profile.categories,
        "f": profile.features,
        "b": profile.behaviour,
        "bv": profile.behaviour_version,
        "s": profile.segments,
        "d": profile.due_at,
        "e": profile.folded_id,
        "h": profile.held,
        "l": profile.last_seen_at,
        "v": profile.version,
    }
