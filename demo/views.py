"""The storefront at `/`, and the persona switcher, which exists only while the demo is loaded."""

import uuid

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST, require_safe

from consent.api.asking import (
    fresh_token,
    same_origin,
    set_refusal_cookie,
    set_visitor_cookie,
    subject_of,
)
from consent.purposes import current_notice
from demo.state import Demo, loaded, personas
from personalization.api import pages


def _demo() -> Demo:
    demo = loaded()
    if demo is None:
        raise Http404
    return demo


@require_safe
def storefront(request: HttpRequest, path: str = "") -> HttpResponse:
    """Show a published page as HTML, through the same delivery as every frontend."""
    if loaded() is None:
        if path:
            raise Http404
        return render(request, "demo/welcome.html")
    response = pages.page_as_html(request, path)
    if response.status_code == 404:
        raise Http404
    return response


@never_cache
@require_GET
def toolbar(request: HttpRequest) -> HttpResponse:
    """Tell the storefront's script which personas there are and who one is now."""
    demo = _demo()
    visitor = subject_of(request)
    current = next(
        (key for key, one in demo.personas.items() if one and visitor and uuid.UUID(one) == visitor), None
    )
    if current is None and settings.CONSENT_COOKIE in request.COOKIES:
        current = next((key for key, one in demo.personas.items() if one is None), None)
    shown = [{name: p[name] for name in ("key", "title", "description")} for p in personas()]
    return JsonResponse({"personas": shown, "current": current, "write_key": demo.write_key})


@csrf_exempt  # a token's cookie would be the one thing that tells two browsers apart: the origin is the proof
@require_POST
def become(request: HttpRequest) -> HttpResponse:
    """Become a persona, or nobody."""
    demo = _demo()
    if not same_origin(request):
        raise PermissionDenied
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}
    ) or not target.startswith("/"):
        target = "/"
    response = HttpResponseRedirect(target)
    key = request.POST.get("persona", "")
    if key not in demo.personas:
        response.delete_cookie(settings.VISITOR_COOKIE, samesite="Lax")
        response.delete_cookie(settings.CONSENT_COOKIE, samesite="Lax")
        return response
    visitor = demo.personas[key]
    if visitor is None:
        response.delete_cookie(settings.VISITOR_COOKIE, samesite="Lax")
        set_refusal_cookie(response, request, current_notice(1, now=timezone.now()).n)
    else:
        set_visitor_cookie(response, request, fresh_token(uuid.UUID(visitor)))
    return response
