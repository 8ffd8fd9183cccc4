"""The purposes that something reads today: pages, segments and traits, doors for events, and whoever is told.

Registered with `consent/readers.py`, so that a notice asks for these and for nothing else.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from cms.models import Plan, Site
from personalization.models import ApiKey, EventType, Segment, Trait, WebhookEndpoint
from personalization.triggers import triggers

PAGES: Final = "personalization"
# what people did is shown to the office, and worked into what pages read
EVENTS: Final = ("analytics", PAGES)
_PERSONAL: Final = (
    r"(user\.|features\.|here\.|scores\.|tessera-product|cap\": \{|min_interval\": \"|\"rotation\": \{)"
)


def purposes_of_pages(site_id: int) -> Iterator[str]:
    """Yield what published pages read: of somebody, beside what their segments and traits name."""
    epoch = Site.objects.filter(pk=site_id).values_list("epoch", flat=True).first() or 0
    if _any_is_personal(site_id, epoch):
        yield PAGES


@lru_cache(maxsize=16)
def _any_is_personal(site_id: int, epoch: int) -> bool:
    plans = Plan.objects.filter(page__site=site_id, active=True)
    return plans.filter(program__iregex=_PERSONAL).exists()


def purposes_of_facts(site_id: int) -> Iterator[str]:
    """Yield what segments are worked out from, and what declared traits are kept for."""
    for purposes in Segment.objects.filter(site=site_id).values_list("purposes", flat=True):
        yield from purposes
    for trait in Trait.objects.filter(site=site_id).only("purpose").distinct("purpose").order_by("purpose"):
        yield from trait.purposes


def purposes_of_events(site_id: int) -> Iterator[str]:
    """Yield what events are kept for: where a door is open for them, or where the catalogue names purposes."""
    if ApiKey.objects.filter(site=site_id, scopes__contains=["ingest"], revoked=False).exists():
        yield from EVENTS
    for purposes in EventType.objects.filter(site=site_id, declared=True).values_list("purposes", flat=True):
        yield from purposes


def recipients_of_tellings(site_id: int) -> Iterator[tuple[str, str]]:
    """Yield who is told of segments entered and left, by the purpose that allows it."""
    yield from WebhookEndpoint.objects.filter(site=site_id, active=True).values_list("purpose", "title")


def purposes_of_tellings(site_id: int) -> Iterator[str]:
    """Yield what others are told for: active endpoints, and code that is called."""
    yield from WebhookEndpoint.objects.filter(site=site_id, active=True).values_list("purpose", flat=True)
    for trigger in triggers():
        yield from trigger.purposes
