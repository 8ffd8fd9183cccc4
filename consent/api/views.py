"""`/api/v1/consent`: what is asked, what was answered, and the answer.

Each view translates, makes one call into `consent.decisions`, and translates back.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent.api.asking import (
    NotKnown,
    fresh_token,
    jurisdiction_of,
    limit,
    refused_version,
    sends_gpc,
    set_refusal_cookie,
    set_visitor_cookie,
    subject_of,
    unset_state,
    visitor_who_changes,
)
from consent.api.signals import closed_by_signals, consent_mode, gpc_of, refused_by, signals_of
from consent.decisions import (
    AGES,
    DecisionError,
    How,
    check_choices,
    check_notice,
    decide,
    history_of,
    record_gpc,
    states_of,
)
from consent.models import ConsentState, NoticeVersion
from consent.purposes import active_purposes, answered_other_words, current_notice, spelled_notice
from consent.reasking import Asking, asking, asking_nobody
from consent.receipts import receipts_of
from consent.served import served_id, statement
from consent.wishes import is_reminder_due, seen

SITE_ID = 1
_ALLOWED = {"purposes", "notice", "served", "seal", "gpc", "reminded", "age_band", "guardian"}


class PurposeText(serializers.Serializer[Any]):
    key = serializers.CharField()
    title = serializers.CharField()
    summary = serializers.CharField()
    details = serializers.CharField()
    legal_basis = serializers.CharField()
    required = serializers.BooleanField()  # type: ignore[assignment]  # a declared field, taken out by the metaclass
    sensitive = serializers.BooleanField()


class NoticeText(serializers.Serializer[Any]):
    version = serializers.CharField()
    locale = serializers.CharField()
    summary = serializers.CharField()
    purposes = PurposeText(many=True)


class AskAnswer(serializers.Serializer[Any]):
    needed = serializers.BooleanField()
    why = serializers.CharField(
        allow_null=True, help_text="unset, new_purpose, notice_changed, expired, pause_over, or null."
    )


class ConsentAnswer(serializers.Serializer[Any]):
    visitor_id = serializers.UUIDField(allow_null=True)
    notice = NoticeText()
    purposes = serializers.DictField(child=serializers.CharField())
    signals = serializers.DictField(child=serializers.BooleanField())
    opt_out_preference_signal = serializers.CharField(
        allow_null=True, help_text="`honored` where an opt-out signal was processed (11 CCR 7025(c)(6))."
    )
    served = serializers.CharField()
    ask = AskAnswer()
    remind = serializers.BooleanField(
        help_text="It is time to remind this visitor of what they allow, as they wished."
    )
    consent_mode = serializers.DictField(
        child=serializers.CharField(),
        help_text="The same state in the types of Google's Consent Mode, version 2.",
    )


class ConsentChange(serializers.Serializer[Any]):
    purposes = serializers.DictField(child=serializers.BooleanField())
    notice = serializers.CharField()
    served = serializers.CharField(required=False)
    seal = serializers.BooleanField(
        required=False, help_text="What is withdrawn is unreadable for ten minutes, and can be taken back."
    )
    age_band = serializers.ChoiceField(
        choices=list(AGES),
        required=False,
        help_text="What the site knows of the person's age: child (under 13), teen (13-15), youth (16-17), adult.",
    )
    guardian = serializers.BooleanField(
        required=False, help_text="Somebody who answers for the child has allowed it."
    )
    gpc = serializers.BooleanField(
        required=False,
        help_text="navigator.globalPrivacyControl, as a script read it; the header Sec-GPC wins.",
    )
    reminded = serializers.BooleanField(
        required=False,
        help_text="The person has seen the reminder that they wished for; the next is due later.",
    )


class ConsentChanged(serializers.Serializer[Any]):
    visitor_id = serializers.UUIDField(allow_null=True)
    token = serializers.CharField(allow_null=True)
    purposes = serializers.DictField(child=serializers.CharField())
    receipt = serializers.DictField(allow_null=True)
    consent_mode = serializers.DictField(child=serializers.CharField())


def locale_of(request: Request) -> str:
    """Return the language of the notice: `?locale=`, else the browser's first choice."""
    asked = request.query_params.get("locale") or request.headers.get("Accept-Language", "en").split(",")[0]
    return asked.split(";")[0].strip()[:20] or "en"


