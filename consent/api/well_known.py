"""`/.well-known/`: the checkpoints that everybody may compare a receipt with, and that this site honours GPC.

In: a GET request of anybody, from any origin. Out: JSON that caches may keep for a minute; nothing in it is about a
person. A ledger can have a checkpoint for every minute, so they are read in pages, or from a number on.
"""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from consent.checkpoints import public_key, published_from

MOST: Final = 1000  # checkpoints of one answer, some 400 kB
GPC_SINCE: Final = "2026-11-27"  # since when, and as what is said there, Global Privacy Control is honoured


@require_safe
@cache_control(public=True, max_age=60)
def consent_ledger(request: HttpRequest) -> HttpResponse:
    """Answer with the key, at most `limit` published checkpoints from number `from` on, and where the next ones are."""
    try:
        start = _number(request, "from", default=1)
        limit = min(_number(request, "limit", default=MOST), MOST)
    except ValueError as error:
        return _refused(str(error))
    found = published_from(start, most=limit + 1)
    shown = found[:limit]
    following = _from(shown[-1]["n"] + 1, limit) if len(found) > limit else None
    return JsonResponse({"key": public_key(), "checkpoints": shown, "next": following})


@require_safe
@cache_control(public=True, max_age=60)
def gpc(request: HttpRequest) -> HttpResponse:
    """Answer as the W3C's Global Privacy Control asks a site that honours it to."""
    return JsonResponse({"gpc": True, "lastUpdate": GPC_SINCE})


def _number(request: HttpRequest, name: str, *, default: int) -> int:
    """Return a whole number above zero from the query; raises ValueError with the name of what is not one."""
    said = request.GET.get(name)
    if said is None:
        return default
    if not (said.isascii() and said.isdecimal() and len(said) < 16 and int(said) > 0):
        raise ValueError(name)
    return int(said)


def _from(n: int, limit: int) -> str:
    asked = f"?from={n}" if limit == MOST else f"?from={n}&limit={limit}"
    return reverse("consent-ledger") + asked


def _refused(attr: str) -> HttpResponse:
    problem: dict[str, Any] = {"code": "invalid", "detail": "Give a whole number above zero.", "attr": attr}
    return JsonResponse({"type": "validation_error", "errors": [problem]}, status=400)
