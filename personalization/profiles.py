"""Profiles as delivery reads them: snapshots in Redis, current ones from PostgreSQL, and traits that somebody says.

A snapshot names the last event that is in it. What came after is told by `touched:` in Redis (or found in PostgreSQL);
`current` folds it in for one profile without writing anything, so that a page never waits for the worker.
"""

import datetime as dt
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import orjson
from django.db import connection
from django.db.models import F

from cms.language.behaviour.events import Happened
from consent.hot_store import Unavailable, hot_store
from consent.seal import Unreadable, seal, unseal
from personalization.directory import Directory
from personalization.fault_points import fail_over
from personalization.fold import Features, computed_facts, fold_on, from_json, to_json
from personalization.history import ANYWHERE, Where, everything_until, past, unfolded
from personalization.models import Membership, Profile, Segment
from personalization.timelines import timelines_of
from personalization.visitor import EMPTY, NOTHING_DONE, Snapshot, encode

log = logging.getLogger(__name__)
SNAPSHOT_SECONDS = 24 * 3600.0
BARRED_SECONDS = 15.0  # longer than from reading a profile to writing its copy
MAX_REVENUE = Decimal(10) ** 12 - 1  # what the column holds; a made-up order must not make the next one fail


def snapshot_key(subject_id: uuid.UUID) -> str:
    return f"snapshot:{subject_id.hex}"


def touched_key(subject_id: uuid.UUID) -> str:
    return f"touched:{subject_id.hex}"


def lock(subjects: Iterable[uuid.UUID]) -> None:
    """Lock profiles until the end of the caller's transaction, in the order in which everybody does."""
    list(Profile.objects.select_for_update().filter(pk__in=list(subjects)).order_by("pk").values_list("pk"))


def announce_touched(last: Mapping[uuid.UUID, int]) -> bool:
    """Tell every process, before the events are acknowledged, that these profiles lag behind them."""
    if not last:
        return True
    try:
        hot_store().grow(
            {touched_key(subject): number for subject, number in last.items()},
            ttl_seconds=2 * SNAPSHOT_SECONDS,
        )
    except Unavailable:
        return False  # without Redis pages read PostgreSQL; what is stale when it is back, the sweep mends
    return True


# -- what a profile says ------------------------------------------------------------------------------


def features_of(profile: Profile) -> Features:
    """Return the computed features of a stored profile."""
    return from_json(
        profile.features,
        orders=profile.orders,
        revenue=Decimal(str(profile.revenue)),
        first_order_at=_micros(profile.first_order_at),
        last_order_at=_micros(profile.last_order_at),
        categories=profile.categories,
    )


def facts_of(profile: Profile) -> dict[str, Any]:
    """Return the personal facts of a profile by their names in rules; what identifies is unsealed."""
    return {**NOTHING_DONE, **profile.traits, **unsealed(profile), **computed_facts(features_of(profile))}


def set_features(profile: Profile, features: Features) -> None:
    """Put computed features into their columns."""
    profile.orders = features.orders
    profile.revenue = max(-MAX_REVENUE, min(MAX_REVENUE, features.revenue))
    profile.first_order_at = _moment(features.first_order_at)
    profile.last_order_at = _moment(features.last_order_at)
    profile.categories = dict(features.categories)
    said = profile.features.get("said", {})
    profile.features = to_json(features) | ({"said": said} if said else {})


def fold_in(profile: Profile, events: Sequence[Happened], last: int) -> None:
    """Fold events into a profile's features, and note the last one there is."""
    profile.folded_id = max(profile.folded_id, last)
    if events:
        known, until = features_of(profile), profile.folded_id
        set_features(profile, fold_on(known, events, lambda: everything_until(until, profile.pk)))


def forget_computed(profile: Profile) -> int:
    """Take out of a profile all that was worked out from events; return how many things that were."""
    had = int(profile.orders > 0) + len(profile.categories) + len(profile.features.get("views", ()))
    had += len(profile.behaviour)
    set_features(profile, Features())
    profile.features = {"said": said} if (said := profile.features.get("said")) else {}
    profile.behaviour, profile.due_at = {}, None
    return had


def micros(moment: dt.datetime) -> int:
    """Return a moment in whole microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def _micros(moment: dt.datetime | None) -> int | None:
    return None if moment is None else micros(moment)


def _moment(at: int | None) -> dt.datetime | None:
    return None if at is None else _EPOCH + at * _MICROSECOND


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def unsealed(profile: Profile) -> dict[str, Any]:
    """Return the identifying traits; nothing once the subject's key is destroyed."""
    if not profile.sealed:
        return {}
    try:
        read: dict[str, Any] = orjson.loads(unseal(profile.subject_key, bytes(profile.sealed)))
    except Unreadable:
        return {}
    return read


