"""How many people are in a segment: kept current with every change, and whether it may personalise by that.

In: changes of membership, or a full count. Out: `Segment.size` and `open`; an hourly row for the curve over time. A
segment opens at its minimum and closes under four fifths of it, so that it does not flap.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from django.db import connection
from django.db.models import Count, F, Q
from django.db.models.functions import Greatest

from cms.models import Site
from personalization.models import Membership, Segment, SegmentChange, SegmentSize
from personalization.segments.directory import is_exempt, rebuild

CLOSES_AT: Final = 0.8  # of the minimum: opens at 50, closes under 40
KEPT_SIZES: Final = dt.timedelta(days=400)


def opens(size: int, *, minimum: int, was_open: bool) -> bool:
    """Say whether a segment of this size personalises: from the minimum on, until it falls under four fifths of it."""
    return size >= minimum or (was_open and size >= minimum * CLOSES_AT)


def grow(site: Site, changes: Collection[SegmentChange]) -> None:
    """Add changes of membership to the sizes, in the caller's transaction; the rows are taken in order."""
    deltas: Counter[int] = Counter()
    for change in changes:
        deltas[change.segment_id] += 1 if change.entered else -1
    for pk in sorted(pk for pk, delta in deltas.items() if delta):
        size = Greatest(F("size") + deltas[pk], 0)
        Segment.objects.filter(pk=pk, size__isnull=False).update(size=size)


def settle(site: Site) -> bool:
    """Open and close segments by their sizes; return whether one did, which every page then knows at once."""
    flipped = []
    for segment in Segment.objects.filter(site=site, size__isnull=False):
        opened = opens(segment.size or 0, minimum=segment.min_size, was_open=segment.open)
        if opened != segment.open:
            Segment.objects.filter(pk=segment.pk).update(open=opened)
            flipped.append(segment)
    if any(not is_exempt(segment) for segment in flipped):
        rebuild(site)
    return bool(flipped)


def recount(site: Site, *, now: dt.datetime, counted: Mapping[int, int] | None = None) -> None:
    """Set every size from a full count, given or made here, then open and close by it."""
    sizes = {**(count_members(site) if counted is None else counted), **_on_lists(site)}
    for segment in Segment.objects.filter(site=site).filter(~Q(purposes=[]) | Q(kind=Segment.Kind.LIST)):
        Segment.objects.filter(pk=segment.pk).update(size=sizes.get(segment.pk, 0), refreshed_at=now)
    settle(site)
    note_sizes(site, now=now)


def count_members(site: Site) -> dict[int, int]:
    """Count the members of the stored segments in one pass."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s, count(*) FROM personalization_profile, unnest(segments) s WHERE site_id = %s GROUP BY s",
            [site.pk],
        )
        return dict(cursor.fetchall())


def _on_lists(site: Site) -> dict[int, int]:
    counted = Membership.objects.filter(segment__site=site).values("segment_id").annotate(n=Count("id"))
    return {row["segment_id"]: row["n"] for row in counted}


def note_sizes(site: Site, *, now: dt.datetime) -> int:
    """Keep this hour's sizes for the curve over time, and forget those of long ago."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    rows = [
        SegmentSize(segment=segment, at=hour, size=segment.size or 0)
        for segment in Segment.objects.filter(site=site, size__isnull=False)
    ]
    SegmentSize.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["segment", "at"], update_fields=["size"]
    )
    SegmentSize.objects.filter(segment__site=site, at__lt=now - KEPT_SIZES).delete()
    return len(rows)