class ConsentView(APIView):
    def handle_exception(self, exc: Exception) -> Response:
        """Refuse, and let a browser forget a cookie that is no token any more: no script could, and it could never decide."""
        response = super().handle_exception(exc)
        if isinstance(exc, NotKnown) and "HTTP_X_VISITOR" not in self.request.META:
            response.delete_cookie(settings.VISITOR_COOKIE, samesite="Lax")
        return response

    @extend_schema(
        responses=ConsentAnswer,
        parameters=[
            OpenApiParameter("locale", str),
            OpenApiParameter("X-Visitor", str, OpenApiParameter.HEADER),
        ],
        summary="What is asked, and what this visitor answered",
    )
    def get(self, request: Request) -> Response:
        now = timezone.now()
        visitor = subject_of(request)
        row = ConsentState.objects.filter(subject_id=visitor).first() if visitor else None
        if row is not None and not row.gpc:
            note_signal(request, visitor)
        notice = current_notice(SITE_ID, now=now)
        spelled = spelled_notice(notice, locale_of(request))
        gpc = sends_gpc(request) or bool(row and row.gpc)
        unset = "unset" if row else unset_state(request, notice.n)
        answered = states_of(row, now=now, unset=unset, gpc=False)
        states = refused_by(
            closed_by_signals(request, SITE_ID), states_of(row, now=now, unset=unset, gpc=gpc)
        )
        asked = asked_in(request, row, notice, answered, now)
        return _private(
            {
                "visitor_id": visitor if row else None,
                "notice": spelled,
                "purposes": states,
                "ask": {"needed": asked.needed, "why": asked.why},
                "signals": signals_of(request) | {"gpc": gpc},
                "opt_out_preference_signal": "honored" if gpc else None,
                "served": statement(notice.n, locale=spelled["locale"], surface="api", now=now),
                "remind": row is not None and is_reminder_due(row, now=now),
                "consent_mode": _mode(row, states, gpc=sends_gpc(request), now=now),
            }
        )

    @extend_schema(
        request=ConsentChange,
        responses=ConsentChanged,
        parameters=[OpenApiParameter("X-Visitor", str, OpenApiParameter.HEADER)],
        summary="Allow or refuse purposes",
        examples=[
            OpenApiExample("Allow personalisation", {"purposes": {"personalization": True}, "notice": "1"})
        ],
    )
    def put(self, request: Request) -> Response:
        limit(request, "consent")
        visitor = visitor_who_changes(request)
        now = timezone.now()
        body = _body(request)
        try:
            choices = check_choices(body.get("purposes"), site_id=SITE_ID)
            notice = check_notice(body.get("notice"), site_id=SITE_ID, now=now)
        except DecisionError as error:
            return _refused(error, request)
        if visitor is not None and body.get("reminded") is True:
            seen(visitor, now=now)
        how = How(
            method="api",
            gpc=gpc_of(request, body.get("gpc")),
            notice=str(notice.n),
            served_id=served_id(body.get("served"), notice.n),
            jurisdiction=jurisdiction_of(request),
            age_band=_age_band(body.get("age_band")),
            guardian=_flag(body, "guardian"),
            site_id=SITE_ID,
            payload={"language": spelled_notice(notice, locale_of(request))["locale"]},
            seal=_flag(body, "seal"),
        )
        try:
            decision = decide(visitor, choices, how=how, now=now)
        except DecisionError as error:
            return _refused(error, request)
        decided = ConsentState.objects.filter(pk=decision.subject_id).first()
        states = refused_by(closed_by_signals(request, SITE_ID), decision.states)
        token = fresh_token(decision.subject_id) if decision.subject_id else None
        response = _private(
            {
                "visitor_id": decision.subject_id,
                "token": token,
                "purposes": states,
                "receipt": decision.receipt,
                "consent_mode": _mode(decided, states, gpc=how.gpc, now=now),
            }
        )
        if token:
            set_visitor_cookie(response, request, token)
        elif False in choices.values():
            set_refusal_cookie(response, request, notice.n)
        return response


