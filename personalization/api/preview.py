"""`POST /api/v1/preview`: any page as anyone, at any time, through the same resolver. Counts nowhere.

The body prescribes what a request would otherwise tell: the time, the context, traits, segments, consent, and forced
variants. The answer is a page's, and a trace of every variant in order.
"""

import datetime as dt
import zoneinfo
from collections.abc import Mapping
from typing import Any

import orjson
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cms.compiler import compile_page
from cms.errors import ContentError, errors_among
from cms.models import Page, Site
from cms.pages import content_of
from cms.paths import normalise
from cms.sources import load_sources
from consent.gates import Gates
from consent.models import Purpose
from personalization import facts
from personalization.api.access import require
from personalization.api.context import clock_facts, parse_context
from personalization.api.pages import PRIVATE, html_of, wants_html
from personalization.assemble import Decision, body, decide
from personalization.directory import Directory
from personalization.plan import BoundPlan, StoredPlan
from personalization.plans import SiteFacts, bind_stored, negotiate, plan_store, read_site, sign
from personalization.trace import trace_of
from personalization.visitor import NOTHING_DONE, Snapshot, Visitor


def _of_these_days(moment: dt.datetime) -> None:
    if not 1970 <= moment.year < 9000:  # near the calendar's ends no time zone can be applied any more
        raise serializers.ValidationError("Send a time of these days.", "invalid")


class PreviewBody(serializers.Serializer[Any]):
    path = serializers.CharField(max_length=500)
    locale = serializers.CharField(required=False, max_length=20)
    draft = serializers.BooleanField(required=False, default=False)
    now = serializers.DateTimeField(required=False, validators=[_of_these_days])
    context = serializers.DictField(required=False, default=dict)  # type: ignore[assignment]  # a declared field
    traits = serializers.DictField(required=False, default=dict)
    segments = serializers.JSONField(required=False, default=dict)
    consent = serializers.DictField(
        required=False, child=serializers.BooleanField(), allow_null=True, default=None
    )
    force = serializers.DictField(required=False, child=serializers.CharField(), default=dict)


class PreviewView(APIView):
    @extend_schema(
        request=PreviewBody, responses=OpenApiTypes.OBJECT, summary="A page as anyone, at any time"
    )
    def post(self, request: Request) -> HttpResponse | Response:
        require(request, "preview")
        if not isinstance(request.data, Mapping):
            raise ValidationError("Send a JSON object.", "invalid")
        unknown = request.data.keys() - PreviewBody().fields.keys()
        if unknown:
            raise ValidationError(dict.fromkeys(sorted(unknown), "There is no such field."), "unknown_field")
        asked = PreviewBody(data=request.data)
        asked.is_valid(raise_exception=True)
        decision = preview(asked.validated_data, now=timezone.now())
        if wants_html(request):
            return HttpResponse(html_of(decision), headers={"Cache-Control": PRIVATE})
        return HttpResponse(
            body(decision, trace_of(decision)),
            content_type="application/json",
            headers={"Cache-Control": PRIVATE},
        )


def preview(asked: Mapping[str, Any], *, now: dt.datetime) -> Decision:
    """Decide a page for the person and the moment that are prescribed; raises NotFound and ValidationError."""
    site = read_site()
    path = normalise(asked["path"])
    now = asked.get("now") or now
    locale = negotiate(site, asked.get("locale"), "")
    directory = plan_store.directory(site)
    plan = draft_plan(site, path, locale, directory, now=now) if asked.get("draft") else None
    plan = plan or plan_store.find(site, path, locale, now=now.timestamp())
    if plan is None:
        raise NotFound("There is no such page.")
    visitor = visitor_like(asked, directory)
    stated = parse_context(asked.get("context") or {})
    local = stated.get("time") or now.astimezone(zoneinfo.ZoneInfo(site.time_zone))
    context = {f"context.{name}": one for name, one in stated.items() if name != "time"} | clock_facts(local)
    context |= {"context.locale": locale, "context.path": path}
    known = facts.cut(
        plan.facts,
        plan.behaviours,
        visitor=visitor,
        context=context,
        now=local,
        here=plan.here,
    )
    forced = _forced(plan, asked.get("force") or {})
    return decide(
        plan,
        known,
        visitor=visitor,
        now=now.timestamp(),
        sign=sign,
        force=forced,
        segments=_segments(asked.get("segments"), visitor, directory),
    )