# -- snapshots ----------------------------------------------------------------------------------------


def snapshots_of(
    profiles: Sequence[Profile], directory: Directory | None = None
) -> dict[uuid.UUID, Snapshot]:
    """Return the copies of profiles that delivery reads; who is on which list is one query for all of them.

    Where the directory is at hand, nothing is asked for that it does not have: lists, and segments by score.
    """
    lists: dict[uuid.UUID, set[str]] = {}
    if directory is None or directory.lists:
        rows = Membership.objects.filter(subject_key__in=[p.pk for p in profiles], segment__kind="list")
        for subject, key in rows.values_list("subject_key", "segment__key"):
            lists.setdefault(subject, set()).add(key)
    scored = directory is None or any(one.score is not None for one in directory.segments.values())
    scores = _score_keys(profiles) if scored else {}
    return {p.pk: snapshot_of(p, lists.get(p.pk, ()), scores) for p in profiles}


def snapshot_of(profile: Profile, lists: Iterable[str], scores: Mapping[int, str]) -> Snapshot:
    """Return the copy of one profile."""
    counters = {name: profile.features.get(name, {}) for name in ("views", "bought", "category_views")}
    return Snapshot(
        version=profile.version,
        facts=facts_of(profile),
        lists=frozenset(lists),
        timelines=profile.behaviour,
        inside=frozenset(scores[pk] for pk in profile.segments if pk in scores),
        folded_id=profile.folded_id,
        behaviour_version=profile.behaviour_version,
        counters=orjson.dumps({**counters, "categories": profile.categories}),
        excluded=frozenset(profile.excluded),
    )


def _score_keys(profiles: Sequence[Profile]) -> dict[int, str]:
    """Return the segments by score that any of these people is in: whether one was in decides when one leaves."""
    inside = {pk for profile in profiles for pk in profile.segments}
    if not inside:
        return {}
    return dict(Segment.objects.filter(pk__in=inside, kind=Segment.Kind.SCORE).values_list("pk", "key"))


def current(subject_id: uuid.UUID, directory: Directory, *, now: float, needed: int = 0) -> Snapshot:
    """Return what is known of one subject up to their last event, and leave the copy in Redis.

    Reads only: the worker writes the same into the profile when it comes to it. Two or three indexed queries, none
    of which looks into a month without anything to find. `needed` is an event that was acknowledged before: it is in
    what is read here, or was erased since.
    """
    profile, where = _lagging(subject_id)
    events, last = unfolded({subject_id: profile.folded_id}, where) if where is not None else ({}, {})
    if profile.version == 0 and not last:
        empty = replace(EMPTY, folded_id=needed, behaviour_version=directory.behaviour_version)
        _store(subject_id, empty)
        return empty
    fail_over(events.get(subject_id, ()))
    fold_in(profile, events.get(subject_id, ()), max(needed, last.get(subject_id, 0)))
    if directory.behaviours:
        moment = int(now * 1_000_000)
        history = past([subject_id], directory.behaviours, moment=moment)
        profile.behaviour = timelines_of(directory.behaviours, history.get(subject_id, ()), moment=moment)
    profile.behaviour_version = directory.behaviour_version
    snapshot = snapshots_of([profile], directory)[subject_id]
    _store(subject_id, snapshot)
    return snapshot


_LAGGING = """
SELECT p.*, waits.claims, waits.anywhere, waits.since, waits.until, waits.last
FROM (
  SELECT count(*) AS claims, bool_or(last_id IS NULL) AS anywhere, min(since) AS since, max(until) AS until,
         max(last_id) AS last
  FROM personalization_touched WHERE subject_key = %(subject)s
) waits LEFT JOIN personalization_profile p ON p.subject_key = %(subject)s
"""


def _lagging(subject_id: uuid.UUID) -> tuple[Profile, Where | None]:
    """Return a profile, and where that lies which is not folded in yet; None where nothing waits.

    One statement, so that no fold can come in between.
    """
    row: Any = Profile.objects.raw(_LAGGING, {"subject": subject_id})[
        0
    ]  # a profile with more columns than its own
    profile: Profile = row if row.pk is not None else Profile(subject_key=subject_id, version=0)
    if not row.claims:
        return profile, None
    return profile, ANYWHERE if row.anywhere else Where(row.since, row.until, row.last)


