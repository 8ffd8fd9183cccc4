"""What personalization keeps of people: the holders that it registers with `consent`.

Each `erase` deletes what the closed purposes alone allowed, and may be run any number of times.
"""

import datetime as dt
import uuid
from collections.abc import Collection
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext_noop as N_
from django.utils.translation import ngettext

from consent.gates import SENSITIVE
from consent.holders import Holder
from consent.hot_store import hot_store
from personalization import exposures, forgetting, joining, knowledge, steering, told, triggers
from personalization.models import (
    Event,
    Exposure,
    Membership,
    Profile,
    Segment,
    SegmentChange,
    Touched,
    Trait,
)
from personalization.profiles import (
    bar_snapshot,
    facts_of,
    forget_computed,
    forget_snapshot,
    lock,
    snapshot_key,
    touched_key,
    unsealed,
)

PAGES = "personalization"  # the purpose of the computed facts


def export_profile(subject: uuid.UUID) -> dict[str, Any]:
    profile = Profile.objects.filter(pk=subject).first()
    return facts_of(profile) if profile else {}


def erase_profile(subject: uuid.UUID, purposes: Collection[str]) -> int:
    """Take out the traits of the purposes, and the computed facts with theirs; an empty profile is deleted."""
    profile = Profile.objects.select_for_update().filter(pk=subject).first()
    if profile is None:
        return 0
    traits = Trait.objects.filter(site=profile.site_id)
    gone = {trait.key for trait in traits if not trait.purposes.isdisjoint(purposes)}
    before = len(profile.traits)
    profile.traits = {key: value for key, value in profile.traits.items() if key not in gone}
    erased = before - len(profile.traits) + _erase_sealed(profile, gone)
    if PAGES in purposes:
        erased += forget_computed(profile)
    _leave_segments(profile, purposes)
    profile.held = [purpose for purpose in profile.held if purpose not in purposes]
    if not profile.held:
        profile.delete()
        return erased
    profile.version += 1
    profile.save()
    return erased


def _leave_segments(profile: Profile, purposes: Collection[str]) -> int:
    """Take the profile out of the segments that read what is erased."""
    closed = set(
        Segment.objects.filter(pk__in=profile.segments, purposes__overlap=sorted(purposes)).values_list(
            "pk", flat=True
        )
    )
    profile.segments = [pk for pk in profile.segments if pk not in closed]
    for pk in sorted(closed):
        Segment.objects.filter(pk=pk, size__gt=0).update(size=F("size") - 1)
    return len(closed)


def _erase_sealed(profile: Profile, gone: Collection[str]) -> int:
    import orjson

    from consent.seal import seal

    identifying = unsealed(profile)
    kept = {key: value for key, value in identifying.items() if key not in gone}
    if len(kept) < len(identifying):
        profile.sealed = seal(profile.subject_key, orjson.dumps(kept)) if kept else None
    return len(identifying) - len(kept)


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
    """Take the purposes off the events' stamps, and delete the events whose last stamp that was.

    An event about something sensitive needed that purpose in addition: without it, it goes as a whole.
    """
    closed = sorted(purposes)
    gone = 0
    if SENSITIVE in purposes:
        gone = Event.objects.filter(subject_key=subject, purposes__contains=[SENSITIVE]).delete()[0]
    with connection.cursor() as cursor:
        cursor.execute(_UNSTAMP, [closed, subject, closed])
    return gone + Event.objects.filter(subject_key=subject, purposes__contained_by=[SENSITIVE]).delete()[0]


def export_memberships(subject: uuid.UUID) -> dict[str, Any]:
    """Return the segments one is in, and since when as far as that is known."""
    profile = Profile.objects.filter(pk=subject).first()
    entered = SegmentChange.objects.filter(subject_key=subject, entered=True).order_by("segment_id", "-at")
    since = {c.segment_id: c.at.isoformat() for c in entered.distinct("segment_id")}
    computed = Segment.objects.filter(pk__in=profile.segments if profile else [])
    lists = Membership.objects.filter(subject_key=subject).select_related("segment")
    return {
        "segments": [{"title": s.title, "since": since.get(s.pk)} for s in computed]
        + [{"title": m.segment.title, "since": m.entered_at.isoformat()} for m in lists]
    }


def erase_memberships(subject: uuid.UUID, purposes: Collection[str]) -> int:
    """Take somebody off the lists, and out of the computed segments, that the purposes allowed."""
    rows = Membership.objects.filter(subject_key=subject, segment__purposes__overlap=sorted(purposes))
    left = rows.delete()[0]
    profile = Profile.objects.select_for_update().filter(pk=subject).first()
    if profile is None:
        return left
    left += _leave_segments(profile, purposes)
    profile.version += 1
    profile.save(update_fields=["segments", "version"])
    return left


def export_changes(subject: uuid.UUID) -> dict[str, Any]:
    """Return when one entered and left segments."""
    rows = SegmentChange.objects.filter(subject_key=subject).select_related("segment").order_by("at", "id")
    return {
        "changes": [{"title": c.segment.title, "entered": c.entered, "at": c.at.isoformat()} for c in rows]
    }


def erase_changes(subject: uuid.UUID, purposes: Collection[str]) -> int:
    rows = SegmentChange.objects.filter(subject_key=subject, segment__purposes__overlap=sorted(purposes))
    return rows.delete()[0]


def erase_touched(subject: uuid.UUID, purposes: Collection[str]) -> int:
    """Nothing waits to be folded in once nothing may be: the claim itself says that something happened.

    The profile is locked from here on: who is deriving something of it now is waited for, and what they wrote is erased.
    """
    deleted = Touched.objects.filter(subject_key=subject).delete()[0] if PAGES in purposes else 0
    lock([subject])
    return deleted


