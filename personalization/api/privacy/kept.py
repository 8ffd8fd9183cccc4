"""Everything that is kept of one person, by holder and as items in plain words; to correct it, or take it out of use."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from consent import access_log, effects, rights
from consent.decisions import states_of
from consent.holders import Impossible, Item, Wish, holder, holders
from consent.models import ConsentState, Purpose
from personalization.api.privacy.person import (
    PRIVATE,
    SITE_ID,
    SUBJECT,
    VISITOR,
    Person,
    ProofBody,
    RightView,
    body_of,
    changer_of,
    reader_of,
)
from personalization.steering import correct


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
    rests_on = serializers.CharField(help_text="What else is deleted with it; empty where nothing is.")
    disputable = serializers.BooleanField(help_text="Whether the site can be asked to put it right.")


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


class CorrectBody(ProofBody):
    traits = serializers.DictField(help_text="Declared traits by key; null removes one.")


class WishBody(ProofBody):
    holder = serializers.CharField()
    name = serializers.CharField()
    wish = serializers.ChoiceField([wish.value for wish in Wish])
    value = serializers.CharField(required=False)


class KeptView(RightView):
    @extend_schema(
        responses=KeptAnswer, parameters=[VISITOR, SUBJECT], summary="Everything that is kept of one person"
    )
    def get(self, request: Request) -> Response:
        subject, actor = reader_of(request)
        if subject is not None and actor != access_log.VISITOR:
            _on_record(access_log.Kind.PROFILE_READ, subject, actor)
        return _kept(subject)

    @extend_schema(
        request=CorrectBody,
        responses=KeptAnswer,
        parameters=[VISITOR, SUBJECT],
        summary="Correct what is known",
        examples=[OpenApiExample("A name", {"traits": {"first_name": "Ada"}})],
    )
    def patch(self, request: Request) -> Response:
        body = body_of(request, "traits")
        person = changer_of(request, body)
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
            _note_change(person)
        return _kept(person.subject)


def _note_change(person: Person) -> None:
    """Put on record that a back end changed what is known of somebody; what they change themselves is theirs."""
    if person.verification == "key":
        _on_record(access_log.Kind.PROFILE_CHANGED, person.subject, person.channel)


def _on_record(kind: str, subject: uuid.UUID, actor: str) -> None:
    access_log.note(
        kind, actor=actor, now=timezone.now(), subject=subject, place="/api/v1/privacy/", site_id=SITE_ID
    )


def _kept(subject: uuid.UUID | None) -> Response:
    now = timezone.now()
    row = ConsentState.objects.filter(pk=subject).first() if subject else None
    if row is None:
        nobody = {"visitor_id": None, "purposes": states_of(None, now=now), "paused_until": None}
        return Response(nobody | {"holders": {}, "items": []}, headers=PRIVATE)
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
    return Response(answer, headers=PRIVATE)


def _purposes_in(name: str, subject: uuid.UUID) -> list[str]:
    held = holder(name).held
    if held is None:
        return []
    keys = Purpose.objects.filter(site_id=SITE_ID).values_list("key", flat=True)
    return [key for key in keys if held(key).filter(subject_key=subject).exists()]


def _item(name: str, item: Item) -> dict[str, Any]:
    shown = ItemAnswer().fields.keys() - {"holder", "about"}
    return {"holder": name, "about": item.about.value} | {field: getattr(item, field) for field in shown}


class WishView(RightView):
    @extend_schema(
        request=WishBody,
        responses=KeptAnswer,
        parameters=[VISITOR, SUBJECT],
        summary="Take one thing out of use, or back into it, correct it, delete it, say that it is wrong",
        examples=[
            OpenApiExample(
                "Leave a segment",
                {"holder": "memberships", "name": "segment:9f86d081884c7d65", "wish": "hide"},
            )
        ],
    )
    def post(self, request: Request) -> Response:
        body = body_of(request, "holder", "name", "wish", "value")
        person = changer_of(request, body)
        asked = WishBody(data=body)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data
        try:
            with transaction.atomic():
                _fulfil(person, wanted)
                _note_change(person)
        except KeyError as error:
            raise ValidationError(
                {"holder": "Nothing of this holder can be changed."}, "unknown_holder"
            ) from error
        except Impossible as error:
            raise ValidationError({"name": str(error)}, "impossible") from error
        return _kept(person.subject)


def _fulfil(person: Person, wanted: Mapping[str, Any]) -> None:
    """Do what somebody wants of one item; raises KeyError and Impossible."""
    wish, value, now = Wish(wanted["wish"]), wanted.get("value", ""), timezone.now()
    if wish is Wish.DISPUTE:
        rights.dispute(
            person.subject,
            wanted["holder"],
            wanted["name"],
            value,
            channel=person.channel,
            verification=person.verification,
            now=now,
        )
    else:
        effects.steer(wanted["holder"], person.subject, wanted["name"], wish, value, now=now)
