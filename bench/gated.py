"""The product's page with its gates forced open, as a WSGI application of its own.

Everything else is the product's: what differs between the two servers is what reading and checking consent costs.
"""

import uuid

from config.wsgi import application
from consent.gates import Gates
from consent.hot_store import hot_store
from personalization import visitors
from personalization.plans import EPOCH_KEY
from personalization.profiles import snapshot_key
from personalization.visitor import Visitor, decode

__all__ = ["application"]
OPEN = Gates(frozenset({"analytics", "personalization", "profiling", "marketing", "third_party"}), 1)


def load(visitor_id: uuid.UUID | None, *, now: float = 0.0) -> visitors.Record:
    """Return who asks as somebody who allowed everything, without asking whether they did."""
    if visitor_id is None:
        return gated(None, now=now)
    epoch, snapshot = hot_store().read([EPOCH_KEY, snapshot_key(visitor_id)])
    assert snapshot is not None, "the benchmark's visitors have a snapshot"
    return visitors.Record(Visitor(visitor_id, OPEN, decode(snapshot)), int(epoch or 0) or None)


gated = visitors.load
visitors.load = load
