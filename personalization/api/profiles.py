"""`/api/v1/profiles/{visitor_id | user:ID}`: what back ends may know of one person, and correct (scope `profiles`).

Cut by consent like a page: what nobody allowed is not there. `PATCH` says traits as an `identify` from a secret key
does; what is not allowed is dropped, with its reason. Each access is on record before it is answered.
"""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cms.models import Site
from consent import access_log
from personalization.api.access import Key, require
from personalization.api.subjects import Nobody, name_of_key, named_subject
from personalization.ingest.pipeline import MAX_ENTRIES, MAX_TEXT, as_type, fits
from personalization.ingest.store import Outcome, Sender, declared_traits
from personalization.models import Event
from personalization.portrait import MAX_EVENTS, Portrait, events_of, portrait_of
from personalization.telling import tell

PARTS: Final = ("traits", "features", "segments", "scores", "events")
_DEFAULT: Final = ("traits", "features", "segments", "scores")
_PRIVATE: Final = {"Cache-Control": "private, no-store"}
EVENTS: Final = 100


class EventAnswer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    properties = serializers.DictField()
    at = serializers.DateTimeField()


class ProfileAnswer(serializers.Serializer[Any]):
    visitor_id = serializers.UUIDField()
    purposes = serializers.ListField(child=serializers.CharField())
    traits = serializers.DictField(required=False)
    features = serializers.DictField(required=False)
    segments = serializers.ListField(child=serializers.CharField(), required=False)
    segments_by_context = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="In these if the request fits, too."
    )
    scores = serializers.DictField(child=serializers.FloatField(), required=False)
    events = EventAnswer(many=True, required=False)
    next = serializers.IntegerField(required=False, allow_null=True, help_text="`before` of the next page.")
    dropped = serializers.DictField(child=serializers.CharField(), required=False)


class TraitsBody(serializers.Serializer[Any]):
    traits = serializers.DictField(help_text="Declared traits by key; null removes one.")


_WHO = OpenApiParameter(
    "who", str, OpenApiParameter.PATH, description="A visitor_id, or `user:` and a userId."
)
_INCLUDE = OpenApiParameter(
    "include", str, description=f"Some of {', '.join(PARTS)}; without it all but events."
)


class ProfileView(APIView):
    @extend_schema(
        responses=ProfileAnswer,
        parameters=[
            _WHO,
            _INCLUDE,
            OpenApiParameter(
                "limit", int, description=f"Of events: at most {MAX_EVENTS}, {EVENTS} without it."
            ),
            OpenApiParameter("before", int, description="Events before this one."),
        ],
        summary="What may be known of one person",
    )
    def get(self, request: Request, who: str) -> Response:
        key = require(request, "profiles")
        parts = _parts(request)
        portrait = _portrait(named_subject(who), key)
        _on_record(access_log.Kind.PROFILE_READ, key, portrait, who)
        answer = _answer(portrait, parts)
        if "events" in parts:
            limit = _number(request, "limit", EVENTS)
            rows = events_of(
                portrait.subject, portrait, limit=limit or EVENTS, before=_number(request, "before", None)
            )
            answer |= {"events": [_event(row) for row in rows]}
            answer["next"] = rows[-1].pk if len(rows) == limit else None
        return Response(answer, headers=_PRIVATE)

    @extend_schema(
        request=TraitsBody,
        responses=ProfileAnswer,
        parameters=[_WHO],
        summary="Say traits of one person",
        examples=[OpenApiExample("A tier that only servers may set", {"traits": {"tier": "gold"}})],
    )
    def patch(self, request: Request, who: str) -> Response:
        key = require(request, "profiles")
        portrait = _portrait(named_subject(who), key)
        traits = _traits(request.data, key)
        _on_record(access_log.Kind.PROFILE_CHANGED, key, portrait, who)
        outcome = _say(portrait.subject, traits, key)
        answer = _answer(_portrait(portrait.subject, key), _DEFAULT)
        return Response(answer | {"dropped": outcome.traits}, headers=_PRIVATE)


def _portrait(subject: uuid.UUID, key: Key) -> Portrait:
    portrait = portrait_of(subject, site=Site.objects.get(pk=key.site_id), now=timezone.now())
    if portrait is None:
        raise Nobody
    return portrait


def _parts(request: Request) -> tuple[str, ...]:
    asked = request.query_params.get("include")
    if asked is None:
        return _DEFAULT
    parts = tuple(part.strip() for part in asked.split(",") if part.strip())
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise ValidationError(
            {"include": f"There is no part '{unknown[0]}': name some of {', '.join(PARTS)}."}, "unknown_part"
        )
    return parts


def _number(request: Request, name: str, otherwise: int | None) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return otherwise
    if not text.isdecimal() or not 0 < int(text) < 2**62:
        raise ValidationError({name: "Send a whole number."}, "invalid")
    return min(int(text), MAX_EVENTS) if name == "limit" else int(text)


def _traits(body: Any, key: Key) -> Mapping[str, Any]:
    """Return the traits of a request; raises ValidationError with the place of the first that cannot be one."""
    traits = body.get("traits") if isinstance(body, Mapping) else None
    if not isinstance(traits, Mapping) or not traits:
        raise ValidationError({"traits": "Send traits as an object."}, "invalid")
    if extra := sorted(body.keys() - {"traits"}):
        raise ValidationError({extra[0]: "There is no such field."}, "unknown_field")
    declared = declared_traits(key.site_id)
    for name, value in traits.items():
        if name not in declared:
            raise ValidationError({f"traits.{name}": f"There is no trait '{name}'."}, "unknown_trait")
        if value is not None and as_type(value, declared[name].type) is None:
            raise ValidationError({f"traits.{name}": f"'{name}' is a {declared[name].type}."}, "wrong_type")
        if not fits(value):
            limit = f"{MAX_TEXT:,} characters" if isinstance(value, str) else f"{MAX_ENTRIES:,} entries"
            raise ValidationError({f"traits.{name}": f"'{name}' has more than {limit}."}, "too_long")
    return traits


def _say(subject: uuid.UUID, traits: Mapping[str, Any], key: Key) -> Outcome:
    return tell(subject, traits, sender=Sender(key.prefix, True, key.site_id), now=timezone.now())


def _on_record(kind: str, key: Key, portrait: Portrait, who: str) -> None:
    access_log.note(
        kind,
        actor=name_of_key(key.prefix),
        now=timezone.now(),
        subject=portrait.subject,
        purposes=portrait.gates.granted,
        place="/api/v1/profiles/user:" if who.startswith("user:") else "/api/v1/profiles/",
        site_id=key.site_id,
    )


def _answer(portrait: Portrait, parts: tuple[str, ...]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "traits": dict(portrait.traits),
        "features": dict(portrait.features),
        "segments": list(portrait.segments),
        "scores": dict(portrait.scores),
    }
    answer: dict[str, Any] = {"visitor_id": portrait.subject, "purposes": sorted(portrait.gates.granted)}
    answer |= {part: told[part] for part in parts if part in told}
    if "segments" in parts:
        answer["segments_by_context"] = list(portrait.contextual)
    return answer


def _event(row: Event) -> dict[str, Any]:
    return {"id": row.pk, "name": row.name, "properties": row.properties, "at": row.happened_at}
