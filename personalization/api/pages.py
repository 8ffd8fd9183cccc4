"""`/api/v1/pages/` and `/api/v1/decide/`: plain Django views in front of `delivery.deliver`.

Each reads a request into `Asked`, delivers, and writes the answer with its cache headers.
"""

import datetime as dt
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import orjson
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from rest_framework.exceptions import APIException

from cms.paths import normalise
from cms.rendering import render_page
from consent.api.asking import visitor_of
from consent.api.signals import closed_by_signals
from consent.api.views import note_signal
from personalization import visitors
from personalization.api.access import Key, key_of, require
from personalization.api.context import context_of, parse_context
from personalization.api.guard import assert_scope
from personalization.assemble import Decision, body, page_values
from personalization.delivery import Asked, deliver
from personalization.exposures import note
from personalization.plans import negotiate, plan_store, sign
from personalization.split import WrongKey, choices_of, private_answer, public_body
from personalization.trace import trace_of
from personalization.used import used_at

log = logging.getLogger(__name__)
PRIVATE = "private, no-store"
PUBLIC_SECONDS = 60
JSON = "application/json"
HTML = "text/html; charset=utf-8"
WHY = "/privacy/why/"


def error_answer(status: int, code: str, detail: str, attr: str | None = None) -> HttpResponse:
    """Return an error in the API's one shape."""
    kind = "validation_error" if status == 400 else "client_error" if status < 500 else "server_error"
    answer = {"type": kind, "errors": [{"code": code, "detail": detail, "attr": attr}]}
    return HttpResponse(
        orjson.dumps(answer), status=status, content_type=JSON, headers={"Cache-Control": PRIVATE}
    )


def refused(error: APIException) -> HttpResponse:
    """Return a refusal that was raised as DRF's."""
    detail = error.detail
    attr = None
    if isinstance(detail, Mapping):
        attr, detail = next(iter(detail.items()))
    if isinstance(detail, list):
        detail = detail[0]
    code = getattr(detail, "code", error.default_code)
    return error_answer(error.status_code, str(code), str(detail), attr)


View = Callable[[HttpRequest, str], HttpResponse]


def door(view: View) -> View:
    """Turn refusals into the API's errors; only GET and HEAD are answered."""

    def answer(request: HttpRequest, path: str = "") -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            response = error_answer(405, "method_not_allowed", "Use GET.")
            response.headers["Allow"] = "GET, HEAD, OPTIONS"
            return response
        if "\x00" in path or len(path) > 500:
            return not_found()
        try:
            return view(request, path)
        except APIException as error:
            return refused(error)
        except DatabaseError:
            log.exception("nothing in memory and no database")
            response = error_answer(503, "unavailable", "The site cannot be read right now.")
            response.headers["Retry-After"] = "2"
            return response

    return answer


def not_found() -> HttpResponse:
    return error_answer(404, "not_found", "No page is published here.")


_NO_QUERY: Mapping[str, str] = {}


def _query(request: HttpRequest) -> Mapping[str, str]:
    """Return the query's parameters; most requests have none, and need none parsed."""
    return request.GET if request.META.get("QUERY_STRING") else _NO_QUERY


def asked_by(request: HttpRequest, path: str, key: Key | None) -> tuple[Asked, bool]:
    """Read a request; the second value says whether its context was stated with a key."""
    stated: Mapping[str, Any] = {}
    header = request.META.get("HTTP_X_CONTEXT")
    if header and key is not None and "deliver" in key.scopes:
        stated = parse_context(header)
    visitor = visitor_of(request)
    asked = Asked(
        path=path,
        locale=_query(request).get("locale"),
        accepted_languages=request.META.get("HTTP_ACCEPT_LANGUAGE", ""),
        visitor_id=visitor,
        closed_purposes=_closed(request),
        context=context_of(request, stated),
        now=time.time(),
    )
    return asked, bool(stated)