def export_snapshot(subject: uuid.UUID) -> dict[str, Any]:
    entry = hot_store().read([snapshot_key(subject)])[0]
    return {"cached": bool(entry)}


def erase_snapshot(subject: uuid.UUID, purposes: Collection[str]) -> int:
    """Delete the copy in Redis; raises when Redis cannot be reached, so that it is tried again.

    Until the erasure is committed a page or a fold may still read what it erases and copy it anew: so once more, afterwards,
    and where no profile is left no copy is taken for a moment; that of one that is left is soon replaced by its next version.
    """
    transaction.on_commit(lambda: _drop_copy(subject))
    return hot_store().delete(snapshot_key(subject), touched_key(subject))


def _drop_copy(subject: uuid.UUID) -> None:
    if Profile.objects.filter(pk=subject).exists():
        forget_snapshot(subject)
    else:
        bar_snapshot(subject)


def _profiles_for(purpose: str) -> "QuerySet[Any, uuid.UUID]":
    """Return whose profile keeps something for a purpose: as it says itself, or as its traits and segments show."""
    traits = [trait.key for trait in Trait.objects.all() if purpose in trait.purposes]
    segments = Segment.objects.filter(purposes__contains=[purpose]).values_list("pk", flat=True)
    kept = Q(held__contains=[purpose]) | Q(traits__has_any_keys=traits) | Q(segments__overlap=list(segments))
    return Profile.objects.filter(kept)  # type: ignore[return-value]  # narrowed by its caller


def _events_for(purpose: str) -> "QuerySet[Any, uuid.UUID]":
    return Event.objects.filter(purposes__contains=[purpose]).order_by().distinct("subject_key")  # type: ignore[return-value]  # narrowed by its caller


def _memberships_for(purpose: str) -> "QuerySet[Any, uuid.UUID]":
    return Membership.objects.filter(segment__purposes__contains=[purpose]).order_by().distinct("subject_key")  # type: ignore[return-value]  # narrowed by its caller


def _changes_for(purpose: str) -> "QuerySet[Any, uuid.UUID]":
    rows = SegmentChange.objects.filter(segment__purposes__contains=[purpose])
    return rows.order_by().distinct("subject_key")  # type: ignore[return-value]  # narrowed by its caller


def _exposures_for(purpose: str) -> "QuerySet[Any, uuid.UUID]":
    rows = Exposure.objects.filter(purposes__contains=[purpose])
    return rows.order_by().distinct("subject_key")  # type: ignore[return-value]  # narrowed by its caller


def _events(number: int) -> str:
    return ngettext("%(number)s event", "%(number)s events", number) % {"number": number}


def _facts(number: int) -> str:
    said = ngettext("%(number)s entry of your profile", "%(number)s entries of your profile", number)
    return said % {"number": number}


def _segments(number: int) -> str:
    return ngettext("%(number)s segment", "%(number)s segments", number) % {"number": number}


def _shown(number: int) -> str:
    said = ngettext(
        "%(number)s note of what you were shown", "%(number)s notes of what you were shown", number
    )
    return said % {"number": number}


def _changes(number: int) -> str:
    said = ngettext("%(number)s entry about segments", "%(number)s entries about segments", number)
    return said % {"number": number}


def _messages(number: int) -> str:
    said = ngettext("%(number)s message about you", "%(number)s messages about you", number)
    return said % {"number": number}


HOLDERS = (
    Holder(  # first, also when two are joined: a fold takes the claims before the profiles
        "touched",
        N_("That something happened which is not looked at yet"),
        lambda subject: {},
        erase_touched,
        join=joining.rename_in("personalization_touched"),
    ),
    Holder(
        "exposures",
        N_("What one was shown"),
        exposures.export,
        exposures.erase,
        _exposures_for,
        joining.rename_in("personalization_exposure"),
        units=_shown,
        forget=lambda subject, now: exposures.erase(subject, [PAGES]),
        shorten=forgetting.forget_shown_before,
    ),
    Holder(
        "memberships",
        N_("Segments one is in"),
        export_memberships,
        erase_memberships,
        _memberships_for,
        joining.rename_in("personalization_membership", once="segment_id"),
        units=_segments,
        known=knowledge.segments_known,
        steer=steering.steer_segment,
        last=True,
    ),
    Holder(
        "profile",
        N_("Profile: declared traits and computed facts"),
        export_profile,
        erase_profile,
        _profiles_for,
        joining.join_profile,
        units=_facts,
        known=knowledge.facts_known,
        steer=steering.steer_fact,
        last=True,
    ),
    Holder(
        "events",
        N_("Events"),
        export_events,
        erase_events,
        _events_for,
        joining.join_events,
        units=_events,
        forget=forgetting.forget_all,
        shorten=forgetting.forget_events_before,
        known=knowledge.behaviour_known,
        steer=steering.steer_behaviour,
    ),
    Holder(
        "changes",
        N_("When one entered and left segments"),
        export_changes,
        erase_changes,
        _changes_for,
        joining.rename_in("personalization_segmentchange"),
        units=_changes,
        forget=forgetting.forget_changes,
        shorten=forgetting.forget_changes_before,
    ),
    Holder(
        "webhooks",
        N_("Who was told that one entered or left segments"),
        told.export,
        told.erase,
        told.held,
        joining.rename_in("personalization_webhookdelivery"),
        units=_messages,
        known=told.known,
    ),
    Holder(
        "triggers",
        N_("What was done because one entered or left segments"),
        triggers.export,
        triggers.erase,
        triggers.held,
        joining.rename_in("personalization_triggerrun"),
        units=_messages,
    ),
    Holder(
        "snapshot",
        N_("The copy of the profile that pages read"),
        export_snapshot,
        erase_snapshot,
        join=joining.join_copies,
    ),
)
