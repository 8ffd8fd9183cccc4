"""Keys: who may call what. A key is looked up once in ten seconds and process; a revoked one ends with that."""

import time
from collections import OrderedDict
from dataclasses import dataclass

from django.http import HttpRequest
from rest_framework.exceptions import NotAuthenticated, PermissionDenied

from personalization.models import ApiKey

CACHE_SECONDS = 10.0
_MAX_CACHED = 1_000
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
    if not text or len(text) > 200 or "." not in text:
        return None
    cached = _cache.get(text)
    if cached is not None and time.monotonic() - cached[0] < CACHE_SECONDS:
        return cached[1]
    row = ApiKey.objects.get_usable_keys().filter(prefix=text.partition(".")[0]).first()
    key = None
    if row is not None and row.is_valid(text) and not row.has_expired:
        key = Key(row.prefix, frozenset(row.scopes), row.site_id)
    _cache[text] = (time.monotonic(), key)
    if len(_cache) > _MAX_CACHED:
        _cache.popitem(last=False)
    return key


def key_of(request: HttpRequest) -> Key | None:
    """Return the key of `Authorization: Api-Key KEY`; raises NotAuthenticated for one that is not valid."""
    header = request.headers.get("Authorization", "")
    if not header.startswith("Api-Key "):
        return None
    key = find_key(header.removeprefix("Api-Key ").strip())
    if key is None:
        raise NotAuthenticated("The API key is not valid.")
    return key


def require(request: HttpRequest, scope: str) -> Key:
    """Return a key with the scope; raises NotAuthenticated without a key, PermissionDenied without the scope."""
    key = key_of(request)
    if key is None:
        raise NotAuthenticated("Send a key: Authorization: Api-Key KEY.")
    if scope not in key.scopes:
        raise PermissionDenied(f"This key does not have the scope '{scope}'.")
    return key
