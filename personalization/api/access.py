"""Keys: who may call what. A key is looked up once in ten seconds and process; a revoked one ends with that."""

import re
import time
from collections import OrderedDict
from dataclasses import dataclass

from django.db import DatabaseError
from django.http import HttpRequest
from rest_framework.exceptions import PermissionDenied

from consent.api.asking import NotKnown
from personalization.models import ApiKey

CACHE_SECONDS = 10.0
_MAX_CACHED = 1_000
_KEY = re.compile(r"[!-~]{1,180}")  # anything else was never a key, and PostgreSQL refuses some of it
_cache: OrderedDict[str, tuple[float, "Key | None"]] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Key:
    prefix: str
    scopes: frozenset[str]
    site_id: int

    @property
    def secret(self) -> bool:
        """Whether what it sends can be trusted: a key that is not publishable."""
        return bool(self.scopes & {"manage", "privacy"})


def find_key(text: str) -> Key | None:
    """Return the key of this text; None when it is not one, was revoked or has expired."""
    if not _KEY.fullmatch(text):
        return None
    cached = _cache.get(text)
    if cached is not None and time.monotonic() - cached[0] < CACHE_SECONDS:
        return cached[1]
    try:
        key = _read_key(text)
    except DatabaseError:
        if cached is None:
            raise
        return cached[1]  # PostgreSQL is away: what was true before goes on being so
    _cache[text] = (time.monotonic(), key)
    if len(_cache) > _MAX_CACHED:
        _cache.popitem(last=False)
    return key


def _read_key(text: str) -> Key | None:
    row = ApiKey.objects.get_usable_keys().filter(prefix=text.partition(".")[0]).first()
    if row is None or not row.is_valid(text) or row.has_expired:
        return None
    return Key(row.prefix, frozenset(row.scopes), row.site_id)


def key_of(request: HttpRequest) -> Key | None:
    """Return the key of `Authorization: Api-Key KEY`; raises NotKnown for one that is not valid."""
    header = request.headers.get("Authorization", "")
    if not header.startswith("Api-Key "):
        return None
    key = find_key(header.removeprefix("Api-Key ").strip())
    if key is None:
        raise NotKnown("The API key is not valid.")
    return key


def require(request: HttpRequest, scope: str) -> Key:
    """Return a key with the scope; raises NotKnown without a key, PermissionDenied without the scope."""
    key = key_of(request)
    if key is None:
        raise NotKnown("Send a key: Authorization: Api-Key KEY.")
    if scope not in key.scopes:
        raise PermissionDenied(f"This key does not have the scope '{scope}'.")
    return key
