"""`/api/v1/privacy/…`: the rights of a visitor over HTTP, with the visitor's token, or a key with `privacy` and a `subject`.

Each view translates, makes one call into `consent` and translates back. A bad token is nobody where something is read
and 401 where something changes.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import get_language
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import access_log, erasure, rights, wishes
from consent.api.asking import NotKnown, limit, sends_gpc, subject_of, visitor_who_changes
from consent.dashboard.links import link_of
from consent.decisions import DecisionError, How, check_choices, states_of, undo
from consent.holders import Impossible, Item, Wish, holder, holders
from consent.identities import hash_is_valid, owner_of
from consent.merging import survivor
from consent.models import ConsentState, PrivacyRequest, Purpose
from personalization.api.access import key_of, require
from personalization.knowledge import correct
from personalization.models import ApiKey

SITE_ID: Final = 1
_PRIVATE: Final = {"Cache-Control": "private, no-store"}
_SUBJECT = OpenApiParameter("subject", str, description="With a key: a visitor_id, or `user:` and a userId.")
_VISITOR = OpenApiParameter("X-Visitor", str, OpenApiParameter.HEADER)
_PROOF: Final = {"subject", "userId", "userHash"}


@dataclass(frozen=True, slots=True)
class Person:
    """Whose right it is, through which door it was exercised, and how we know that it is them."""

    subject: uuid.UUID
    channel: str
    verification: str


class ItemAnswer(serializers.Serializer[Any]):
    holder = serializers.CharField()
    about = serializers.ChoiceField(["fact", "segment", "topic"])
    name = serializers.CharField()
    title = serializers.CharField()
    value = serializers.CharField()
    why = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a declared field, taken out by the metaclass
    inferred = serializers.BooleanField()
    purposes = serializers.ListField(child=serializers.CharField())
    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    hidden = serializers.BooleanField()
    kind = serializers.CharField(help_text="The type in which it can be corrected; empty where it cannot be.")
    deletable = serializers.BooleanField()


class HolderAnswer(serializers.Serializer[Any]):
    title = serializers.CharField()
    purposes = serializers.ListField(child=serializers.CharField(), help_text="For which something is kept.")
    data = serializers.DictField()  # type: ignore[assignment]  # a declared field, taken out by the metaclass


class KeptAnswer(serializers.Serializer[Any]):
    visitor_id = serializers.UUIDField(allow_null=True)
    purposes = serializers.DictField(child=serializers.CharField())
    paused_until = serializers.DateTimeField(allow_null=True)
    holders = serializers.DictField(child=HolderAnswer())
    items = ItemAnswer(many=True)


class RequestAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.CharField()
    state = serializers.CharField()
    received_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    progress = serializers.DictField(child=serializers.IntegerField())
    url = serializers.CharField(allow_null=True, help_text="Of an export that is ready: it works once.")
    expires_at = serializers.DateTimeField(allow_null=True)


class ProofBody(serializers.Serializer[Any]):
    subject = serializers.CharField(
        required=False, help_text="With a key: a visitor_id, or `user:` and a userId."
    )
    userId = serializers.CharField(required=False)  # as in events
    userHash = serializers.CharField(
        required=False, help_text="Hex HMAC-SHA-256 of the userId: a known user must prove that it is them."
    )


class CorrectBody(ProofBody):
    traits = serializers.DictField(help_text="Declared traits by key; null removes one.")


class PurposesBody(ProofBody):
    purposes = serializers.ListField(child=serializers.CharField())


class PauseBody(ProofBody):
    days = serializers.IntegerField(help_text=f"One of {', '.join(map(str, wishes.PAUSES))}; 0 ends a pause.")


class WishBody(ProofBody):
    holder = serializers.CharField()
    name = serializers.CharField()
    wish = serializers.ChoiceField([wish.value for wish in Wish])
    value = serializers.CharField(required=False)


class PausedAnswer(serializers.Serializer[Any]):
    paused_until = serializers.DateTimeField(allow_null=True)


class UndoneAnswer(serializers.Serializer[Any]):
    purposes = serializers.DictField(child=serializers.CharField())


# -- who asks -------------------------------------------------------------------------------------------


def _named(who: object) -> uuid.UUID:
    """Return whom a key names; raises NotFound, alike for everything that is nobody."""
    if not isinstance(who, str) or not who:
        raise ValidationError(
            {"subject": "Name whose data it is: a visitor_id, or user: and a userId."}, "required"
        )
    if who.startswith("user:"):
        owner = owner_of("user", who.removeprefix("user:"))
        if owner is not None:
            return owner
    else:
        try:
            found = survivor(uuid.UUID(who))
        except ValueError:
            raise NotFound("There is nobody of this name.") from None
        if ConsentState.objects.filter(pk=found).exists():
            return found
    raise NotFound("There is nobody of this name.")


def _reader(request: Request) -> tuple[uuid.UUID | None, str]:
    """Return whose data are read, and by whom."""
    if key_of(request) is None:
        return subject_of(request), access_log.VISITOR
    key = require(request, "privacy")
    return _named(request.query_params.get("subject")), _name_of(key.prefix)


def _name_of(prefix: str) -> str:
    name = ApiKey.objects.filter(prefix=prefix).values_list("name", flat=True).first() or prefix
    return access_log.api_key(name)


def _changer(request: Request, body: Mapping[str, Any]) -> Person:
    """Return whose right is exercised; raises NotKnown for nobody."""
    limit(request, "consent")
    if key_of(request) is not None:
        key = require(request, "privacy")
        subject = _named(body.get("subject") or request.query_params.get("subject"))
        return Person(subject, _name_of(key.prefix)[:30], "key")
    visitor = visitor_who_changes(request)
    if visitor is None or not ConsentState.objects.filter(pk=visitor).exists():
        raise NotKnown("Send the visitor's token.")
    user, proof = body.get("userId"), body.get("userHash")
    proven = isinstance(user, str) and isinstance(proof, str) and hash_is_valid(user, proof)
    is_them = proven and owner_of("user", str(user)) == visitor
    return Person(visitor, "api", "user" if is_them else "token")


def _body(request: Request, *allowed: str) -> Mapping[str, Any]:
    body = request.data
    if not isinstance(body, Mapping):
        raise ValidationError("Send a JSON object.", "invalid")
    unknown = body.keys() - {*allowed} - _PROOF
    if unknown:
        raise ValidationError(dict.fromkeys(sorted(unknown), "There is no such field."), "unknown_field")
    return body


def _how(person: Person, request: Request, method: str, *, seal: bool = False) -> How:
    actor = "visitor" if person.verification != "key" else "key"
    return How(method=method, actor=actor, gpc=sends_gpc(request), site_id=SITE_ID, seal=seal)


# -- what is kept -----------------------------------------------------------------------------------------


class KeptView(APIView):
    @extend_schema(
        responses=KeptAnswer, parameters=[_VISITOR, _SUBJECT], summary="Everything that is kept of one person"
    )
    def get(self, request: Request) -> Response:
        subject, actor = _reader(request)
        if subject is not None and actor != access_log.VISITOR:
            _on_record(access_log.Kind.PROFILE_READ, subject, actor)
        return _kept(subject)

    @extend_schema(
        request=CorrectBody,
        responses=KeptAnswer,
        parameters=[_VISITOR, _SUBJECT],
        summary="Correct what is known",
        examples=[OpenApiExample("A name", {"traits": {"first_name": "Ada"}})],
    )
    def patch(self, request: Request) -> Response:
        body = _body(request, "traits")
        person = _changer(request, body)
        traits = body.get("traits")
        if not isinstance(traits, Mapping) or not traits:
            raise ValidationError({"traits": "Send traits as an object."}, "invalid")
        now = timezone.now()
        with transaction.atomic():
            for name, value in traits.items():
                try:
                    correct(person.subject, name, value, now)
                except Impossible as error:
                    raise ValidationError({f"traits.{name}": str(error)}, "invalid") from error
            details = {"traits": sorted(traits)}
            rights.ask(
                rights.Kind.RECTIFY,
                person.subject,
                channel=person.channel,
                verification=person.verification,
                now=now,
                details=details,
                done=True,
            )
        return _kept(person.subject)


def _on_record(kind: str, subject: uuid.UUID, actor: str) -> None:
    access_log.note(
        kind, actor=actor, now=timezone.now(), subject=subject, place="/api/v1/privacy/", site_id=SITE_ID
    )


def _kept(subject: uuid.UUID | None) -> Response:
    now = timezone.now()
    row = ConsentState.objects.filter(pk=subject).first() if subject else None
    if row is None:
        nobody = {"visitor_id": None, "purposes": states_of(None, now=now), "paused_until": None}
        return Response(nobody | {"holders": {}, "items": []}, headers=_PRIVATE)
    answer = {
        "visitor_id": row.pk,
        "purposes": states_of(row, now=now),
        "paused_until": row.paused_until if row.paused_until and row.paused_until > now else None,
        "holders": {
            one.name: {
                "title": one.title,
                "purposes": _purposes_in(one.name, row.pk),
                "data": one.export(row.pk),
            }
            for one in holders()
        },
        "items": [_item(one.name, item) for one in holders() if one.known for item in one.known(row.pk, now)],
    }
    return Response(answer, headers=_PRIVATE)


def _purposes_in(name: str, subject: uuid.UUID) -> list[str]:
    held = holder(name).held
    if held is None:
        return []
    keys = Purpose.objects.filter(site_id=SITE_ID).values_list("key", flat=True)
    return [key for key in keys if held(key).filter(subject_key=subject).exists()]


def _item(name: str, item: Item) -> dict[str, Any]:
    shown = ItemAnswer().fields.keys() - {"holder", "about"}
    return {"holder": name, "about": item.about.value} | {field: getattr(item, field) for field in shown}


class WishView(APIView):
    @extend_schema(
        request=WishBody,
        responses=KeptAnswer,
        parameters=[_VISITOR, _SUBJECT],
        summary="Take one thing out of use, or back into it, correct it, delete it",
        examples=[
            OpenApiExample(
                "Leave a segment", {"holder": "memberships", "name": "segment:hiker", "wish": "hide"}
            )
        ],
    )
    def post(self, request: Request) -> Response:
        body = _body(request, "holder", "name", "wish", "value")
        person = _changer(request, body)
        asked = WishBody(data=body)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data
        try:
            steer = holder(wanted["holder"]).steer
            if steer is None:
                raise KeyError(wanted["holder"])
            with transaction.atomic():
                steer(
                    person.subject,
                    wanted["name"],
                    Wish(wanted["wish"]),
                    wanted.get("value", ""),
                    timezone.now(),
                )
        except KeyError as error:
            raise ValidationError(
                {"holder": "Nothing of this holder can be changed."}, "unknown_holder"
            ) from error
        except Impossible as error:
            raise ValidationError({"name": str(error)}, "impossible") from error
        return _kept(person.subject)


# -- requests -------------------------------------------------------------------------------------------


def request_answer(row: PrivacyRequest, request: Request) -> dict[str, Any]:
    """Return a request as the API tells it; the link of an export that is ready works once."""
    ready = row.state == rights.State.READY
    return {
        "id": row.pk,
        "kind": row.kind,
        "state": row.state,
        "received_at": row.received_at,
        "due_at": row.due_at,
        "progress": {"done": row.parts_done, "of": row.parts},
        "url": request.build_absolute_uri(link_of(row.pk)) if ready else None,
        "expires_at": row.result_expires if ready else None,
    }


class ExportView(APIView):
    @extend_schema(
        request=ProofBody,
        responses={202: RequestAnswer},
        parameters=[_VISITOR, _SUBJECT],
        summary="Ask for a copy of everything",
    )
    def post(self, request: Request) -> Response:
        body = _body(request)
        person = _changer(request, body)
        details = {"language": (get_language() or settings.LANGUAGE_CODE).split("-")[0]}
        row = rights.ask(
            rights.Kind.EXPORT,
            person.subject,
            channel=person.channel,
            verification=person.verification,
            now=timezone.now(),
            details=details,
        )
        return Response(request_answer(row, request), status=202, headers=_PRIVATE)


class ExportStateView(APIView):
    @extend_schema(responses=RequestAnswer, parameters=[_VISITOR, _SUBJECT], summary="How far the copy is")
    def get(self, request: Request, export_id: uuid.UUID) -> Response:
        subject, _ = _reader(request)
        row = PrivacyRequest.objects.filter(pk=export_id, kind=rights.Kind.EXPORT).defer("result_enc").first()
        if row is None or subject is None or row.subject_key != subject:
            raise NotFound("There is no such export.")
        return Response(request_answer(row, request), headers=_PRIVATE)


class EraseView(APIView):
    @extend_schema(
        request=ProofBody,
        responses={202: RequestAnswer},
        parameters=[_VISITOR, _SUBJECT],
        summary="Erase everything that is kept of one person",
    )
    def post(self, request: Request) -> Response:
        person = _changer(request, _body(request))
        now = timezone.now()
        with transaction.atomic():
            row = rights.ask(
                rights.Kind.ERASE,
                person.subject,
                channel=person.channel,
                verification=person.verification,
                now=now,
                done=False,
            )
            if row.state == rights.State.WAITING:
                erasure.erase(
                    person.subject,
                    now=now,
                    actor=person.channel if person.verification == "key" else access_log.VISITOR,
                )
                rights.is_erased(row, now=now)
                row.refresh_from_db()
        return Response(request_answer(row, request), status=202, headers=_PRIVATE)


class ResetView(APIView):
    @extend_schema(
        request=ProofBody,
        responses={202: RequestAnswer},
        parameters=[_VISITOR, _SUBJECT],
        summary="Forget what one person did, and keep what they decided",
    )
    def post(self, request: Request) -> Response:
        person = _changer(request, _body(request))
        row = rights.reset(
            person.subject, channel=person.channel, verification=person.verification, now=timezone.now()
        )
        return Response(request_answer(row, request), status=202, headers=_PRIVATE)


class ObjectView(APIView):
    @extend_schema(
        request=PurposesBody,
        responses={202: RequestAnswer},
        parameters=[_VISITOR, _SUBJECT],
        summary="Object to purposes",
        examples=[OpenApiExample("Object to messages", {"purposes": ["marketing"]})],
    )
    def post(self, request: Request) -> Response:
        body = _body(request, "purposes")
        person = _changer(request, body)
        purposes = body.get("purposes")
        if (
            not isinstance(purposes, list)
            or not purposes
            or not all(isinstance(one, str) for one in purposes)
        ):
            raise ValidationError({"purposes": "Send a list of purposes."}, "invalid")
        try:
            check_choices(dict.fromkeys(purposes, False), site_id=SITE_ID)
        except DecisionError as error:
            raise ValidationError({error.attr: error.sentence}, error.code) from error
        row = rights.object_to(
            rights.Kind.OBJECT,
            person.subject,
            sorted(set(purposes)),
            how=_how(person, request, "objection"),
            channel=person.channel,
            verification=person.verification,
            now=timezone.now(),
        )
        return Response(request_answer(row, request), status=202, headers=_PRIVATE)


class PauseView(APIView):
    @extend_schema(
        request=PauseBody,
        responses=PausedAnswer,
        parameters=[_VISITOR, _SUBJECT],
        summary="Pause, or end a pause",
    )
    def post(self, request: Request) -> Response:
        body = _body(request, "days")
        person = _changer(request, body)
        days, now = body.get("days"), timezone.now()
        if days == 0 and not isinstance(days, bool):
            wishes.resume(person.subject, now=now)
            return Response({"paused_until": None}, headers=_PRIVATE)
        if isinstance(days, bool) or days not in wishes.PAUSES:
            allowed = ", ".join(map(str, wishes.PAUSES))
            raise ValidationError({"days": f"Send one of {allowed}, or 0 to end a pause."}, "invalid")
        with transaction.atomic():
            until = wishes.pause(person.subject, days=days, now=now)
            rights.ask(
                rights.Kind.PAUSE,
                person.subject,
                channel=person.channel,
                verification=person.verification,
                now=now,
                details={"days": days},
                done=True,
            )
        return Response({"paused_until": until}, headers=_PRIVATE)


class UndoView(APIView):
    @extend_schema(
        request=ProofBody,
        responses={200: UndoneAnswer, 409: OpenApiResponse(description="Nothing is sealed any more.")},
        parameters=[_VISITOR, _SUBJECT],
        summary="Take back a sealed withdrawal, within its ten minutes",
    )
    def post(self, request: Request) -> Response:
        person = _changer(request, _body(request))
        decision = undo(person.subject, how=_how(person, request, "undo"), now=timezone.now())
        if decision is None:
            problem = {"code": "too_late", "detail": "Nothing is sealed any more.", "attr": None}
            return Response({"type": "client_error", "errors": [problem]}, status=409, headers=_PRIVATE)
        return Response({"purposes": decision.states}, headers=_PRIVATE)


class RequestsView(APIView):
    @extend_schema(
        responses=RequestAnswer(many=True),
        parameters=[_VISITOR, _SUBJECT],
        summary="The rights that one person exercised",
    )
    def get(self, request: Request) -> Response:
        subject, _ = _reader(request)
        rows = rights.requests_of(subject) if subject else []
        return Response([request_answer(row, request) for row in rows], headers=_PRIVATE)
