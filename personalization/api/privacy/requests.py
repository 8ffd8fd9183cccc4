"""The rights that a person exercises: a copy, an erasure, forgetting, objecting, a pause, and taking back."""

import uuid
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import get_language
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from consent import access_log, erasure, rights, wishes
from consent.dashboard.links import link_of
from consent.decisions import DecisionError, check_choices, undo
from consent.models import PrivacyRequest
from personalization.api.privacy.person import (
    PRIVATE,
    SITE_ID,
    SUBJECT,
    VISITOR,
    ProofBody,
    RightView,
    body_of,
    changer_of,
    how_of,
    reader_of,
)


class RequestAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.CharField()
    state = serializers.CharField()
    received_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    progress = serializers.DictField(child=serializers.IntegerField())
    url = serializers.CharField(allow_null=True, help_text="Of an export that is ready: it works once.")
    expires_at = serializers.DateTimeField(allow_null=True)


class PurposesBody(ProofBody):
    purposes = serializers.ListField(child=serializers.CharField())


class PauseBody(ProofBody):
    days = serializers.IntegerField(help_text=f"One of {', '.join(map(str, wishes.PAUSES))}; 0 ends a pause.")


class PausedAnswer(serializers.Serializer[Any]):
    paused_until = serializers.DateTimeField(allow_null=True)


class UndoneAnswer(serializers.Serializer[Any]):
    purposes = serializers.DictField(child=serializers.CharField())


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


class ExportView(RightView):
    @extend_schema(
        request=ProofBody,
        responses={202: RequestAnswer},
        parameters=[VISITOR, SUBJECT],
        summary="Ask for a copy of everything",
    )
    def post(self, request: Request) -> Response:
        body = body_of(request)
        person = changer_of(request, body)
        details = {"language": (get_language() or settings.LANGUAGE_CODE).split("-")[0]}
        row = rights.ask(
            rights.Kind.EXPORT,
            person.subject,
            channel=person.channel,
            verification=person.verification,
            now=timezone.now(),
            details=details,
        )
        return Response(request_answer(row, request), status=202, headers=PRIVATE)


class ExportStateView(RightView):
    @extend_schema(responses=RequestAnswer, parameters=[VISITOR, SUBJECT], summary="How far the copy is")
    def get(self, request: Request, export_id: uuid.UUID) -> Response:
        subject, _ = reader_of(request)
        row = PrivacyRequest.objects.filter(pk=export_id, kind=rights.Kind.EXPORT).defer("result_enc").first()
        if row is None or subject is None or row.subject_key != subject:
            raise NotFound("There is no such export.")
        return Response(request_answer(row, request), headers=PRIVATE)


class EraseView(RightView):
    @extend_schema(
        request=ProofBody,
        responses={202: RequestAnswer},
        parameters=[VISITOR, SUBJECT],
        summary="Erase everything that is kept of one person",
    )
    def post(self, request: Request) -> Response:
        person = changer_of(request, body_of(request))
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
        return Response(request_answer(row, request), status=202, headers=PRIVATE)


class ResetView(RightView):
    @extend_schema(
        request=ProofBody,
        responses={202: RequestAnswer},
        parameters=[VISITOR, SUBJECT],
        summary="Forget what one person did, and keep what they decided",
    )
    def post(self, request: Request) -> Response:
        person = changer_of(request, body_of(request))
        row = rights.reset(
            person.subject, channel=person.channel, verification=person.verification, now=timezone.now()
        )
        return Response(request_answer(row, request), status=202, headers=PRIVATE)


class ObjectView(RightView):
    @extend_schema(
        request=PurposesBody,
        responses={202: RequestAnswer},
        parameters=[VISITOR, SUBJECT],
        summary="Object to purposes",
        examples=[OpenApiExample("Object to messages", {"purposes": ["marketing"]})],
    )
    def post(self, request: Request) -> Response:
        body = body_of(request, "purposes")
        person = changer_of(request, body)
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
            how=how_of(person, request, "objection"),
            channel=person.channel,
            verification=person.verification,
            now=timezone.now(),
        )
        return Response(request_answer(row, request), status=202, headers=PRIVATE)


class OptOutView(RightView):
    kind = rights.Kind.OPT_OUT  # says from what

    @extend_schema(
        request=ProofBody,
        responses={202: RequestAnswer},
        parameters=[VISITOR, SUBJECT],
        summary="Do not sell or share",
    )
    def post(self, request: Request) -> Response:
        person = changer_of(request, body_of(request))
        row = rights.object_to(
            self.kind,
            person.subject,
            rights.opted_out_of(self.kind, site_id=SITE_ID),
            how=how_of(person, request, str(self.kind)),
            channel=person.channel,
            verification=person.verification,
            now=timezone.now(),
        )
        return Response(request_answer(row, request), status=202, headers=PRIVATE)


class LimitView(OptOutView):
    kind = rights.Kind.LIMIT

    @extend_schema(
        request=ProofBody,
        responses={202: RequestAnswer},
        parameters=[VISITOR, SUBJECT],
        summary="Limit the use of sensitive data",
    )
    def post(self, request: Request) -> Response:
        return super().post(request)


class PauseView(RightView):
    @extend_schema(
        request=PauseBody,
        responses=PausedAnswer,
        parameters=[VISITOR, SUBJECT],
        summary="Pause, or end a pause",
    )
    def post(self, request: Request) -> Response:
        body = body_of(request, "days")
        person = changer_of(request, body)
        days, now = body.get("days"), timezone.now()
        if days == 0 and not isinstance(days, bool):
            wishes.resume(person.subject, now=now)
            return Response({"paused_until": None}, headers=PRIVATE)
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
        return Response({"paused_until": until}, headers=PRIVATE)


class UndoView(RightView):
    @extend_schema(
        request=ProofBody,
        responses={200: UndoneAnswer, 409: OpenApiResponse(description="Nothing is sealed any more.")},
        parameters=[VISITOR, SUBJECT],
        summary="Take back a sealed withdrawal, within its ten minutes",
    )
    def post(self, request: Request) -> Response:
        person = changer_of(request, body_of(request))
        decision = undo(person.subject, how=how_of(person, request, "undo"), now=timezone.now())
        if decision is None:
            problem = {"code": "too_late", "detail": "Nothing is sealed any more.", "attr": None}
            return Response({"type": "client_error", "errors": [problem]}, status=409, headers=PRIVATE)
        return Response({"purposes": decision.states}, headers=PRIVATE)


class RequestsView(RightView):
    @extend_schema(
        responses=RequestAnswer(many=True),
        parameters=[VISITOR, SUBJECT],
        summary="The rights that one person exercised",
    )
    def get(self, request: Request) -> Response:
        subject, _ = reader_of(request)
        rows = rights.requests_of(subject) if subject else []
        return Response([request_answer(row, request) for row in rows], headers=PRIVATE)
