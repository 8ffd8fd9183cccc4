"""`/privacy/`: each purpose on or off, a plain form, no script."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from rest_framework.exceptions import APIException

from consent.api.asking import (
    fresh_token,
    limit,
    sends_gpc,
    set_refusal_cookie,
    set_visitor_cookie,
    subject_of,
    unset_state,
)
from consent.decisions import How, decide, history_of, states_of
from consent.models import ConsentState
from consent.purposes import asked_for, current_notice, spelled_notice

SITE_ID = 1


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def privacy(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _changed(request)
    now = timezone.now()
    visitor = subject_of(request)
    row = ConsentState.objects.filter(subject_id=visitor).first() if visitor else None
    current = current_notice(SITE_ID, now=now)
    notice = spelled_notice(current, request.LANGUAGE_CODE)
    states = states_of(row, now=now, unset="unset" if row else unset_state(request, current.n))
    context: dict[str, Any] = {
        "notice": notice,
        "purposes": [p | {"state": states.get(p["key"], "unset")} for p in notice["purposes"]],
        "gpc": sends_gpc(request) or bool(row and row.gpc),
        "known": row is not None,
        "saved": "saved" in request.GET,
        "history": history_of(row.subject_id)[:20] if row else [],
    }
    return render(request, "consent/privacy.html", context)


def _changed(request: HttpRequest) -> HttpResponse:
    """Record what the form says; Django's CSRF token proves that it is ours."""
    try:
        limit(request, "consent")
    except APIException as error:
        return HttpResponse(str(error.detail), status=429, headers={"Retry-After": "1"})
    now = timezone.now()
    answers = {p.key: _answer(request, p.key) for p in asked_for(SITE_ID) if not p.required}
    choices = {key: wanted for key, wanted in answers.items() if wanted is not None}
    notice = current_notice(SITE_ID, now=now)
    if request.POST.get("notice") != str(notice.n):
        return render(request, "consent/superseded.html", status=409)
    how = How(
        method="privacy_page",
        gpc=sends_gpc(request),
        notice=str(notice.n),
        served_id="form",
        site_id=SITE_ID,
        payload={"language": spelled_notice(notice, request.LANGUAGE_CODE)["locale"]},
    )
    decision = decide(subject_of(request), choices, how=how, now=now)
    response = HttpResponseRedirect(f"{request.path}?saved#saved")
    if decision.subject_id:
        set_visitor_cookie(response, request, fresh_token(decision.subject_id))
    else:
        set_refusal_cookie(response, request, notice.n)
    return response


def _answer(request: HttpRequest, key: str) -> bool | None:
    everything = request.POST.get("all")
    if everything in ("yes", "no"):
        return everything == "yes"
    return {"yes": True, "no": False}.get(request.POST.get(key, ""))