def draft_plan(
    site: SiteFacts, path: str, locale: str, directory: Directory, *, now: dt.datetime
) -> BoundPlan | None:
    """Compile the working copy of a page, through the same function as publishing."""
    page = Page.objects.filter(site=site.id, path=path).select_related("site").first()
    if page is None:
        return None
    content = content_of(page)
    sources = load_sources(Site.objects.get(pk=site.id), [content], draft=True)
    try:
        compiled = compile_page(content, sources=sources, locale=locale, lenient=True)
    except (KeyError, IndexError) as error:
        raise ValidationError({"draft": f"The draft is not complete: {error}."}, "incomplete") from error
    if not compiled.program["layouts"] or any(not p["variants"] for p in compiled.program["placements"]):
        raise ValidationError(
            {"draft": "The draft is not complete: a placement has no variant."}, "incomplete"
        )
    if errors := errors_among(compiled.problems):
        raise ValidationError({"draft": str(ContentError(errors))}, "incomplete")
    published_at = now.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return bind_stored(
        StoredPlan(0, 0, published_at, compiled.program, None, None), directory=directory, site=site
    )


def visitor_like(asked: Mapping[str, Any], directory: Directory) -> Visitor:
    """Return a visitor as prescribed; without a word about consent, everything that is prescribed is allowed."""
    consent = asked.get("consent")
    if consent is None:
        named = bool(asked.get("traits") or asked.get("segments"))
        granted = frozenset(Purpose.objects.values_list("key", flat=True)) if named else frozenset()
    else:
        granted = frozenset(purpose for purpose, given in consent.items() if given)
    stated = asked.get("traits") or {}
    traits = {**NOTHING_DONE, **stated}
    unknown = [name for name in stated if directory.vocabulary.find(name) is None]
    if unknown:
        raise ValidationError(
            {f"traits.{name}": "There is no such trait." for name in unknown}, "unknown_trait"
        )
    return Visitor(None, Gates(granted, 0), Snapshot(0, traits))


def _segments(asked: Any, visitor: Visitor, directory: Directory) -> dict[str, bool]:
    """Return the segments that are switched on or off; those whose purposes are closed stay unknown."""
    if not asked:
        return {}
    if not isinstance(asked, Mapping | list) or not all(isinstance(key, str) for key in asked):
        raise ValidationError(
            {"segments": "Send keys of segments, or an object of true and false."}, "invalid"
        )
    wanted = asked if isinstance(asked, Mapping) else dict.fromkeys(asked, True)
    unknown = [key for key in wanted if key not in directory.segments]
    if unknown:
        raise ValidationError(
            {f"segments.{key}": "There is no such segment." for key in unknown}, "unknown_segment"
        )
    granted = visitor.gates.granted
    return {key: bool(on) for key, on in wanted.items() if directory.segments[key].purposes <= granted}


def _forced(plan: BoundPlan, force: Mapping[str, str]) -> Mapping[str, str]:
    variants = {p.key: {v.key for v in p.variants} for p in plan.placements}
    for placement, variant in force.items():
        if variant not in variants.get(placement, ()):
            raise ValidationError(
                {f"force.{placement}": f"There is no variant '{variant}' here."}, "unknown_variant"
            )
    return force


def as_json(decision: Decision) -> dict[str, Any]:
    """Return a preview's answer as plain values."""
    answer: dict[str, Any] = orjson.loads(body(decision, trace_of(decision)))
    return answer
