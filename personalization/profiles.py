"""Profiles: read them as snapshots, and let events and traits change them.

A change is one transaction on the profile's row; the snapshot in Redis follows before the change is answered, and the
sweep repeats what a crash in between left out (`snapshot_version` lags behind `version`).
"""

import datetime as dt
import logging
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson
from django.db import connection
from django.db.models import F

from consent.hot_store import Unavailable, hot_store
from consent.seal import Unreadable, seal, unseal
from personalization.fold import Change, fold
from personalization.models import Membership, Profile
from personalization.visitor import EMPTY, NOTHING_DONE, Snapshot, encode

log = logging.getLogger(__name__)
SNAPSHOT_SECONDS = 24 * 3600.0
MAX_REVENUE = Decimal(10) ** 12 - 1  # what the column holds; a made-up order must not make the next one fail


def snapshot_key(subject_id: uuid.UUID) -> str:
    return f"snapshot:{subject_id.hex}"


def facts_of(profile: Profile) -> dict[str, Any]:
    """Return the personal facts of a profile by their names in rules; what identifies is unsealed."""
    facts = {**NOTHING_DONE, **profile.traits, **unsealed(profile)}
    facts["features.orders"] = profile.orders
    facts["features.revenue"] = _plain(profile.revenue)
    for name in ("first_order_at", "last_order_at"):
        if moment := getattr(profile, name):
            facts[f"features.{name}"] = moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if profile.categories:
        facts["features.favourite_category"] = favourite(profile.categories)
    return facts


def favourite(categories: Mapping[str, int]) -> str:
    """Return the category bought most; between equals the first by name, so that the answer is stable."""
    return min(categories, key=lambda name: (-categories[name], name))


def _plain(number: Decimal | int | float) -> int | float:
    return int(number) if number == int(number) else float(number)


def unsealed(profile: Profile) -> dict[str, Any]:
    """Return the identifying traits; nothing once the subject's key is destroyed."""
    if not profile.sealed:
        return {}
    try:
        read: dict[str, Any] = orjson.loads(unseal(profile.subject_key, bytes(profile.sealed)))
    except Unreadable:
        return {}
    return read


def snapshots_of(profiles: Sequence[Profile]) -> dict[uuid.UUID, Snapshot]:
    """Return the copies of profiles that delivery reads; who is on which list is one query for all of them."""
    rows = Membership.objects.filter(subject_key__in=[p.pk for p in profiles], segment__kind="list")
    lists: dict[uuid.UUID, set[str]] = {}
    for subject, key in rows.values_list("subject_key", "segment__key"):
        lists.setdefault(subject, set()).add(key)
    return {p.pk: Snapshot(p.version, facts_of(p), frozenset(lists.get(p.pk, ()))) for p in profiles}


def read_snapshot(subject_id: uuid.UUID) -> Snapshot | None:
    """Read a profile and leave a copy in Redis; None when nothing is stored of the subject."""
    profile = Profile.objects.filter(pk=subject_id).first()
    if profile is None:
        _store(subject_id, EMPTY)
        return None
    snapshot = snapshots_of([profile])[subject_id]
    _store(subject_id, snapshot)
    return snapshot


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


def apply_changes(
    changes: Mapping[uuid.UUID, Collection[Change]], *, site_id: int, now: dt.datetime
) -> list[Profile]:
    """Fold changes into the profiles they concern, inside the caller's transaction; return the changed profiles."""
    _make_missing(changes, site_id, now)
    rows = Profile.objects.select_for_update().filter(pk__in=changes).order_by("pk")
    changed = []
    for profile in rows:
        _change(profile, changes[profile.pk], now)
        changed.append(profile)
    Profile.objects.bulk_update(changed, _FOLDED, batch_size=500)
    return changed


_FOLDED = [
    "traits", "sealed", "orders", "revenue", "first_order_at", "last_order_at", "categories", "held", "version",
    "last_seen_at",
]  # fmt: skip


def _make_missing(subjects: Iterable[uuid.UUID], site_id: int, now: dt.datetime) -> None:
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


def _change(profile: Profile, changes: Collection[Change], now: dt.datetime) -> None:
    state = fold(
        {
            "traits": profile.traits,
            "identifying": unsealed(profile) if any(change.identifying for change in changes) else {},
            "orders": profile.orders,
            "revenue": profile.revenue,
            "first_order_at": profile.first_order_at,
            "last_order_at": profile.last_order_at,
            "categories": profile.categories,
        },
        changes,
    )
    for name in ("traits", "orders", "revenue", "first_order_at", "last_order_at", "categories"):
        setattr(profile, name, state[name])
    profile.revenue = max(-MAX_REVENUE, min(MAX_REVENUE, profile.revenue))
    if state["identifying"]:
        profile.sealed = seal(profile.subject_key, orjson.dumps(state["identifying"]))
    profile.held = sorted({*profile.held, *(p for change in changes for p in change.purposes)})
    profile.last_seen_at = max(now, profile.last_seen_at)
    profile.version += 1


def _first_version(now: dt.datetime) -> int:
    """Begin at the clock's milliseconds, so that a profile that comes back is newer than any copy of the old one."""
    return int(now.timestamp() * 1000)