def _deliver(request: HttpRequest, asked: Asked) -> Decision | None:
    """Deliver, and keep a signal that the visitor's browser sends for the first time."""
    decision = deliver(asked)
    if decision is not None and decision.plan.counted:
        note(decision, counting=not plan_store.known_site().counts_when_seen)
    if asked.closed_purposes and decision is not None and not decision.visitor.gates.gpc:
        try:
            note_signal(request, decision.visitor.id)
        except DatabaseError:
            log.warning("a signal could not be kept: this request honours it all the same")
    return decision


def _closed(request: HttpRequest) -> frozenset[str]:
    """Return the purposes that signals of this request refuse; while the database is away, the strict reading."""
    try:
        return closed_by_signals(request, 1)
    except DatabaseError:
        return frozenset({"marketing", "third_party", "sensitive"})


def allowed_key(request: HttpRequest) -> Key | None:
    """Return the request's key; raises when the site demands one and there is none with `deliver`."""
    demanded = plan_store.known_site().requires_key
    try:
        key = key_of(request) if "HTTP_AUTHORIZATION" in request.META else None
    except DatabaseError:
        if demanded:
            raise
        log.warning("a key could not be read: what everybody may see is answered")
        return None
    if demanded and (key is None or "deliver" not in key.scopes):
        return require(request, "deliver")
    return key


@door
def page(request: HttpRequest, path: str = "") -> HttpResponse:
    if "decision" in _query(request):
        allowed_key(request)
        return _of_decision(request, path, request.GET["decision"])
    return _page(request, path, as_html=wants_html(request))


@door
def page_as_html(request: HttpRequest, path: str = "") -> HttpResponse:
    """Answer a page as HTML whatever is accepted: for storefronts that Django itself serves."""
    return _page(request, path, as_html=True)


def _page(request: HttpRequest, path: str, *, as_html: bool) -> HttpResponse:
    started = time.perf_counter()
    key = allowed_key(request)
    asked, stated = asked_by(request, path, key)
    decision = _deliver(request, asked)
    if decision is None:
        return not_found()
    explain = "explain" in _query(request)
    if explain and (key is None or "preview" not in key.scopes):
        return error_answer(
            403, "permission_denied", "explain needs a key with the scope 'preview'.", "explain"
        )
    if as_html:
        content, kind = html_of(decision).encode(), HTML
    else:
        content, kind = body(decision, trace_of(decision) if explain else None), JSON
    response = _answer(request, content, kind, decision, private=stated or explain)
    if settings.DEBUG or (key is not None and "preview" in key.scopes):
        response.headers["Server-Timing"] = f"deliver;dur={(time.perf_counter() - started) * 1000:.2f}"
    return response


def wants_html(request: HttpRequest) -> bool:
    """Say whether the client asks for HTML rather than JSON."""
    accept = request.META.get("HTTP_ACCEPT", "")
    return "text/html" in accept and "application/json" not in accept.split("text/html")[0]


def html_of(decision: Decision) -> str:
    """Return the page of a decision, rendered by its template."""
    values, slots = page_values(decision)
    layout = decision.plan.layouts[decision.layout]
    site = plan_store.known_site()
    types: Mapping[str, str] = decision.plan.program["types"]
    asked = any("why" in source for source in (layout.source, *types.values()))
    explained = _explained(decision) if asked and decision.plan.personal else {}
    for item in (item for listed in slots.values() for item in listed):
        item["why"] = explained.get(item["placement"], "")
    return render_page(
        values, slots, source=layout.source, types=types, site={"title": site.title, "locales": site.locales}
    )


def _explained(decision: Decision) -> dict[str, str]:
    """Return, for every placement that rests on something about the person, where they read why."""
    address = why_address(decision.plan.path, decision.plan.locale)
    return {
        placement.key: f"{address}#{placement.key}"
        for index, placement in enumerate(decision.plan.placements)
        if used_at(decision, index).personal
    }


def why_address(path: str, locale: str | None) -> str:
    """Return the address of the page that tells somebody why they see what they see at a path."""
    asked = f"?path={quote(path, safe='/')}"
    return f"{WHY}{asked}&locale={quote(locale)}" if locale else WHY + asked


