"""Refresh who is in which segment, as a set: evaluate in batches, write only the difference.

In: everybody, or the profiles that changed since they were last looked at. Out: a `SegmentRun` with what it found.
Pages do not depend on it: delivery evaluates rules on the facts of the request. It serves sizes, lists and reports.
A mixed segment is stored by its personal part: context counts as unknown, and who is not plainly out is in.
"""

import datetime as dt
import uuid
import zoneinfo
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Count, F, Q

from cms.language.evaluate import WITHHELD
from cms.language.vocabulary import CONTEXT
from cms.models import Site
from consent.models import ConsentState
from consent.state import gates_of
from personalization.directory import CompiledSegment, Directory, belongs, compile_directory, facts_of
from personalization.models import Directory as StoredDirectory
from personalization.models import Profile, Segment, SegmentRun
from personalization.profiles import facts_of as facts_of_profile
from personalization.segments.directory import rebuild
from personalization.visitor import Snapshot, Visitor

BATCH: Final = 2_000
CLOSES_AT: Final = 0.8  # of the minimum: opens at 50, closes under 40
_LOCK: Final = 0x7E55E7A


def refresh(site: Site, *, scope: SegmentRun.Scope, now: dt.datetime) -> SegmentRun | None:
    """Bring the stored memberships up to date; None when another process is at it or nothing changed."""
    rows = Profile.objects.filter(site=site)
    if scope == SegmentRun.Scope.CHANGED:
        rows = rows.filter(segmented_version__lt=F("version"))
        if not rows.exists():
            return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK, site.pk])
        if not cursor.fetchone()[0]:
            return None
        try:
            return _run(site, rows, scope, now)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK, site.pk])


def _run(site: Site, rows: Any, scope: SegmentRun.Scope, now: dt.datetime) -> SegmentRun:
    run = SegmentRun.objects.create(site=site, scope=scope, started_at=now)
    directory = current_directory(site)
    stored = {s.key: s.pk for s in Segment.objects.filter(site=site, kind=Segment.Kind.RULE) if s.purposes}
    segments = [s for s in directory.segments.values() if s.key in stored]
    started = dt.datetime.now(dt.UTC)
    for batch in _batches(rows):
        pairs = list(_members(batch, segments, directory, site, now))
        _write(run, batch, [(stored[key], subject) for key, subject in pairs], list(stored.values()), now)
    run.finished_at = now + (dt.datetime.now(dt.UTC) - started)
    run.save()
    update_sizes(site, now=now)
    return run


def current_directory(site: Site) -> Directory:
    """Return the site's directory, built when there is none yet."""
    row = StoredDirectory.objects.filter(site=site).order_by("-version").first() or rebuild(site)
    return compile_directory(row.program, version=row.version)


def _batches(rows: Any) -> Iterator[list[Profile]]:
    """Yield profiles by the thousand in the order of their keys, each batch read afresh."""
    last: uuid.UUID | None = None
    while True:
        todo = rows.order_by("pk") if last is None else rows.filter(pk__gt=last).order_by("pk")
        batch = list(todo[:BATCH])
        if not batch:
            return
        last = batch[-1].pk
        yield batch


def _members(
    batch: Sequence[Profile],
    segments: Sequence[CompiledSegment],
    directory: Directory,
    site: Site,
    now: dt.datetime,
) -> Iterator[tuple[str, uuid.UUID]]:
    states = ConsentState.objects.filter(subject_id__in=[p.pk for p in batch])
    gates = {row.subject_id: gates_of(row, now=now.timestamp()) for row in states}
    local = now.astimezone(zoneinfo.ZoneInfo(site.time_zone))
    blank: dict[str, Any] = dict.fromkeys(CONTEXT, WITHHELD) | {"$now": local}
    mixed = {s.key for s in segments if any(name in CONTEXT for name in facts_of([s], directory.vocabulary))}
    for profile in batch:
        if profile.pk not in gates:
            continue
        facts = {**blank, **facts_of_profile(profile)}
        visitor = Visitor(profile.pk, gates[profile.pk], Snapshot(profile.version, facts))
        for segment in segments:
            truth = belongs_whatever_its_size(segment, facts, visitor)
            if truth is True or (
                truth is None and segment.key in mixed and segment.purposes <= visitor.gates.granted
            ):
                yield segment.key, profile.pk


