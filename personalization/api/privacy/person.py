"""Who exercises a right: a visitor with their token, or a back end with a key for the subject that it names.

In: a request and its body. Out: whose right it is, through which door, and how we know that it is them.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import access_log
from consent.api.asking import NotKnown, limit, sends_gpc, subject_of, visitor_who_changes
from consent.decisions import How
from consent.identities import hash_is_valid, owner_of
from consent.models import ConsentState
from consent.rights import NobodyAsks
from personalization.api.access import key_of, require
from personalization.api.subjects import name_of_key, named_subject

SITE_ID: Final = 1
PRIVATE: Final = {"Cache-Control": "private, no-store"}
SUBJECT: Final = OpenApiParameter(
    "subject", str, description="With a key: a visitor_id, or `user:` and a userId."
)
VISITOR: Final = OpenApiParameter("X-Visitor", str, OpenApiParameter.HEADER)
_PROOF: Final = {"subject", "userId", "userHash"}


class RightView(APIView):
    # a door for somebody who may be erased while they ask; a docstring here would describe every route of the document

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(NotKnown() if isinstance(exc, NobodyAsks) else exc)


@dataclass(frozen=True, slots=True)
class Person:
    """Whose right it is, through which door it was exercised, and how we know that it is them."""

    subject: uuid.UUID
    channel: str
    verification: str


class ProofBody(serializers.Serializer[Any]):
    subject = serializers.CharField(
        required=False, help_text="With a key: a visitor_id, or `user:` and a userId."
    )
    userId = serializers.CharField(required=False)  # as in events
    userHash = serializers.CharField(
        required=False, help_text="Hex HMAC-SHA-256 of the userId: a known user must prove that it is them."
    )


def reader_of(request: Request) -> tuple[uuid.UUID | None, str]:
    """Return whose data are read, and by whom."""
    if key_of(request) is None:
        return subject_of(request), access_log.VISITOR
    key = require(request, "privacy")
    return _named(request.query_params.get("subject")), name_of_key(key.prefix)


def changer_of(request: Request, body: Mapping[str, Any]) -> Person:
    """Return whose right is exercised; raises NotKnown for nobody."""
    limit(request, "consent")
    if key_of(request) is not None:
        key = require(request, "privacy")
        subject = _named(body.get("subject") or request.query_params.get("subject"))
        return Person(subject, name_of_key(key.prefix)[:30], "key")
    visitor = visitor_who_changes(request)
    if visitor is None or not ConsentState.objects.filter(pk=visitor).exists():
        raise NotKnown("Send the visitor's token.")
    user, proof = body.get("userId"), body.get("userHash")
    proven = isinstance(user, str) and isinstance(proof, str) and hash_is_valid(user, proof)
    is_them = proven and owner_of("user", str(user)) == visitor
    return Person(visitor, "api", "user" if is_them else "token")


def body_of(request: Request, *allowed: str) -> Mapping[str, Any]:
    body = request.data
    if not isinstance(body, Mapping):
        raise ValidationError("Send a JSON object.", "invalid")
    unknown = body.keys() - {*allowed} - _PROOF
    if unknown:
        raise ValidationError(dict.fromkeys(sorted(unknown), "There is no such field."), "unknown_field")
    return body


def how_of(person: Person, request: Request, method: str, *, seal: bool = False) -> How:
    actor = "visitor" if person.verification != "key" else "key"
    return How(method=method, actor=actor, gpc=sends_gpc(request), site_id=SITE_ID, seal=seal)


def _named(who: object) -> uuid.UUID:
    """Return whom a key names; raises NotFound, alike for everything that is nobody."""
    if not isinstance(who, str) or not who:
        raise ValidationError(
            {"subject": "Name whose data it is: a visitor_id, or user: and a userId."}, "required"
        )
    return named_subject(who)
