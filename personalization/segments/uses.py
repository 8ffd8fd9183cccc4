"""Where a segment is used, so that one which pages or other segments still name cannot be deleted.

In: a site and a segment's key. Out: sentences for people, one per place. Working copies and published pages count:
a rule that names a segment which is gone would be decided as if nobody were in it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cms.language.nodes import Did, RuleError, Sequence, reads
from cms.language.parse import parse
from cms.models import Page, PageTemplate, Site, Variant
from personalization.models import Segment


def uses_of(site: Site, key: str) -> list[str]:
    """Return where rules of the site name the segment."""
    return list(dict.fromkeys([*_in_drafts(site, key), *_in_published(site, key), *_in_segments(site, key)]))


def _in_segments(site: Site, key: str) -> Iterator[str]:
    for segment in segments_that_name(site, key):
        yield f"the segment {segment.title}"


def _in_drafts(site: Site, key: str) -> Iterator[str]:
    variants = Variant.objects.filter(placement__page__site=site, rule__isnull=False)
    for variant in variants.select_related("placement__page"):
        if names(variant.rule, key):
            yield f"{variant.placement.page.path}: placement {variant.placement.key}, variant {variant.key}"
    templates = PageTemplate.objects.filter(page__site=site, rule__isnull=False)
    for row in templates.select_related("page", "template"):
        if names(row.rule, key):
            yield f"{row.page.path}: template {row.template.key}"


def _in_published(site: Site, key: str) -> Iterator[str]:
    for page in Page.objects.filter(site=site, published__isnull=False).select_related("published"):
        content = page.published.content if page.published else {}
        if any(names(rule, key) for rule in rules_in(content)):
            yield f"{page.path}: the published page"


def rules_in(content: Mapping[str, Any]) -> Iterable[Any]:
    """Return every rule of a page's content."""
    placements = [p for listed in content.get("slots", {}).values() for p in listed]
    return [v.get("when") for p in placements for v in p["variants"]] + [
        t.get("when") for t in content.get("templates") or ()
    ]


def names(rule: Any, key: str) -> bool:
    """Say whether a rule names the segment."""
    if not rule:
        return False
    try:
        return key in reads(parse(rule)).segments
    except RuleError:
        return False  # a rule that cannot be read names nothing


def segments_that_ask(site: Site, event: str) -> list[Segment]:
    """Return the segments whose rule or score asks for an event by its name."""
    return [one for one in Segment.objects.filter(site=site) if event in _events_of(one)]


def _events_of(segment: Segment) -> set[str]:
    points = segment.score.get("points", ()) if segment.kind == Segment.Kind.SCORE else ()
    found = {entry["event"] for entry in points if "event" in entry}
    for rule in (segment.rule, *(entry.get("when") for entry in points)):
        for asked in _behaviours(rule):
            found |= {asked.event} if isinstance(asked, Did) else {step.event for step in asked.steps}
    return found


def _behaviours(rule: Any) -> Iterable[Did | Sequence]:
    try:
        return reads(parse(rule)).behaviours if rule else ()
    except RuleError:
        return ()  # a rule that cannot be read asks for nothing


def segments_that_name(site: Site, key: str) -> list[Segment]:
    """Return the segments whose rule or score names a segment."""
    return [
        one
        for one in Segment.objects.filter(site=site).exclude(key=key)
        if names(one.rule, key) or any(names(entry.get("when"), key) for entry in one.score.get("points", ()))
    ]
