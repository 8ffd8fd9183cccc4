"""The gallery of recipes: what people want to say, as a rule to begin with, or brought in whole.

`recipes.json` answers the rule builder: `[{"key", "title", "description", "rule"}]`, those of segments;
`display-recipes.json` those of display rules. The page brings a recipe's segments, traits and attributes in as the bundle that it is.
"""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from cms.admin.notes import say_refused
from cms.errors import errors_among
from cms.facts import vocabulary
from cms.language.explain import sentence
from cms.language.parse import parse
from cms.models.site import current_site
from personalization.bundle import load_bundle
from personalization.models import Segment
from personalization.recipes import Recipe, recipe, recipes
from personalization.segments.directory import facts_for_segments

SETTINGS = {
    "site.offer_cap": ("At the site: “At most so many offers”.", "admin:cms_site_changelist"),
    "placement.min_interval": (
        "At each placement of a page: “At least between changes”.",
        "admin:cms_page_changelist",
    ),
    "segment.min_size": (
        "At each segment: “Small groups”. Fifty unless you change it.",
        "admin:personalization_segment_changelist",
    ),
    "site.recalculated_at": ("At the site: “Recalculate segments at”.", "admin:cms_site_changelist"),
    "delivery": ("Nothing to set.", ""),
}
# What a recipe brings besides segments, as people read it, and who may bring it.
PARTS = {
    "site": ("a setting of the site", "cms.change_site"),
    "experiences": ("an experience", "cms.add_experience"),
    "block_types": ("a block type", "cms.add_blocktype"),
    "templates": ("a template", "cms.add_template"),
    "blocks": ("a block", "cms.add_block"),
    "pages": ("an example page, not published", "cms.add_page"),
}


@require_GET
def recipes_json(request: HttpRequest, *, display: bool = False) -> JsonResponse:
    """Answer the rules to begin with: those of variants for `display`, else those of segments."""
    if not request.user.has_perm("personalization.view_segment"):
        raise PermissionDenied
    offered = [_offered(one, display) for one in recipes()]
    return JsonResponse([one for one in offered if one["rule"]], safe=False)


def _offered(one: Recipe, display: bool) -> dict[str, Any]:
    rules = [s["rule"] for s in one.segments if s.get("rule")]
    rule = one.when if display else rules[0] if len(rules) == 1 else None
    return {"key": one.key, "title": one.title, "description": one.description, "rule": rule}


def gallery_view(admin_site: Any, request: HttpRequest) -> HttpResponse:
    """Show every recipe, and bring one in."""
    if not request.user.has_perm("personalization.view_segment"):
        raise PermissionDenied
    if request.method == "POST":
        return _bring_in(request)
    known = dict(Segment.objects.filter(site=current_site()).values_list("key", "pk"))
    shown = {
        **admin_site.each_context(request),
        "title": "Recipes",
        "recipes": [_shown(one, known, may_bring=_may_bring(request, one)) for one in recipes()],
        "opts": Segment._meta,
    }
    return render(request, "admin/personalization/gallery.html", shown)


def _may_bring(request: HttpRequest, one: Recipe) -> bool:
    needed = ["personalization.add_segment", *(PARTS[part][1] for part in one.content)]
    return all(request.user.has_perm(permission) for permission in needed)


def _shown(one: Recipe, known: dict[str, int], *, may_bring: bool) -> dict[str, Any]:
    facts = facts_for_segments(current_site().pk)
    said = [(s["title"], sentence(parse(s["rule"]), facts)) for s in one.segments if s.get("rule")]
    setting, url = SETTINGS.get(one.setting, ("", ""))
    return {
        "key": one.key,
        "title": one.title,
        "description": one.description,
        "said": said,
        "when": sentence(parse(one.when), vocabulary(current_site().pk)) if one.when else "",
        "setting": setting,
        "url": reverse(url) if url else "",
        "there": [(s["title"], known[s["key"]]) for s in one.segments if s["key"] in known],
        "brings": ", ".join(PARTS[part][0] for part in one.content),
        "may_bring": may_bring and (bool(one.content) or any(s["key"] not in known for s in one.segments)),
    }


def _bring_in(request: HttpRequest) -> HttpResponse:
    here = HttpResponseRedirect(request.path)
    try:
        chosen = recipe(request.POST.get("key", ""))
    except KeyError:
        messages.error(request, "There is no such recipe.")
        return here
    if not _may_bring(request, chosen):
        raise PermissionDenied
    report = load_bundle(chosen.bundle, now=timezone.now())
    problems = errors_among(report.problems)
    if problems:
        say_refused(request, f"{chosen.title} cannot be brought in:", problems)
        return here
    said = (
        "brought in. Change it to what you mean, such as the names of products."
        if any(report.changed.values())
        else "it is all here already; nothing was changed."
    )
    messages.success(request, f"{chosen.title}: {said}")
    keys = [one["key"] for one in chosen.segments]
    first = Segment.objects.filter(site=current_site(), key__in=keys[:1]).first()
    return (
        HttpResponseRedirect(reverse("admin:personalization_segment_change", args=[first.pk]))
        if first
        else here
    )
