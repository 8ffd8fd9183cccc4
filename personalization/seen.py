"""That somebody saw a placement, told by the snippet: for sites that count caps by what was seen, not by what was sent.

In: messages that were kept. Out: an exposure for each `Placement Seen` of a variant with a cap, as the published page
declares it; what a page sent is remembered without counting, so that intervals go on working.
"""

from collections.abc import Iterable
from typing import Final

from cms.models import Site
from cms.paths import normalise
from personalization import exposures
from personalization.exposures import Line
from personalization.ingest.pipeline import Accepted
from personalization.plans import plan_store

SEEN: Final = "Placement Seen"


def note_seen(kept: Iterable[Accepted], *, site_id: int) -> int:
    """Count what was seen; return how many exposures there were."""
    seen = [one for one in kept if one.message.name == SEEN and exposures.PURPOSE in one.purposes]
    if not seen or not Site.objects.filter(pk=site_id, counts_when_seen=True).exists():
        return 0
    noted = 0
    for one in seen:
        line = _line(one)
        if line is not None:
            exposures.remember(one.subject, [line], at=one.message.happened_at)
            noted += 1
    return noted


def _line(one: Accepted) -> Line | None:
    """Return what to remember of one sight; None when the page has no such variant, or nothing counts it."""
    told = one.message.properties
    path, placement, variant = (str(told.get(name, "")) for name in ("path", "placement", "variant"))
    site = plan_store.known_site()
    plan = plan_store.find(site, normalise(path), site.locales[0], now=one.message.happened_at.timestamp())
    if plan is None:
        return None
    limits = [
        shown.limits
        for known in plan.placements
        if known.key == placement
        for shown in known.variants
        if shown.key == variant and shown.limits
    ]
    return (
        Line(f"{plan.path} {placement}", variant, tuple(one.counter for one in limits[0])) if limits else None
    )
