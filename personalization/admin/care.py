"""How a segment fares: its size over time, what lies around it, where it is used, and whom it shares with others.

In: a segment. Out: parts of its page. Sizes under fifty are drawn as none, and an overlap of few is a phrase.
"""

import datetime as dt
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from cms.admin.charts import line_chart
from cms.admin.notes import badge
from personalization.models import Segment, SegmentSize
from personalization.segments.reach import overlap_of
from personalization.segments.uses import segments_that_name, uses_of
from personalization.small_groups import SMALL

SHOWN: Final = dt.timedelta(days=90)
STALE: Final = dt.timedelta(hours=48)
COMPARED: Final = 25  # segments that one page compares with


def size_curve(segment: Segment) -> SafeString:
    """Draw the size of the last ninety days against the minimum."""
    rows = SegmentSize.objects.filter(segment=segment, at__gt=timezone.now() - SHOWN).order_by("at")
    points = [(f"{row.at:%-d %b, %H:%M}", row.size if row.size >= SMALL else 0) for row in rows]
    mark = segment.min_size or None
    return line_chart(points, title=f"People in {segment}", mark=mark, mark_title=f"It opens at {mark}")


def lineage(segment: Segment) -> SafeString:
    """Return what a segment lies in, what lies in it, who excludes it, and who names it, as links."""
    site = segment.site
    tiers = (
        Segment.objects.filter(site=site, tiers=segment.tiers).exclude(pk=segment.pk) if segment.tiers else ()
    )
    parts = (
        ("Lies in", [segment.parent] if segment.parent else []),
        ("Holds", segment.children.all()),
        (f"Tiers “{segment.tiers}”", tiers),
        ("Named by", segments_that_name(site, segment.key)),
    )
    rows = ((name, _links(found)) for name, found in parts if found)
    listed = format_html_join("", "<dt>{}</dt><dd>{}</dd>", rows)
    return format_html('<dl class="facts">{}</dl>', listed) if listed else format_html("{}", "Stands alone.")


def _links(segments: Any) -> SafeString:
    found = ((reverse("admin:personalization_segment_change", args=[s.pk]), s.title) for s in segments)
    return format_html_join(", ", '<a class="quiet-link" href="{}">{}</a>', found)


def used_in(segment: Segment) -> SafeString:
    """Return the places that name a segment."""
    places = uses_of(segment.site, segment.key)
    if not places:
        return format_html("{}", "Nowhere yet.")
    return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", ((place,) for place in places)))


def signs(segment: Segment, *, now: dt.datetime) -> SafeString:
    """Return what deserves a look: nobody in it, not counted for long."""
    found = []
    if segment.size == 0:
        found.append(badge("nobody in it", "open"))
    counted = bool(segment.purposes) and segment.kind != Segment.Kind.LIST
    if counted and (segment.refreshed_at is None or now - segment.refreshed_at > STALE):
        found.append(badge("not counted for two days", "open"))
    return format_html_join(" ", "{}", ((one,) for one in found)) if found else format_html("{}", "–")


def overlaps_view(admin_site: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Show how many people a segment shares with each of the others."""
    segment = get_object_or_404(Segment, pk=pk)
    others = [one for one in Segment.objects.filter(site=segment.site).exclude(pk=pk) if _is_counted(one)]
    rows = [(one, overlap_of(segment, one).text) for one in others[:COMPARED]] if _is_counted(segment) else []
    shown = {
        **admin_site.each_context(request),
        "title": f"{segment}: people shared with others",
        "segment": segment,
        "rows": rows,
        "left_out": max(0, len(others) - COMPARED),
        "counted": _is_counted(segment),
        "opts": Segment._meta,
    }
    return render(request, "admin/personalization/overlaps.html", shown)


def _is_counted(segment: Segment) -> bool:
    return bool(segment.purposes) or segment.kind == Segment.Kind.LIST
