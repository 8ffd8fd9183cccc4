"""How long events and what came of them are kept: as the longest of their purposes says, or as their own name says.

In: now. Out: how many events were deleted. A purpose that has run out is taken off the stamp; an event without a
stamp goes, and so does one that needed a purpose in addition which has run out; the profiles it was folded into are worked out again from what is left.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from cms.models import Site
from consent.models import Purpose
from personalization import partitions
from personalization.fold import Features, fold
from personalization.folding import touch
from personalization.history import PURPOSE, unfolded
from personalization.models import Event, EventSeen, EventType, Exposure, Profile, SegmentChange
from personalization.profiles import lock, set_features
from personalization.sales import count_sales
from personalization.statements import rows_of

SEEN_DAYS: Final = 30  # a message is known again for so long
BATCH: Final = 5_000


def expire(*, now: dt.datetime, days: int) -> int:
    """Delete what is past its time; `days` is how long the site keeps what no purpose says otherwise of."""
    EventSeen.objects.filter(seen_at__lt=now - dt.timedelta(days=SEEN_DAYS)).delete()
    deleted = 0
    for site in Site.objects.all():
        for purpose, kept in days_kept(site, days).items():
            deleted += _expire_purpose(site, purpose, now - dt.timedelta(days=kept), now)
        for row in EventType.objects.filter(site=site, retention_days__isnull=False):
            deleted += _expire_name(site, row.key, now - dt.timedelta(days=row.retention_days or 0), now)
        deleted += _expire_traces(site, now, days)
    longest = max([days, *(k for site in Site.objects.all() for k in days_kept(site, days).values())])
    partitions.drop_before((now - dt.timedelta(days=longest + 1)).date())
    return deleted


def _expire_traces(site: Site, now: dt.datetime, days: int) -> int:
    """Delete what somebody was shown, and the comings and goings of segments, once no purpose keeps them any longer."""
    return sum(rows.delete()[0] for rows in _old_traces(site, now, days))


def _old_traces(site: Site, now: dt.datetime, days: int) -> "Iterator[QuerySet[Any]]":
    """Yield what is past its time: an exposure as the longest of its purposes, a change as personal content."""
    kept = days_kept(site, days)
    for stamp in {
        tuple(one) for one in Exposure.objects.filter(site=site).values_list("purposes", flat=True).distinct()
    }:
        before = now - dt.timedelta(days=max((kept.get(purpose, days) for purpose in stamp), default=0))
        yield Exposure.objects.filter(site=site, purposes=list(stamp), at__lt=before)
    before = now - dt.timedelta(days=kept.get(PURPOSE, days))
    yield SegmentChange.objects.filter(site=site, at__lt=before)


GRACE: Final = dt.timedelta(days=2)  # in which the nightly run has deleted what is due


def overdue(now: dt.datetime) -> Iterable[str]:
    """Yield which events should have been deleted by now."""
    for site in Site.objects.all():
        for purpose, kept in days_kept(site, settings.EVENT_RETENTION_DAYS).items():
            before = now - dt.timedelta(days=kept) - GRACE
            rows = Event.objects.filter(site_id=site.pk, purposes__contains=[purpose], happened_at__lt=before)
            if number := rows.count():
                yield f"{number} events for '{purpose}' are older than its {kept} days."
        for rows in _old_traces(site, now - GRACE, settings.EVENT_RETENTION_DAYS):
            if number := rows.count():
                yield f"{number} rows of '{rows.model._meta.verbose_name}' are older than their purposes keep them."


def days_kept(site: Site, days: int) -> dict[str, int]:
    """Return how many days each purpose keeps what happened."""
    return {p.key: min(p.keep_days or days, days) for p in Purpose.objects.filter(site_id=site.pk)}


_OLD = """
SELECT subject_key, id, happened_at FROM personalization_event
WHERE site_id = %(site)s AND happened_at < %(before)s AND %(purpose)s = ANY(purposes) LIMIT %(batch)s
"""
_UNSTAMP = """
WITH unstamped AS (
  UPDATE personalization_event e SET purposes = array_remove(e.purposes, %(purpose)s)
  FROM unnest(%(subjects)s::uuid[], %(ids)s::bigint[], %(moments)s::timestamptz[]) AS old(s, i, h)
  WHERE e.subject_key = old.s AND e.id = old.i AND e.happened_at = old.h
  RETURNING e.subject_key, e.id, e.happened_at, e.purposes
)
SELECT subject_key, id, happened_at, %(purpose)s = 'sensitive' OR purposes <@ ARRAY['sensitive']::varchar[] FROM unstamped
"""
_DELETE = """
DELETE FROM personalization_event e USING unnest(%s::uuid[], %s::bigint[], %s::timestamptz[]) AS gone(s, i, h)
WHERE e.subject_key = s AND e.id = i AND e.happened_at = h
"""


def _expire_purpose(site: Site, purpose: str, before: dt.datetime, now: dt.datetime) -> int:
    deleted = 0
    while old := rows_of(_OLD, {"site": site.pk, "before": before, "purpose": purpose, "batch": BATCH}):
        subjects, ids, moments = (list(column) for column in zip(*old, strict=True))
        values = {"purpose": purpose, "subjects": subjects, "ids": ids, "moments": moments}
        with transaction.atomic():
            lock(subjects)
            rows = rows_of(_UNSTAMP, values)
            if gone := [row[:3] for row in rows if row[3]]:
                with connection.cursor() as cursor:
                    cursor.execute(_DELETE, [list(column) for column in zip(*gone, strict=True)])
            if purpose == PURPOSE:
                work_out_again({row[0] for row in rows}, site, now)
        deleted += len(gone)
    return deleted


_OF_NAME = """
SELECT DISTINCT subject_key FROM personalization_event
WHERE site_id = %(site)s AND name = %(name)s AND happened_at < %(before)s
"""
_EXPIRE_NAME = """
DELETE FROM personalization_event
WHERE site_id = %(site)s AND name = %(name)s AND happened_at < %(before)s AND subject_key = ANY(%(subjects)s::uuid[])
RETURNING subject_key
"""


def _expire_name(site: Site, name: str, before: dt.datetime, now: dt.datetime) -> int:
    values = {"site": site.pk, "name": name, "before": before}
    with transaction.atomic():
        subjects = [row[0] for row in rows_of(_OF_NAME, values)]
        lock(subjects)
        rows = rows_of(_EXPIRE_NAME, values | {"subjects": subjects})
        work_out_again({row[0] for row in rows}, site, now)
    return len(rows)


def work_out_again(subjects: Iterable[uuid.UUID], site: Site, now: dt.datetime) -> None:
    """Build the computed features anew from the events that are left, and let behaviour and segments follow."""
    rows = list(Profile.objects.select_for_update().filter(pk__in=list(subjects)).order_by("pk"))
    new, _ = unfolded({profile.pk: profile.folded_id for profile in rows})
    count_sales(site.pk, [event for events in new.values() for event in events])
    left, last = unfolded({profile.pk: 0 for profile in rows})
    for profile in rows:
        set_features(profile, fold(Features(), left.get(profile.pk, ())))
        profile.folded_id = max(profile.folded_id, last.get(profile.pk, 0))
    Profile.objects.bulk_update(
        rows,
        ["orders", "revenue", "first_order_at", "last_order_at", "categories", "features", "folded_id"],
        batch_size=500,
    )
    touch([profile.pk for profile in rows], site_id=site.pk, now=now)
