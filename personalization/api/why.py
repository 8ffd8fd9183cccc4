"""`/api/v1/privacy/why` and `/privacy/why/`: why somebody sees what they see at a path, as data and as a page.

Both decide the page once more for whoever asks and tell of it; nothing is counted and nothing is kept. A bad token is
nobody.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.http import require_safe
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import APIException, NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent.models import Purpose
from personalization.api.pages import PRIVATE, allowed_key, asked_by, why_address
from personalization.assemble import Decision
from personalization.delivery import deliver
from personalization.handles import SEGMENT, handle_of
from personalization.models import Trait
from personalization.plans import plan_store
from personalization.visitor import BEHAVIOUR
from personalization.why import Words, why

MAX_PATH: Final = 500


class PurposeTitle(serializers.Serializer[Any]):
    key = serializers.CharField()
    title = serializers.CharField()


class GroupTitle(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()


class Switch(serializers.Serializer[Any]):
    segment = serializers.CharField(required=False)
    fact = serializers.CharField(required=False)


class TitledSwitch(Switch):
    title = serializers.CharField()


class ToldAnswer(serializers.Serializer[Any]):
    title = serializers.CharField()
    personal = serializers.BooleanField(help_text="Whether anything about the visitor was used.")
    lines = serializers.ListField(
        child=serializers.CharField(),
        min_length=2,
        max_length=2,
        help_text="What it is about, and how to switch it off.",
    )
    facts = serializers.ListField(
        child=serializers.CharField(), help_text="What is known about the visitor and decided, in words."
    )
    segment = GroupTitle(allow_null=True)
    off = Switch(allow_null=True, help_text="What to take out of use first: a segment or a fact.")
    switches = TitledSwitch(many=True, help_text="Everything that must be out of use for this to end.")


class PlacementTold(ToldAnswer):
    placement = serializers.CharField()
    shown = serializers.BooleanField(help_text="False where something is left out for this visitor.")


class WhyAnswer(serializers.Serializer[Any]):
    path = serializers.CharField()
    locale = serializers.CharField()
    used = serializers.BooleanField()
    summary = serializers.CharField()
    purposes = PurposeTitle(many=True)
    layout = ToldAnswer(allow_null=True)
    placements = PlacementTold(many=True)


class WhyView(APIView):
    @extend_schema(
        responses=WhyAnswer,
        parameters=[
            OpenApiParameter("path", str, description="The page's path; the home page without it."),
            OpenApiParameter(
                "locale", str, description="A locale of the site; else the browser's first choice."
            ),
            OpenApiParameter("X-Visitor", str, OpenApiParameter.HEADER),
            OpenApiParameter("Sec-GPC", str, OpenApiParameter.HEADER),
        ],
        summary="Why this visitor sees what they see, in plain words",
        tags=["privacy"],
    )
    def get(self, request: Request) -> Response:
        decision = _decided(request._request)
        if decision is None:
            raise NotFound("No page is published here.")
        return Response(told(decision), headers={"Cache-Control": PRIVATE})


@require_safe
def why_page(request: HttpRequest) -> HttpResponse:
    """Show the same as a page, with a form for everything that can be switched off."""
    try:
        decision = _decided(request)
    except APIException as error:
        return HttpResponse(str(error.detail), status=error.status_code, content_type="text/plain")
    if decision is None:
        raise Http404
    with translation.override(decision.plan.locale):
        answer = told(decision)
        parts = list(_with_forms(answer))
        context = {
            "why": answer,
            "personal": [part for part in parts if part["personal"]],
            "other": [part for part in parts if not part["personal"]],
            "next": why_address(decision.plan.path, request.GET.get("locale")),
            "languages": _languages(decision),
        }
        response = render(request, "consent/why.html", context)
    response.headers["Cache-Control"] = PRIVATE
    return response


def _languages(decision: Decision) -> list[tuple[str, str, str]]:
    """Return code, name and address of the languages that both the page and its reasons can be read in."""
    known, path = plan_store.known_site().locales, decision.plan.path
    return [(code, name, why_address(path, code)) for code, name in settings.LANGUAGES if code in known]


def _decided(request: HttpRequest) -> Decision | None:
    """Decide the page that is asked about, as it would be delivered; None when nothing is published there."""
    path = request.GET.get("path") or "/"
    if "\x00" in path or len(path) > MAX_PATH:
        return None
    asked, _ = asked_by(request, path, allowed_key(request))
    return deliver(asked)


def told(decision: Decision) -> dict[str, Any]:
    """Put a decision into words of its locale."""
    site, locale = plan_store.known_site(), decision.plan.locale
    language = locale.split("-")[0]
    titles = dict(Purpose.objects.filter(site_id=site.id).values_list("key", "title"))
    with translation.override(locale):
        words = Words(
            translate=translation.gettext,
            language=language,
            handle=handle_of,
            labels=dict(Trait.objects.filter(site=site.id).values_list("key", "label")),
            purposes={key: title.get(language) or title.get("en") or "" for key, title in titles.items()},
        )
        return why(decision, words)


def _with_forms(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what is told of layout and placements, each with the fields of its forms."""
    for part in (*([answer["layout"]] if answer["layout"] else []), *answer["placements"]):
        yield part | {"forms": [_form(switch) for switch in part["switches"]]}


def _form(switch: Mapping[str, str]) -> dict[str, str]:
    """Return which holder takes something out of use, and under which name."""
    if "segment" in switch:
        return {
            "holder": "memberships",
            "name": SEGMENT + switch["segment"],
            "title": switch["title"],
        }
    holder = "events" if switch["fact"] == BEHAVIOUR else "profile"
    return {"holder": holder, "name": switch["fact"], "title": switch["title"]}
