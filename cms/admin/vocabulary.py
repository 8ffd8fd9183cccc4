"""What a rule may name, for the rule builder: facts with their titles, groups and purposes, and segments."""

from typing import Any

from django.http import HttpRequest, JsonResponse

from cms.facts import vocabulary
from cms.language.vocabulary import CONTEXT, Fact, Vocabulary
from cms.models.site import current_site


def vocabulary_view(request: HttpRequest) -> JsonResponse:
    """Answer the vocabulary of the site; `?segments=no` leaves the segments out. The admin asks who may see it."""
    known = vocabulary(current_site().pk)
    segments = [{"key": s.key, "title": s.title} for s in known.segments.values()]
    answer = {"facts": _facts(known), "segments": [] if request.GET.get("segments") == "no" else segments}
    return JsonResponse(answer, headers={"Cache-Control": "private, no-store"})


def _facts(known: Vocabulary) -> list[dict[str, Any]]:
    """Return the facts that rules may read; the builder adds `X.days_ago` of a date itself."""
    return [_fact(one) for one in known.facts.values() if not one.identifying]


def _fact(fact: Fact) -> dict[str, Any]:
    return {
        "name": fact.name,
        "title": fact.label,
        "type": fact.type,
        "group": _group(fact),
        "purposes": sorted(fact.purposes),
        "options": list(fact.options),
    }


def _group(fact: Fact) -> str:
    if fact.name in CONTEXT:
        return "Context"
    return "Behaviour" if fact.name.startswith("features.") else "Traits"
