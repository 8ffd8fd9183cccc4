"""Give what is kept of one subject to another, who turned out to be the same person.

In: two subjects whose consent states the caller has locked. Out: one profile with what was said and done of both; the
rows of the one who ended carry the other's key. What was not folded in yet is folded here, so that `folded_id` goes on
saying how far the profile is. Each function is the `join` of a holder (`personalization/keeping.py`).
"""

import uuid
from collections.abc import Callable
from typing import Final

import orjson
from django.db import connection, transaction
from django.db.models import F

from cms.language.behaviour.events import Happened
from consent.hot_store import Unavailable, hot_store
from consent.models import Subject
from consent.seal import seal
from personalization.exposures import pace_key
from personalization.fold import Features, combined, cuts_off, fold
from personalization.history import everything_until, unfolded
from personalization.models import Event, Profile, Segment, Touched
from personalization.profiles import (
    BARRED_SECONDS,
    features_of,
    fold_in,
    set_features,
    snapshot_key,
    touched_key,
    unsealed,
)
from personalization.sales import count_sales


def join_profile(source: uuid.UUID, target: uuid.UUID) -> int:
    """Make one profile of two; return how many there were of the one who ended."""
    rows = {
        p.pk: p for p in Profile.objects.select_for_update().filter(pk__in=[source, target]).order_by("pk")
    }
    ended, kept = rows.get(source) or _blank(source), rows.get(target) or _blank(target)
    events = _fold_pending(ended, kept)
    if source not in rows and not ended.folded_id:
        return 0
    _put_together(kept, ended)
    if source in rows:
        _leave(ended)
        ended.delete()
    kept.save(force_insert=target not in rows)
    count_sales(kept.site_id, events)
    return 1


def _blank(subject: uuid.UUID) -> Profile:
    """Return the profile of somebody of whom nothing is kept yet."""
    site_id = Subject.objects.values_list("site_id", flat=True).get(pk=subject)
    return Profile(subject_key=subject, site_id=site_id, version=0)


def _fold_pending(*profiles: Profile) -> list[Happened]:
    """Fold in what waits; return the events."""
    events, last = unfolded({profile.pk: profile.folded_id for profile in profiles})
    for profile in profiles:
        fold_in(profile, events.get(profile.pk, ()), last.get(profile.pk, 0))
    return [event for found in events.values() for event in found]


def _put_together(kept: Profile, ended: Profile) -> None:
    said = {**ended.features.get("said", {})}
    mine = kept.features.get("said", {})
    identifying, theirs = unsealed(kept), unsealed(ended)
    before = dict(identifying)
    set_features(kept, _both(kept, ended))
    for known, told in ((kept.traits, ended.traits), (identifying, theirs)):
        for key, value in told.items():
            if key not in known or said.get(key, 0) > mine.get(key, 0):
                known[key] = value
    if identifying != before:
        kept.sealed = seal(kept.pk, orjson.dumps(identifying))
    moments = {key: max(said.get(key, 0), mine.get(key, 0)) for key in {**said, **mine}}
    kept.features = kept.features | ({"said": moments} if moments else {})
    kept.held = sorted({*kept.held, *ended.held})
    kept.excluded = sorted({*kept.excluded, *ended.excluded})
    kept.folded_id = max(kept.folded_id, ended.folded_id)
    kept.first_seen_at = min(one for one in (kept.first_seen_at, ended.first_seen_at) if one is not None)
    kept.last_seen_at = max(one for one in (kept.last_seen_at, ended.last_seen_at) if one is not None)
    kept.version = max(kept.version, ended.version) + 1
    kept.snapshot_version = 0


def _both(kept: Profile, ended: Profile) -> Features:
    """Return the features of both together, from everything that happened where parts of it are only counted."""
    mine, theirs = features_of(kept), features_of(ended)
    if not cuts_off(mine) and not cuts_off(theirs):
        return combined(mine, theirs)
    return fold(Features(), everything_until(max(kept.folded_id, ended.folded_id), kept.pk, ended.pk))


def _leave(ended: Profile) -> None:
    """Count the one who ended out of its segments; the other enters them when it is looked at."""
    for pk in sorted(ended.segments):
        Segment.objects.filter(pk=pk, size__gt=0).update(size=F("size") - 1)


def join_events(source: uuid.UUID, target: uuid.UUID) -> int:
    """Give the events, and ask for the profile to be looked at with them."""
    moved = Event.objects.filter(subject_key=source).update(subject_key=target)
    profile = Profile.objects.filter(pk=target).first()
    if profile is not None:
        Touched.objects.create(site_id=profile.site_id, subject_key=target, at=profile.last_seen_at)
    return moved


_RENAME: Final = "UPDATE {table} SET subject_key = %(target)s WHERE subject_key = %(source)s"
_DOUBLE: Final = """
DELETE FROM {table} WHERE subject_key = %(source)s
AND {once} IN (SELECT {once} FROM {table} WHERE subject_key = %(target)s)
"""


def rename_in(table: str, *, once: str = "") -> Callable[[uuid.UUID, uuid.UUID], int]:
    """Return the `join` of a store whose rows only carry the subject's key; of each `once` one row stays."""

    def join(source: uuid.UUID, target: uuid.UUID) -> int:
        values = {"source": source, "target": target}
        with connection.cursor() as cursor:
            if once:
                cursor.execute(_DOUBLE.format(table=table, once=once), values)
            cursor.execute(_RENAME.format(table=table), values)
            return int(cursor.rowcount)

    return join


def join_copies(source: uuid.UUID, target: uuid.UUID) -> int:
    """Forget the copies in Redis of both; they are made anew from the tables."""

    def forget() -> None:
        try:
            hot_store().bar(snapshot_key(source), ttl_seconds=BARRED_SECONDS)
            hot_store().delete(
                snapshot_key(target),
                touched_key(source),
                pace_key(source),
                pace_key(target),
            )
        except Unavailable:
            return  # without Redis nobody reads them, and they are older than what is read then

    transaction.on_commit(forget)
    return 0
