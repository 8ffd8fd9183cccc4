"""Health, errors without a view, and the admin's own content security policy."""

import sys
from typing import Any

from csp.decorators import csp_replace
from django.conf import settings
from django.contrib import admin
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from config.errors import DATABASE_AWAY, Away
from consent.hot_store import Unavailable, hot_store


def _shared_policy() -> Any:
    return csp_replace(settings.ADMIN_CONTENT_SECURITY_POLICY)


def admin_with_own_policy() -> None:
    """Let every page of the admin answer with the admin's policy."""
    admin.site.admin_view = _with_policy(admin.site.admin_view)  # type: ignore[method-assign]
    admin.site.login = _shared_policy()(admin.site.login)  # type: ignore[method-assign]


def _with_policy(admin_view: Any) -> Any:
    def wrapped(view: Any, cacheable: bool = False) -> Any:
        return _shared_policy()(admin_view(view, cacheable))

    return wrapped


@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """Say that the process is alive; asks nobody."""
    return JsonResponse({"status": "alive"})


@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether pages can be served, and what is degraded: 503 only while PostgreSQL is away."""
    parts = {"postgresql": _database_answers(), "redis": _redis_answers()}
    degraded = [name for name, works in parts.items() if not works]
    status = 200 if parts["postgresql"] else 503
    return JsonResponse(
        {"status": "ready" if status == 200 else "unavailable", "degraded": degraded}, status=status
    )


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return True
    except DatabaseError:
        return False


def _redis_answers() -> bool:
    try:
        return hot_store().ping()
    except Unavailable:
        return False


def _error(request: HttpRequest, status: int, code: str, sentence: str) -> HttpResponse:
    wants_page = "text/html" in request.headers.get("Accept", "") and not request.path.startswith(
        ("/api/", "/v1/")
    )
    if wants_page:
        return render(request, "error.html", {"status": status, "sentence": sentence}, status=status)
    kind = "client_error" if status < 500 else "server_error"
    return JsonResponse(
        {"type": kind, "errors": [{"code": code, "detail": sentence, "attr": None}]}, status=status
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error(request, 404, "not_found", "There is nothing at this address.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error(request, 403, "permission_denied", "You may not see this. Somebody else's login may.")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error(request, 400, "bad_request", "This request cannot be read.")


def broken(request: HttpRequest) -> HttpResponse:
    """Answer what raised: 503 and when to come back while PostgreSQL is away, else 500."""
    if isinstance(sys.exc_info()[1], DATABASE_AWAY):  # Django calls this while it handles the exception
        response = _error(request, Away.status_code, Away.default_code, Away.default_detail)
        response.headers["Retry-After"] = str(Away.wait)
        return response
    return _error(request, 500, "error", "Something went wrong on our side.")


admin_with_own_policy()