def _mode(
    row: ConsentState | None, states: Mapping[str, str], *, gpc: bool, now: dt.datetime
) -> dict[str, str]:
    """Say the same to Google's tags: a kept signal counts like one of this request, and a pause like a refusal of all."""
    gpc = gpc or bool(row and row.gpc)
    paused = row is not None and row.paused_until is not None and row.paused_until > now
    purposes = active_purposes(SITE_ID)
    open_ = {p.key: "granted" for p in purposes if p.required} if paused else states
    return consent_mode(purposes, open_, gpc=gpc)


def _body(request: Request) -> dict[str, Any]:
    body = request.data
    if not isinstance(body, dict):
        raise ValidationError("Send a JSON object.", "invalid")
    unknown = body.keys() - _ALLOWED
    if unknown:
        raise ValidationError(dict.fromkeys(sorted(unknown), "There is no such field."), "unknown_field")
    return body


def _flag(body: Mapping[str, Any], name: str) -> bool:
    wanted = body.get(name, False)
    if not isinstance(wanted, bool):
        raise ValidationError({name: f"Answer {name} with true or false."}, "invalid")
    return wanted


def _age_band(said: object) -> str:
    if said is None:
        return ""
    if said not in AGES:
        raise ValidationError({"age_band": f"An age is one of {', '.join(AGES)}."}, "invalid")
    return str(said)


def _refused(error: DecisionError, request: Request) -> Response:
    superseded = error.code == "notice_superseded"
    problem = {"code": error.code, "detail": error.sentence, "attr": error.attr}
    body: dict[str, Any] = {"type": "client_error" if superseded else "validation_error", "errors": [problem]}
    if superseded:
        body["notice"] = spelled_notice(current_notice(SITE_ID, now=timezone.now()), locale_of(request))
    return _private(body, status=409 if superseded else 400)


def _private(body: Any, *, status: int = 200) -> Response:
    return Response(body, status=status, headers={"Cache-Control": "private, no-store"})


def asked_in(
    request: Any, row: ConsentState | None, notice: NoticeVersion, states: dict[str, str], now: dt.datetime
) -> Asking:
    """Say whether the one who reads is to be asked."""
    optional = [one["key"] for one in next(iter(notice.texts.values()))["purposes"] if not one["required"]]
    if row is None:
        return asking_nobody(refused_version(request), notice.n, optional)
    pause = settings.CONSENT_REFUSAL_PAUSE_DAYS
    changed = answered_other_words(row, notice, optional)
    return asking(states, optional, decided_at=row.updated_at, now=now, pause_days=pause, changed=changed)


class ConsentHistoryView(APIView):
    @extend_schema(
        responses={200: serializers.ListSerializer(child=serializers.DictField())},
        parameters=[OpenApiParameter("X-Visitor", str, OpenApiParameter.HEADER)],
        summary="This visitor's decisions, the newest first",
    )
    def get(self, request: Request) -> Response:
        visitor = subject_of(request)
        row = ConsentState.objects.filter(subject_id=visitor).first() if visitor else None
        if row is None:
            return _private([])
        return _private(receipts_of(history_of(row.subject_id), row))


def note_signal(request: Any, visitor: Any) -> None:
    """Keep Global Privacy Control with a known visitor whose browser sends it."""
    if visitor is not None and sends_gpc(request):
        record_gpc(visitor, site_id=SITE_ID, now=timezone.now())
