"""Visitor tokens: `v1.ID.ISSUED.MAC`, signed, 13 months.

In: a token from a header or a cookie. Out: the visitor's id, or None: a bad or expired token is nobody.
"""

import datetime as dt
import uuid
from functools import lru_cache

from django.conf import settings
from django.core.signing import BadSignature, Signer


def _signer() -> Signer:
    return Signer(salt="tessera.visitor", sep=".")


def make_token(visitor_id: uuid.UUID, *, now: dt.datetime) -> str:
    """Return a token for the visitor, issued now."""
    return _signer().sign(f"v1.{visitor_id.hex}.{int(now.timestamp())}")


@lru_cache(maxsize=20_000)
def _verified(token: str) -> tuple[uuid.UUID, int] | None:
    if len(token) > 200:
        return None
    try:
        version, visitor, issued = _signer().unsign(token).split(".")
        return (uuid.UUID(hex=visitor), int(issued)) if version == "v1" else None
    except (BadSignature, ValueError):
        return None


def read_token(token: str, *, now: float) -> uuid.UUID | None:
    """Return whose token it is; None for anything that is not a valid one. `now` is a Unix time."""
    found = _verified(token)
    if found is None or not 0 <= now - found[1] + 60 <= settings.VISITOR_MAX_AGE_SECONDS:
        return None
    return found[0]
