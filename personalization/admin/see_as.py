"""See the draft of a page as somebody else: an example person, or anybody with these segments, this consent, now or
then. The page is decided by the same resolver as every page; nothing is counted and nothing is stored.

The page stands in a frame without scripts; next to it is why each placement shows what it shows.
"""

import datetime as dt
import re
import zoneinfo
from collections.abc import Iterator
from typing import Any, cast

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from rest_framework.exceptions import APIException
from unfold import widgets as unfold

from cms.models import Page, Site
from consent.models import Purpose
from personalization.api.pages import html_of
from personalization.api.preview import preview
from personalization.models import Segment
from personalization.people import Person, consent_of, people, traits_of
from personalization.trace import trace_of

_SCRIPTS = re.compile(r"<script\b[^>]*>.*?</script\s*>", re.IGNORECASE | re.DOTALL)  # the frame runs none
MARKS = {True: "✓", False: "✗", None: "?"}
REASONS = {
    "matched": "its rule holds",
    "default": "no rule before it holds",
    "no_consent": "this reader has not allowed what a rule would read",
    "unknown_fact": "a fact could not be loaded",
    "out_of_window": "outside its dates",
    "capped": "shown often enough",
    "segment_too_small": "its segment is too small to personalise yet",
    "forced": "chosen by hand",
    "error": "a rule failed",
}


class SeeAsForm(forms.Form):
    """Who looks, what they allowed, when, and on what."""

    person = forms.ChoiceField(required=False, label="Person", widget=unfold.UnfoldAdminSelectWidget())
    consent = forms.ChoiceField(
        required=False,
        label="Consent",
        choices=[("", "as the person"), ("all", "everything"), ("none", "nothing")],
        widget=unfold.UnfoldAdminSelectWidget(),
    )
    on = forms.MultipleChoiceField(required=False, label="Segments on")
    off = forms.MultipleChoiceField(required=False, label="Segments off")
    now = forms.DateTimeField(
        required=False,
        label="Date and time",
        widget=forms.DateTimeInput({"type": "datetime-local", "class": " ".join(unfold.INPUT_CLASSES)}),
    )
    locale = forms.ChoiceField(required=False, label="Language", widget=unfold.UnfoldAdminSelectWidget())
    device = forms.ChoiceField(
        required=False,
        label="Device",
        choices=[("desktop", "Desktop"), ("mobile", "Mobile"), ("tablet", "Tablet")],
        widget=unfold.UnfoldAdminSelectWidget(),
    )
    weather = forms.CharField(
        required=False, label="Weather", widget=unfold.UnfoldAdminTextInputWidget({"placeholder": "rain"})
    )

    country = forms.CharField(
        required=False,
        max_length=2,
        label="Country",
        widget=unfold.UnfoldAdminTextInputWidget({"placeholder": "DE"}),
    )
    campaign = forms.CharField(
        required=False,
        label="Campaign",
        widget=unfold.UnfoldAdminTextInputWidget({"placeholder": "spring-sale"}),
    )

    def __init__(self, data: QueryDict, *, site: Site) -> None:
        super().__init__(data)
        self._choices("person", [("", "Nobody"), *((one.key, one.title) for one in people())])
        segments = [(one.key, one.title) for one in Segment.objects.filter(site=site)]
        self._choices("on", segments)
        self._choices("off", segments)
        self._choices("locale", [(one, one) for one in site.locales])

    def _choices(self, name: str, choices: list[tuple[str, str]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]  # all of these are choices

    def segment_rows(self) -> list[dict[str, Any]]:
        """Return every segment with how it is set: on, off or by its rule."""
        data = cast(QueryDict, self.data)
        on, off = set(data.getlist("on")), set(data.getlist("off"))
        return [
            {"key": key, "title": title, "on": key in on, "off": key in off}
            for key, title in self.fields["on"].choices  # type: ignore[attr-defined]  # a choice
        ]


def see_as_view(admin_site: Any, request: HttpRequest, page_id: int) -> HttpResponse:
    """Show the draft with its bar and its reasons."""
    if not request.user.has_perm("cms.view_page"):
        raise PermissionDenied
    page = get_object_or_404(Page.objects.select_related("site"), pk=page_id)
    form = SeeAsForm(request.GET, site=page.site)
    context = {
        **admin_site.each_context(request),
        "title": f"{page.path} as somebody else",
        "page": page,
        "form": form,
        "back": reverse("admin:cms_page_change", args=[page.pk]),
        **_seen(page, form),
    }
    return TemplateResponse(request, "admin/personalization/see_as.html", context)


def _seen(page: Page, form: SeeAsForm) -> dict[str, Any]:
    if not form.is_valid():
        return {"refused": "Some of these settings cannot be read."}
    try:
        decision = preview(asked(page, form.cleaned_data), now=timezone.now())
    except APIException as error:
        return {"refused": str(error.detail)}
    shown = _SCRIPTS.sub("", html_of(decision)).replace("<head>", '<head><base target="_blank">', 1)
    traced = [_reasons(one) for one in trace_of(decision)]
    why = [one for one in traced if len(one["variants"]) > 1]
    return {"shown": shown, "why": why, "plain": len(traced) - len(why)}


def asked(page: Page, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what the resolver is asked: the body of a preview."""
    person = next((one for one in people() if one.key == settings["person"]), None)
    moment = settings["now"] or timezone.now()
    local = moment.astimezone(zoneinfo.ZoneInfo(page.site.time_zone))
    context = {"device": settings["device"] or "desktop", "time": local.isoformat()}
    context |= {name: settings[name] for name in ("weather", "country", "campaign") if settings[name]}
    return {
        "path": page.path,
        "draft": True,
        "locale": settings["locale"] or page.site.default_locale,
        "now": moment,
        "context": context,
        "traits": traits_of(person) if person else {},
        "segments": dict.fromkeys(settings["on"], True) | dict.fromkeys(settings["off"], False),
        "consent": _consent(settings, person, moment),
    }


def _consent(settings: dict[str, Any], person: Person | None, moment: dt.datetime) -> dict[str, bool]:
    everything = dict.fromkeys(Purpose.objects.values_list("key", flat=True), True)
    if settings["consent"] == "none":
        return {}
    if settings["consent"] == "all" or (not person and settings["on"]):
        return everything
    return consent_of(person, at=timezone.now().timestamp()) if person else {}


def _reasons(traced: dict[str, Any]) -> dict[str, Any]:
    variants = [
        {**one, "conditions": list(_conditions(one["rule"], 0)) if one["rule"] else []}
        for one in traced["variants"]
    ]
    return {**traced, "said": REASONS.get(traced["reason"], traced["reason"]), "variants": variants}


def _conditions(node: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    """Yield the conditions of a rule in order; one that only repeats the one above it is left out."""
    yield {"mark": MARKS[node["truth"]], "text": node["text"], "depth": depth}
    for child in node["children"]:
        if child["text"] == node["text"] and child["truth"] == node["truth"]:
            yield from (one for grandchild in child["children"] for one in _conditions(grandchild, depth + 1))
        else:
            yield from _conditions(child, depth + 1)
