"""Where a segment is used, so that one which pages still name cannot be deleted.

In: a site and a segment's key. Out: sentences for people, one per place. Working copies and published pages count:
a rule that names a segment which is gone would be decided as if nobody were in it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cms.language.nodes import RuleError, reads
from cms.language.parse import parse
from cms.models import Page, PageTemplate, Site, Variant


def uses_of(site: Site, key: str) -> list[str]:
    """Return where rules of the site name the segment."""
    return list(dict.fromkeys([*_in_drafts(site, key), *_in_published(site, key)]))


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