def belongs_whatever_its_size(
    segment: CompiledSegment, facts: dict[str, Any], visitor: Visitor
) -> bool | None:
    """Say who would be in a segment if it were open: its size must not decide its size."""
    from dataclasses import replace

    return belongs(segment if segment.open else replace(segment, open=True), facts, visitor)


_ENTER = """
INSERT INTO personalization_membership (segment_id, subject_key, entered_at)
SELECT s, k, %s FROM unnest(%s::bigint[], %s::uuid[]) AS now_in(s, k)
ON CONFLICT (segment_id, subject_key) DO NOTHING
RETURNING segment_id
"""
_LEAVE = """
DELETE FROM personalization_membership m
WHERE m.subject_key = ANY(%s::uuid[]) AND m.segment_id = ANY(%s::bigint[])
  AND NOT EXISTS (
    SELECT 1 FROM unnest(%s::bigint[], %s::uuid[]) AS now_in(s, k) WHERE now_in.s = m.segment_id AND now_in.k = m.subject_key
  )
RETURNING segment_id
"""


@transaction.atomic
def _write(
    run: SegmentRun,
    batch: Sequence[Profile],
    pairs: Sequence[tuple[int, uuid.UUID]],
    stored: list[int],
    now: dt.datetime,
) -> None:
    """Write the difference for one batch, and how far its profiles are now."""
    segments, subjects = [s for s, _ in pairs], [k for _, k in pairs]
    with connection.cursor() as cursor:
        cursor.execute(_ENTER, [now, segments, subjects])
        entered = [row[0] for row in cursor.fetchall()]
        cursor.execute(_LEAVE, [[p.pk for p in batch], stored, segments, subjects])
        left = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            "UPDATE personalization_profile p SET segmented_version = seen.v"
            " FROM unnest(%s::uuid[], %s::bigint[]) AS seen(k, v) WHERE p.subject_key = seen.k",
            [[p.pk for p in batch], [p.version for p in batch]],
        )
    run.profiles += len(batch)
    _note(run, entered, left)


def _note(run: SegmentRun, entered: Iterable[int], left: Iterable[int]) -> None:
    titles = dict(Segment.objects.filter(site=run.site).values_list("pk", "key"))
    for name, ids in (("entered", list(entered)), ("left", list(left))):
        setattr(run, name, getattr(run, name) + len(ids))
        for pk in ids:
            found = run.differences.setdefault(titles[pk], {"entered": 0, "left": 0})
            found[name] += 1


def update_sizes(site: Site, *, now: dt.datetime) -> None:
    """Count the segments, open and close them by their minimum, and rebuild the directory when that matters."""
    changed = False
    for segment in Segment.objects.filter(site=site).annotate(members=Count("memberships")):
        opened = opens(segment.members, minimum=segment.min_size, was_open=segment.open)
        changed = changed or opened != segment.open or segment.members != segment.size
        Segment.objects.filter(pk=segment.pk).update(size=segment.members, open=opened, refreshed_at=now)
    if changed:
        rebuild(site)


def opens(size: int, *, minimum: int, was_open: bool) -> bool:
    """Say whether a segment of this size personalises: from the minimum on, until it falls under four fifths of it."""
    return size >= minimum or (was_open and size >= minimum * CLOSES_AT)


def stale(site: Site) -> int:
    """Return how many profiles changed since their memberships were last looked at."""
    return Profile.objects.filter(Q(site=site) & Q(segmented_version__lt=F("version"))).count()
