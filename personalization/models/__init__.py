"""People and segments in rows. A profile knows only the opaque subject key."""

from personalization.models.keys import ApiKey
from personalization.models.people import Event, ItemSales, Profile
from personalization.models.segments import Attribute, Directory, Membership, Segment, SegmentRun, Trait

__all__ = [
    "ApiKey",
    "Attribute",
    "Directory",
    "Event",
    "ItemSales",
    "Membership",
    "Profile",
    "Segment",
    "SegmentRun",
    "Trait",
]
