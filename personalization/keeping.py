"""What personalization keeps of people: the holders that it registers with `consent`.

Each `erase` deletes what the closed purposes alone allowed, and may be run any number of times.
"""

import datetime as dt
import uuid
from collections.abc import Collection
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from consent.holders import Holder
from consent.hot_store import hot_store
from personalization.models import Event, Membership, Profile, Trait
from personalization.profiles import facts_of, forget_snapshot, snapshot_key, unsealed

PAGES = "personalization"  # the purpose of the computed facts


def export_profile(subject: uuid.UUID) -> dict[str, Any]:
    profile = Profile.objects.filter(pk=subject).first()
    return facts_of(profile) if profile else {}


def erase_profile(subject: uuid.UUID, purposes: Collection[str]) -> int:
    """Take out the traits of the purposes, and the computed facts with theirs; an empty profile is deleted."""
    profile = Profile.objects.select_for_update().filter(pk=subject).first()
    if profile is None:
        return 0
    gone = set(Trait.objects.filter(site=profile.site_id, purpose__in=purposes).values_list("key", flat=True))
    before = len(profile.traits)
    profile.traits = {key: value for key, value in profile.traits.items() if key not in gone}
    erased = before - len(profile.traits) + _erase_sealed(profile, gone)
    if PAGES in purposes:
        erased += _erase_features(profile)
    profile.held = [purpose for purpose in profile.held if purpose not in purposes]
    if not profile.held:
        profile.delete()
        return erased + 1
    profile.version += 1
    profile.save()
    return erased


def _erase_sealed(profile: Profile, gone: Collection[str]) -> int:
    import orjson

    from consent.seal import seal

    identifying = unsealed(profile)
    kept = {key: value for key, value in identifying.items() if key not in gone}
    if len(kept) < len(identifying):
        profile.sealed = seal(profile.subject_key, orjson.dumps(kept)) if kept else None
    return len(identifying) - len(kept)


def _erase_features(profile: Profile) -> int:
    had = int(profile.orders > 0) + len(profile.categories)
    profile.orders, profile.revenue, profile.categories = 0, 0, {}
    profile.first_order_at = profile.last_order_at = None
    return had


def export_events(subject: uuid.UUID) -> dict[str, Any]:
    rows = Event.objects.filter(subject_key=subject).order_by("happened_at")
    return {
        "events": [
            {
                "name": e.name,
                "properties": e.properties,
                "at": e.happened_at.astimezone(dt.UTC).isoformat(),
                "purposes": e.purposes,
            }
            for e in rows
        ]
    }


_UNSTAMP = """
UPDATE personalization_event SET purposes = ARRAY(SELECT unnest(purposes) EXCEPT SELECT unnest(%s::varchar[]))
WHERE subject_key = %s AND purposes && %s::varchar[]
"""


def erase_events(subject: uuid.UUID, purposes: Collection[str]) -> int:
    """Take the purposes off the events' stamps, and delete the events whose last stamp that was."""
    closed = sorted(purposes)
    with connection.cursor() as cursor:
        cursor.execute(_UNSTAMP, [closed, subject, closed])
    return Event.objects.filter(subject_key=subject, purposes=[]).delete()[0]


def export_memberships(subject: uuid.UUID) -> dict[str, Any]:
    rows = Membership.objects.filter(subject_key=subject).select_related("segment")
    return {"segments": [{"title": m.segment.title, "since": m.entered_at.isoformat()} for m in rows]}


def erase_memberships(subject: uuid.UUID, purposes: Collection[str]) -> int:
    rows = Membership.objects.filter(subject_key=subject, segment__purposes__overlap=sorted(purposes))
    return rows.delete()[0]


def export_snapshot(subject: uuid.UUID) -> dict[str, Any]:
    entry = hot_store().read([snapshot_key(subject)])[0]
    return {"cached": entry is not None}


def erase_snapshot(subject: uuid.UUID, purposes: Collection[str]) -> int:
    """Delete the copy in Redis; raises when Redis cannot be reached, so that it is tried again.

    Until the erasure is committed a page may still read what it erases and copy it anew: so once more, afterwards.
    """
    transaction.on_commit(lambda: forget_snapshot(subject))
    return hot_store().delete(snapshot_key(subject))


def _profiles_for(purpose: str) -> "QuerySet[Any, uuid.UUID]":
    return Profile.objects.filter(held__contains=[purpose])  # type: ignore[return-value]  # narrowed by its caller


def _events_for(purpose: str) -> "QuerySet[Any, uuid.UUID]":
    return Event.objects.filter(purposes__contains=[purpose]).order_by().distinct("subject_key")  # type: ignore[return-value]  # narrowed by its caller


def _memberships_for(purpose: str) -> "QuerySet[Any, uuid.UUID]":
    return Membership.objects.filter(segment__purposes__contains=[purpose]).order_by().distinct("subject_key")  # type: ignore[return-value]  # narrowed by its caller


HOLDERS = (
    Holder(
        "profile", "Profile: declared traits and computed facts", export_profile, erase_profile, _profiles_for
    ),
    Holder("events", "Events", export_events, erase_events, _events_for),
    Holder("memberships", "Segments one is in", export_memberships, erase_memberships, _memberships_for),
    Holder("snapshot", "The copy of the profile that pages read", export_snapshot, erase_snapshot),
)
