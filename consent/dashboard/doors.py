"""Who may send a form of the dashboard: somebody on our own page, and nobody else.

A known visitor's form carries Django's CSRF token. Somebody unknown has nothing that could be abused, and gets no cookie
for it, because a token's cookie would be the one thing that tells two browsers apart: there the origin is the proof.
"""

from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import APIException

from consent.api.asking import limit, same_origin
from consent.rights import NobodyAsks

View = Callable[..., HttpResponse]


def page(view: View) -> View:
    """Show a page of the dashboard, in the language that its address names, else in the browser's."""

    @wraps(view)
    def answer(request: HttpRequest, *args: object, **named: object) -> HttpResponse:
        language = request.POST.get("lang") or request.GET.get("lang")
        if language in dict(settings.LANGUAGES):
            with translation.override(language):
                request.LANGUAGE_CODE = language
                return view(request, *args, **named)
        return view(request, *args, **named)

    return never_cache(answer)


def form(view: View, *, of_the_site: bool = False) -> View:
    """Take a form of the dashboard: a POST from one of our own pages, not too often.

    `of_the_site`: another page of the same site may send it, which cannot know our token. Its origin is the proof.
    """

    @wraps(view)
    def answer(request: HttpRequest, *args: object, **named: object) -> HttpResponse:
        if request.method != "POST":
            response = HttpResponse(status=405)
            response.headers["Allow"] = "POST"
            return response
        refusal = _refusal(request, of_the_site=of_the_site)
        if refusal is not None:
            return refusal
        try:
            limit(request, "consent")
        except APIException as error:
            return HttpResponse(str(error.detail), status=429, headers={"Retry-After": "1"})
        try:
            return view(request, *args, **named)
        except NobodyAsks:  # erased while they pressed a button
            return HttpResponseRedirect(f"{reverse('privacy')}?said=nobody#said")

    return csrf_exempt(page(answer))


def site_form(view: View) -> View:
    """Take a form that the site itself sends, from a page that is not ours."""
    return form(view, of_the_site=True)


def _refusal(request: HttpRequest, *, of_the_site: bool) -> HttpResponse | None:
    if getattr(request, "_dont_enforce_csrf_checks", False):
        return None
    if settings.VISITOR_COOKIE in request.COOKIES and not of_the_site:
        checked = CsrfViewMiddleware(lambda _: HttpResponse()).process_view(request, _strict, (), {})
        return None if checked is None else render(request, "consent/foreign.html", status=403)
    return None if same_origin(request) else render(request, "consent/foreign.html", status=403)


def _strict(request: HttpRequest) -> HttpResponse:
    return HttpResponse()
