"""Who is asking, read from a request: token, signals, origin, address.

In: an HTTP request. Out: plain values. Header before cookie; a bad token is nobody on reads and 401 on changes.
"""

import time
import uuid
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import APIException, PermissionDenied, Throttled

from consent.merging import survivor
from consent.rates import wait_seconds
from consent.tokens import make_token, read_token


class NotKnown(APIException):
    """Who asks must say who they are: 401. (DRF answers 403 to its own NotAuthenticated without an authenticator.)"""

    status_code = 401
    default_detail = "Say who you are."
    default_code = "not_authenticated"
    auth_header = "Api-Key"  # what the answer's WWW-Authenticate names


_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def visitor_of(request: HttpRequest) -> uuid.UUID | None:
    """Return the visitor who reads; a bad or expired token is nobody."""
    # META, as in all that runs for every page: `request.headers` copies all of them first
    token = request.META.get("HTTP_X_VISITOR") or request.COOKIES.get(settings.VISITOR_COOKIE)
    return read_token(token, now=time.time()) if token else None


def subject_of(request: HttpRequest) -> uuid.UUID | None:
    """Return the subject that the visitor who reads is now; one SELECT, so not for pages."""
    visitor = visitor_of(request)
    return survivor(visitor) if visitor is not None else None


def jurisdiction_of(request: HttpRequest) -> str:
    """Return where a request comes from as far as a trusted proxy says: a country, and of the United States the state."""
    country = _trusted(request, settings.TRUSTED_COUNTRY_HEADER)
    region = _trusted(request, settings.TRUSTED_REGION_HEADER)
    return f"US-{region}" if country == "US" and region else country


def _trusted(request: HttpRequest, header: str) -> str:
    said = request.headers.get(header, "").strip().upper() if header else ""
    return said if len(said) <= 3 and said.isalpha() else ""


def visitor_who_changes(request: HttpRequest) -> uuid.UUID | None:
    """Return the visitor who changes something, or None for a first decision.

    Raises NotKnown for a bad token, PermissionDenied when a cookie or a foreign origin speaks for somebody.
    """
    header = request.headers.get("X-Visitor")
    if header:
        return _valid(header)
    cookie = request.COOKIES.get(settings.VISITOR_COOKIE)
    if cookie:
        if not same_origin(request):
            raise PermissionDenied(
                "Send the token in X-Visitor: a cookie alone changes nothing from another origin."
            )
        return _valid(cookie)
    foreign = "Origin" in request.headers or request.headers.get("Sec-Fetch-Site") == "cross-site"
    if foreign and not same_origin(request):
        raise PermissionDenied("This origin is not in the site's list.")
    return None


def _valid(token: str) -> uuid.UUID:
    visitor = read_token(token, now=time.time())
    if visitor is None:
        raise NotKnown("The visitor token is not valid.")
    return survivor(visitor)


def same_origin(request: HttpRequest) -> bool:
    """Say whether the request comes from the site itself or from an origin in its list."""
    fetch_site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if fetch_site == "same-origin":
        return True
    if not origin:
        return False
    if origin in settings.SITE_ORIGINS:
        return True
    if fetch_site == "cross-site":  # the browser knows better than a comparison of names
        return False
    return origin == f"{request.scheme}://{request.get_host()}" or _on_this_machine(
        origin, request.get_host()
    )


def _on_this_machine(origin: str, host: str) -> bool:
    """Say whether both are loopback: on one's own machine any port is at home, so that examples work."""
    try:
        there = urlsplit(origin).hostname
    except ValueError:
        return False
    return {there, host.rsplit(":", 1)[0].strip("[]")} <= _LOOPBACK


def sends_gpc(request: HttpRequest) -> bool:
    """Say whether Global Privacy Control is on: exactly `1`, once is enough (W3C GPC)."""
    signal = request.META.get("HTTP_SEC_GPC", "")
    return bool(signal) and any(value.strip() == "1" for value in signal.split(","))


def limit(request: HttpRequest, kind: str, who: str | None = None) -> None:
    """Raise Throttled when the address (or whoever is named) calls too often."""
    wait = wait_seconds(kind, who or request.META.get("REMOTE_ADDR", ""))
    if wait > 0:
        raise Throttled(wait=wait)


def set_visitor_cookie(response: HttpResponse, request: HttpRequest, token: str) -> None:
    """Let the browser keep the token, and forget that it refused everything."""
    response.set_cookie(
        settings.VISITOR_COOKIE,
        token,
        max_age=settings.VISITOR_MAX_AGE_SECONDS,
        httponly=True,
        samesite="Lax",
        secure=request.is_secure(),
    )
    response.delete_cookie(settings.CONSENT_COOKIE, samesite="Lax")


def set_refusal_cookie(response: HttpResponse, request: HttpRequest, version: int) -> None:
    """Let the browser remember a refusal: the same bytes for everyone."""
    response.set_cookie(
        settings.CONSENT_COOKIE,
        f"refused.{version}",
        max_age=settings.VISITOR_MAX_AGE_SECONDS,
        samesite="Lax",
        secure=request.is_secure(),
    )


def refused_version(request: HttpRequest) -> int | None:
    """Return the version of the notice that this browser remembers to have refused."""
    kept = request.COOKIES.get(settings.CONSENT_COOKIE, "")
    version = kept.removeprefix("refused.")
    return int(version) if kept != version and version.isdecimal() and len(version) < 9 else None


def unset_state(request: HttpRequest, version: int) -> str:
    """Return the state of what the ledger does not know: `refused` while the browser keeps its refusal of this notice."""
    return "refused" if request.COOKIES.get(settings.CONSENT_COOKIE) == f"refused.{version}" else "unset"


def fresh_token(visitor_id: uuid.UUID) -> str:
    """Return a token issued now."""
    import datetime as dt

    return make_token(visitor_id, now=dt.datetime.now(dt.UTC))
