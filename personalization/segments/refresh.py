"""Look at everybody as a set: who is in which segment, written only where it differs.

In: a site. Out: a `SegmentRun` with what it found, or None when another process is at it. Pages do not depend on it:
they evaluate rules on the facts of the request; events and due times keep the tables current. It finds what neither
could, and counts.
"""

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping
from typing import Final

from django.db import OperationalError, transaction
from django.db.models import QuerySet
from psycopg.errors import DeadlockDetected

from cms.models import Site
from consent import access_log
from consent.hints import hint
from consent.locks import SEGMENTS, alone
from personalization.directory import CompiledSegment, Directory
from personalization.folding import ANNOUNCE_TASK, look_again, segment_ids
from personalization.models import Profile, Segment, SegmentRun, Touched
from personalization.segments.directory import directory_of
from personalization.segments.sets import Found, reconcile
from personalization.segments.sizes import recount

BATCH: Final = 2_000
TRIES: Final = 3
SILENT: Final = dt.timedelta(minutes=10)


def refresh(site: Site, *, now: dt.datetime) -> SegmentRun | None:
    """Bring the stored memberships of everybody up to date; None when another process is at it."""
    release_stuck(site, now=now)
    with alone(SEGMENTS, site.pk) as mine:
        return _run(site, now) if mine else None


def refresh_changed(site: Site, *, now: dt.datetime) -> SegmentRun | None:
    """Look at everybody where rules changed since somebody last did; after a failure not before a while has passed."""
    wanted = _decided_by(site)
    last = SegmentRun.objects.filter(site=site, decides=wanted).first()
    if not wanted or (
        last is not None and (last.state != SegmentRun.State.FAILED or last.started_at > now - SILENT)
    ):
        return None
    return refresh(site, now=now)


def refresh_daily(site: Site, *, now: dt.datetime) -> SegmentRun | None:
    """Look at everybody once a day, at the site's own time; a day that was missed is made up for."""
    release_stuck(site, now=now)
    due = site.last_recalculation(now)
    last = SegmentRun.objects.filter(site=site, scope=SegmentRun.Scope.EVERYBODY, started_at__gte=due).first()
    if last is not None and (last.state != SegmentRun.State.FAILED or last.started_at > now - SILENT):
        return None
    return refresh(site, now=now)


def _decided_by(site: Site) -> str:
    """Return the digest of the rules in use; empty before there are any."""
    found = site.directories.order_by("-version").values_list("program__decides", flat=True).first()
    return found or ""


def release_stuck(site: Site, *, now: dt.datetime) -> int:
    """Close the runs whose process died, so that nobody takes them for running."""
    stuck = SegmentRun.objects.filter(site=site, state=SegmentRun.State.RUNNING, alive_at__lt=now - SILENT)
    return stuck.update(
        state=SegmentRun.State.FAILED, finished_at=now, error="The process that ran it ended."
    )


def _run(site: Site, now: dt.datetime) -> SegmentRun:
    started = dt.datetime.now(dt.UTC)
    run = SegmentRun.objects.create(
        site=site,
        scope=SegmentRun.Scope.EVERYBODY,
        started_at=now,
        alive_at=now,
        total=Profile.objects.filter(site=site).count(),
        decides=_decided_by(site),
    )
    try:
        counted = _as_a_set(run, now)
    except BaseException as error:
        run.state, run.error = SegmentRun.State.FAILED, f"{type(error).__name__}: {error}"[:1000]
        run.save()
        raise
    recount(site, now=now, counted=counted)
    if run.entered or run.left:
        hint(ANNOUNCE_TASK)
    access_log.note(
        access_log.Kind.RECOMPUTED,
        actor=access_log.task("segments"),
        now=now,
        people=run.total,
        purposes=sorted({purpose for one in Segment.objects.filter(site=site) for purpose in one.purposes}),
        place="all segments",
        reason=f"{run.entered} entered, {run.left} left",
        site_id=site.pk,
    )
    run.state, run.finished_at = SegmentRun.State.DONE, now + (dt.datetime.now(dt.UTC) - started)
    run.save()
    return run


