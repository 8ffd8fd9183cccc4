"""What a rule may name, for the rule builder: facts with their titles, groups and purposes, segments, and events."""

from typing import Any

from django.http import HttpRequest, JsonResponse

from cms.facts import vocabulary
from cms.language.vocabulary import CONTEXT, Fact, Vocabulary
from cms.models.site import current_site

_GROUPS = {"features": "Behaviour", "here": "This page", "scores": "Scores"}


def vocabulary_view(request: HttpRequest) -> JsonResponse:
    """Answer what display rules of the site may name. The admin asks who may see it."""
    return vocabulary_answer(vocabulary(current_site().pk))


def vocabulary_answer(known: Vocabulary) -> JsonResponse:
    """Answer a vocabulary as the builder reads it; nobody on the way keeps it."""
    return JsonResponse(vocabulary_document(known), headers={"Cache-Control": "private, no-store"})


def vocabulary_document(known: Vocabulary) -> dict[str, Any]:
    """Return facts, segments and, where rules may ask what somebody did, the events that are known."""
    events = sorted(known.events.values(), key=lambda one: one.key) if known.behaviour else ()
    return {
        "facts": _facts(known),
        "segments": [{"key": s.key, "title": s.title} for s in known.segments.values()],
        "behaviour": known.behaviour,
        "strict_events": known.strict_events,
        "events": [
            {"key": one.key, "title": one.title, "properties": dict(one.seen or one.properties)}
            for one in events
        ],
    }


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
    return _GROUPS.get(fact.name.partition(".")[0], "Traits")
