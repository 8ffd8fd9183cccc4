"""Forget what somebody did, all of it or what is older than a moment; what they declared and decided stays.

In: a subject. Out: how many things were deleted. The profile is worked out again from what is left, and pages follow
with the next request.
"""

import datetime as dt
import uuid

from django.db import transaction
from django.db.models import F, Func, Q, Value

from consent.gates import SENSITIVE
from personalization.fold import DEVICE, PAGE_VIEWS, Basis
from personalization.folding import touch
from personalization.history import PURPOSE
from personalization.models import Event, Exposure, Profile, SegmentChange, Touched
from personalization.orders import ORDER
from personalization.profiles import forget_computed, forget_snapshot, lock
from personalization.retention import work_out_again


@transaction.atomic
def forget_all(subject: uuid.UUID, now: dt.datetime) -> int:
    """Delete every event of a subject, and what was worked out of them."""
    Touched.objects.filter(subject_key=subject).delete()  # before the profile is locked, as a fold does
    profile = Profile.objects.select_for_update().filter(pk=subject).first()
    deleted = Event.objects.filter(subject_key=subject).delete()[0]
    if profile is not None:
        forget_computed(profile)
        profile.version += 1
        profile.save()
        touch([subject], site_id=profile.site_id, now=now)
    transaction.on_commit(lambda: forget_snapshot(subject))
    return deleted


@transaction.atomic
def forget_events_before(subject: uuid.UUID, before: dt.datetime, now: dt.datetime) -> int:
    """Delete the events before a moment, and work the profile out again."""
    lock([subject])
    deleted = Event.objects.filter(subject_key=subject, happened_at__lt=before).delete()[0]
    if deleted:
        _work_out(subject, now)
    transaction.on_commit(lambda: forget_snapshot(subject))
    return deleted


@transaction.atomic
def forget_basis(subject: uuid.UUID, basis: Basis, now: dt.datetime) -> int:
    """Delete what a computed fact was worked out from, so that it does not come back; the profile is worked out again.

    A device is noted beside events: there the note is deleted, and the events stay. Return how many events it was.
    """
    rows = Event.objects.filter(resting_on(basis), subject_key=subject)
    if basis is Basis.EVERYTHING:
        return forget_all(subject, now)
    lock([subject])
    if basis is Basis.DEVICES:
        changed = rows.update(
            properties=Func(F("properties"), Value(DEVICE), template="%(expressions)s", arg_joiner=" - ")
        )
    else:
        changed = rows.delete()[0]
    _work_out(subject, now)
    transaction.on_commit(lambda: forget_snapshot(subject))
    return changed


def resting_on(basis: Basis) -> Q:
    """Return which events a computed fact was worked out from: of those that were folded, as `history.unfolded` tells."""
    folded = Q(purposes__contains=[PURPOSE]) & ~Q(purposes__contains=[SENSITIVE])
    match basis:
        case Basis.ORDERS:
            return folded & Q(kind="track", name=ORDER)
        case Basis.PAGES:
            return folded & Q(name__in=PAGE_VIEWS)
        case Basis.DEVICES:
            return folded & Q(properties__has_key=DEVICE)
    return Q()


def _work_out(subject: uuid.UUID, now: dt.datetime) -> None:
    profile = Profile.objects.filter(pk=subject).select_related("site").first()
    if profile is not None:
        work_out_again([subject], profile.site, now)
        Profile.objects.filter(pk=subject).update(version=profile.version + 1)


def forget_changes(subject: uuid.UUID, now: dt.datetime) -> int:
    return SegmentChange.objects.filter(subject_key=subject).delete()[0]


def forget_changes_before(subject: uuid.UUID, before: dt.datetime, now: dt.datetime) -> int:
    return SegmentChange.objects.filter(subject_key=subject, at__lt=before).delete()[0]


def forget_shown_before(subject: uuid.UUID, before: dt.datetime, now: dt.datetime) -> int:
    return Exposure.objects.filter(subject_key=subject, at__lt=before).delete()[0]