def _store(subject_id: uuid.UUID, snapshot: Snapshot) -> bool:
    try:
        hot_store().put(
            snapshot_key(subject_id), encode(snapshot), version=snapshot.version, ttl_seconds=SNAPSHOT_SECONDS
        )
    except Unavailable:
        return False
    return True


def forget_snapshot(subject_id: uuid.UUID) -> bool:
    """Delete the copy of a profile; return whether Redis could be told."""
    try:
        hot_store().delete(snapshot_key(subject_id))
    except Unavailable:
        return False
    return True


def bar_snapshot(subject_id: uuid.UUID) -> bool:
    """Delete the copy of a profile, and keep out for a moment whoever read what is erased and has not written it yet."""
    try:
        hot_store().bar(snapshot_key(subject_id), ttl_seconds=BARRED_SECONDS)
    except Unavailable:
        return False
    return True


def publish_snapshots(profiles: Iterable[Profile]) -> int:
    """Write the snapshots of changed profiles to Redis and note how far they are; return how many were written."""
    snapshots = snapshots_of(list(profiles))
    written = {subject: one.version for subject, one in snapshots.items() if _store(subject, one)}
    if written:
        with connection.cursor() as cursor:
            cursor.execute(_FOLLOWED, [list(written), list(written.values())])
    return len(written)


_FOLLOWED = """
UPDATE personalization_profile p SET snapshot_version = written.v
FROM unnest(%s::uuid[], %s::bigint[]) AS written(k, v)
WHERE p.subject_key = written.k AND p.snapshot_version < written.v
"""


def sweep_snapshots(*, limit: int = 1000) -> int:
    """Write the snapshots that a crash or an absent Redis left behind."""
    return publish_snapshots(Profile.objects.filter(snapshot_version__lt=F("version"))[:limit])


# -- traits -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Statement:
    """What was said of somebody, and when; a trait set to None is removed."""

    subject: uuid.UUID
    at: dt.datetime
    traits: Mapping[str, Any] = field(default_factory=dict)
    identifying: Mapping[str, Any] = field(default_factory=dict)
    purposes: frozenset[str] = frozenset()


def say(statements: Sequence[Statement], *, site_id: int, now: dt.datetime) -> list[Profile]:
    """Set traits, inside the caller's transaction; what was said later stays, whatever comes first."""
    by_subject: dict[uuid.UUID, list[Statement]] = {}
    for one in sorted(statements, key=lambda one: one.at):
        by_subject.setdefault(one.subject, []).append(one)
    if not by_subject:
        return []
    make_missing(by_subject, site_id=site_id, now=now)
    rows = Profile.objects.select_for_update().filter(pk__in=by_subject).order_by("pk")
    changed = [_told(profile, by_subject[profile.pk], now) for profile in rows]
    Profile.objects.bulk_update(
        changed, ["traits", "sealed", "features", "held", "version", "last_seen_at"], batch_size=500
    )
    return changed


def _told(profile: Profile, statements: Sequence[Statement], now: dt.datetime) -> Profile:
    identifying = unsealed(profile) if any(one.identifying for one in statements) else {}
    before = dict(identifying)
    said = profile.features.setdefault("said", {})
    for one in statements:
        at = micros(one.at)
        _set(profile.traits, one.traits, said, at)
        _set(identifying, one.identifying, said, at)
        profile.held = sorted({*profile.held, *one.purposes})
    if identifying != before:
        profile.sealed = seal(profile.subject_key, orjson.dumps(identifying)) if identifying else None
    profile.last_seen_at = max(now, profile.last_seen_at)
    profile.version += 1
    return profile


def _set(known: dict[str, Any], told: Mapping[str, Any], said: dict[str, int], at: int) -> None:
    for key, value in told.items():
        if at < said.get(key, at):
            continue
        said[key] = at
        if value is None:
            known.pop(key, None)
        else:
            known[key] = value


def make_missing(subjects: Iterable[uuid.UUID], *, site_id: int, now: dt.datetime) -> None:
    """Make the rows of profiles that are not there yet."""
    Profile.objects.bulk_create(
        [
            Profile(
                subject_key=s,
                site_id=site_id,
                version=_first_version(now),
                first_seen_at=now,
                last_seen_at=now,
            )
            for s in sorted(subjects)
        ],
        ignore_conflicts=True,
    )


def _first_version(now: dt.datetime) -> int:
    """Begin at the clock's milliseconds, so that a profile that comes back is newer than any copy of the old one."""
    return int(now.timestamp() * 1000)