def _answer(
    request: HttpRequest, content: bytes, kind: str, decision: Decision, *, private: bool
) -> HttpResponse:
    plan = decision.plan
    personal = plan.personal or private
    if personal:
        # no ETag and no tags: nobody but the reader keeps it, and nobody keeps it for long
        response = HttpResponse(content, content_type=kind, headers={"Cache-Control": PRIVATE})
        return assert_scope(response, personal=True)
    etag = f'"{hashlib.blake2s(content, digest_size=12).hexdigest()}"'
    headers = {
        "ETag": etag,
        "Cache-Control": _public(decision),
        "Vary": ", ".join(("Accept", "Accept-Encoding", *(() if "locale" in request.GET else ("Accept-Language",)), *_vary(plan.vary), *_demanded())),
        "Surrogate-Key": plan.tags,
    }  # fmt: skip
    if _matches(request.headers.get("If-None-Match", ""), etag):
        return HttpResponseNotModified(headers=headers)
    return HttpResponse(content, content_type=kind, headers=headers)


def _demanded() -> tuple[str, ...]:
    """Name the header that opens a site which demands a key: a shared cache must not open it to others."""
    return ("Authorization",) if plan_store.known_site().requires_key else ()


def _vary(names: tuple[str, ...]) -> list[str]:
    trusted = settings.TRUSTED_COUNTRY_HEADER
    named = [trusted if name == "X-Country" else name for name in names]
    return [name for name in named if name and name != "Accept-Language"]


def _public(decision: Decision) -> str:
    """Return the public lifetime: a minute, at most until the answer changes by itself."""
    seconds = PUBLIC_SECONDS
    until = decision.valid_until
    if until is not None:
        seconds = max(
            0, min(seconds, int((until - dt.datetime.fromtimestamp(decision.now, dt.UTC)).total_seconds()))
        )
    return f"public, max-age={seconds}, stale-while-revalidate={min(seconds, PUBLIC_SECONDS)}"


def _matches(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in [one.strip().removeprefix("W/") for one in header.split(",")]


def _of_decision(request: HttpRequest, path: str, key: str) -> HttpResponse:
    """Answer the public page of a decision key; a key that names nothing any more is not found."""
    now = time.time()
    site = plan_store.site(visitors.load(None, now=now).epoch)
    locale = negotiate(site, request.GET.get("locale"), request.headers.get("Accept-Language", ""))
    revision = key.partition(".")[0]
    if len(key) > 200 or not revision.isdecimal() or len(revision) > 9:
        return not_found()
    plan = plan_store.find(site, normalise(path), locale, now=now)
    if plan is None:
        return not_found()
    if plan.revision != int(revision):
        plan = plan_store.revision(site, normalise(path), locale, int(revision))
    try:
        layout, chosen = choices_of(plan, key, sign=sign, now=now) if plan else _no_key()
    except (WrongKey, ValueError):
        return not_found()
    assert plan is not None  # noqa: S101  # _no_key raised otherwise
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": ", ".join(("Accept", *_demanded())),
        "Surrogate-Key": plan.tags,
    }
    content = public_body(plan, layout, chosen, key)
    headers["ETag"] = f'"{hashlib.blake2s(content, digest_size=12).hexdigest()}"'
    if _matches(request.headers.get("If-None-Match", ""), headers["ETag"]):
        return HttpResponseNotModified(headers=headers)
    return HttpResponse(content, content_type=JSON, headers=headers)


def _no_key() -> Any:
    raise WrongKey


@door
def decide(request: HttpRequest, path: str = "") -> HttpResponse:
    asked, _ = asked_by(request, path, allowed_key(request))
    decision = _deliver(request, asked)
    if decision is None:
        return not_found()
    content = orjson.dumps(private_answer(decision))
    return assert_scope(
        HttpResponse(content, content_type=JSON, headers={"Cache-Control": PRIVATE}), personal=True
    )
