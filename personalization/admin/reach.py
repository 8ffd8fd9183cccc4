"""Who would this rule reach: the answer to the rule builder, and to the button of the form that works without it.

`POST` `{"rule", "parent", "segment", "kind", "score", "tiers"}` → `{"people", "base", "share", "exact", "took_ms", "contextual",
"problems": [{"pointer", "detail"}]}`. `parent` and `segment` are ids or null; all but `rule` may be left out. Numbers are texts
to be shown: small groups are a phrase. Pointers into the rule begin at the rule.
"""

import math
from collections.abc import Mapping
from typing import Any

import orjson
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from cms.models.site import current_site
from cms.rule_widget import MAX_CHARACTERS
from consent.rates import wait_seconds
from personalization.models import Segment
from personalization.segments.reach import Reach, reach_of

_PRIVATE = {"Cache-Control": "private, no-store"}


@require_POST
def reach_view(request: HttpRequest) -> JsonResponse:
    """Answer one question; those who may write segments may ask, and not too often."""
    if not request.user.has_perm("personalization.change_segment"):
        raise PermissionDenied
    wait = wait_seconds("reach", str(request.user.pk))
    if wait:
        return _refused(
            429, "throttled", "Too many questions at once.", {"Retry-After": str(math.ceil(wait))}
        )
    try:
        draft = _draft(request.body)
    except _Unreadable as error:
        return _refused(400, "invalid", str(error), {})
    return JsonResponse(answer(reach_of(draft, now=timezone.now())), headers=_PRIVATE)


class _Unreadable(Exception):
    """What was sent is no question."""


def _draft(body: bytes) -> Segment:
    """Read a segment that is not saved out of a question; what is not said is as it was saved, or empty."""
    if len(body) > MAX_CHARACTERS:
        raise _Unreadable(f"A question has at most {MAX_CHARACTERS} characters.")
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _Unreadable("This is not valid JSON.") from error
    if not isinstance(asked, Mapping):
        raise _Unreadable("A question is a JSON object.")
    draft = _row(asked, "segment") or Segment(site=current_site())
    draft.parent = _row(asked, "parent") if "parent" in asked else draft.parent
    draft.kind = asked.get("kind") or draft.kind
    draft.rule = asked.get("rule") or {}
    draft.score = asked.get("score", draft.score)
    draft.tiers = str(asked.get("tiers", draft.tiers) or "")
    if draft.kind not in Segment.Kind.values:
        raise _Unreadable(f"There is no kind of segment '{draft.kind}'.")
    return draft


def _row(asked: Mapping[str, Any], name: str) -> Segment | None:
    pk = asked.get(name)
    if pk in (None, ""):
        return None
    spelled = str(pk)
    found = (
        Segment.objects.filter(pk=int(spelled), site=current_site()).first() if spelled.isdigit() else None
    )
    if found is None:
        raise _Unreadable(f"{name}: there is no such segment.")
    return found


def answer(found: Reach) -> dict[str, Any]:
    """Spell a reach as the builder reads it."""
    return {
        "people": found.people.text,
        "base": found.base.text,
        "share": found.share,
        "exact": found.exact,
        "took_ms": found.took_ms,
        "contextual": found.contextual,
        "problems": [
            {"pointer": one.pointer.removeprefix("/rule"), "detail": one.message} for one in found.problems
        ],
    }


def said(found: Reach) -> str:
    """Return a reach as a sentence."""
    if found.problems and not found.people.text:
        return " ".join(one.message for one in found.problems)
    if not found.people.text:
        return "Everybody for whom the context fits: it is decided at each request and not counted."
    much = found.people.text if found.exact or found.people.number is None else f"about {found.people.text}"
    share = f" ({found.share})" if found.share else ""
    more = " What the request says decides in addition." if found.contextual else ""
    return f"It would reach {much} of {found.base.text} people{share} who allowed what it reads.{more}"


def _refused(status: int, code: str, detail: str, headers: Mapping[str, str]) -> JsonResponse:
    body = {"type": "client_error", "errors": [{"code": code, "detail": detail, "attr": None}]}
    return JsonResponse(body, status=status, headers={**_PRIVATE, **headers})
