"""People, events and segments in rows. A profile knows only the opaque subject key."""

from personalization.models.events import (
    DeadLetter,
    Event,
    EventCount,
    EventSeen,
    EventType,
    Exposure,
)
from personalization.models.keys import ApiKey
from personalization.models.people import ItemSales, Profile, Touched
from personalization.models.segments import (
    Attribute,
    Directory,
    Membership,
    Segment,
    SegmentChange,
    SegmentRun,
    SegmentSize,
    Trait,
)
from personalization.models.webhooks import TriggerRun, WebhookDelivery, WebhookEndpoint

__all__ = [
    "ApiKey",
    "Attribute",
    "DeadLetter",
    "Directory",
    "Event",
    "EventCount",
    "EventSeen",
    "EventType",
    "Exposure",
    "ItemSales",
    "Membership",
    "Profile",
    "Segment",
    "SegmentChange",
    "SegmentRun",
    "SegmentSize",
    "Touched",
    "Trait",
    "TriggerRun",
    "WebhookDelivery",
    "WebhookEndpoint",
]