def _as_a_set(run: SegmentRun, now: dt.datetime) -> dict[int, int] | None:
    """Decide what SQL can in one statement, and the rest by looking at everybody; return the sizes, if all are known."""
    site = run.site
    directory, ids = directory_of(site), segment_ids(site)
    found, left_over = _reconciled(site, directory, ids, now)
    everybody = Profile.objects.filter(site=site)
    all_in_sql = directory.behaviour_version <= _oldest_behaviour(site, directory.behaviour_version)
    apart = everybody.exclude(excluded=[]) if all_in_sql and not left_over else everybody
    _note(run, ids, found, done=run.total - apart.count())
    looked_at = [_look_at(run, batch, now) for batch in _batches(apart)]
    return None if looked_at else found.sizes


def _reconciled(
    site: Site, directory: Directory, ids: Mapping[str, int], now: dt.datetime, *, tries: int = TRIES
) -> tuple[Found, list[CompiledSegment]]:
    """Run the statement; once more where PostgreSQL ended it for a fold that it met the wrong way round."""
    quiet = set(Segment.objects.filter(site=site, size__isnull=True).values_list("pk", flat=True))
    told = [pk for pk in ids.values() if pk not in quiet]
    try:
        with transaction.atomic():
            found, left_over = reconcile(site, directory, ids, told=told, now=now)
            for pk, size in sorted(
                found.sizes.items()
            ):  # with the changes, so that none is announced by an older size
                Segment.objects.filter(pk=pk, size__isnull=False).update(size=size)
    except OperationalError as error:
        if tries == 1 or not isinstance(error.__cause__, DeadlockDetected):
            raise
        return _reconciled(site, directory, ids, now, tries=tries - 1)
    return found, left_over


def _oldest_behaviour(site: Site, otherwise: int) -> int:
    """Return the version of behaviour that the profile which lags most was worked out for."""
    row = (
        Profile.objects.filter(site=site)
        .order_by("behaviour_version")
        .values_list("behaviour_version")
        .first()
    )
    return row[0] if row else otherwise


def _note(run: SegmentRun, ids: Mapping[str, int], found: Found, *, done: int) -> None:
    """Write down what one statement found, and how many profiles need no further look."""
    run.entered += sum(found.entered.values())
    run.left += sum(found.left.values())
    for key, pk in ids.items():
        if found.entered.get(pk) or found.left.get(pk):
            run.differences[key] = {"entered": found.entered.get(pk, 0), "left": found.left.get(pk, 0)}
    run.profiles = max(0, done)
    run.alive_at = dt.datetime.now(dt.UTC)
    run.save()


@transaction.atomic
def _look_at(run: SegmentRun, batch: list[uuid.UUID], now: dt.datetime) -> None:
    entered, left = look_again(run.site, batch, now=now)
    run.profiles += len(batch)
    for name, found in (("entered", entered), ("left", left)):
        setattr(run, name, getattr(run, name) + sum(found.values()))
        for key, count in found.items():
            run.differences.setdefault(key, {"entered": 0, "left": 0})[name] += count
    run.alive_at = max(now, dt.datetime.now(dt.UTC))
    run.save()


def _batches(profiles: "QuerySet[Profile]") -> Iterator[list[uuid.UUID]]:
    """Yield profiles by the thousand in the order of their keys."""
    last: uuid.UUID | None = None
    rows = profiles.order_by("pk").values_list("pk", flat=True)
    while batch := list((rows if last is None else rows.filter(pk__gt=last))[:BATCH]):
        last = batch[-1]
        yield batch


def waiting(site: Site) -> int:
    """Return how many profiles were touched and are not looked at yet."""
    return Touched.objects.filter(site=site).values("subject_key").distinct().count()
