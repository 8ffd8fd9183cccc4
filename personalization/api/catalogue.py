"""`POST /api/v1/catalogue/{type}`: feed the items of a catalogue from outside, by the thousand (scope `manage`)."""

from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cms.catalogue import feed
from cms.errors import ContentError
from cms.models import BlockType
from personalization.api.access import require

MAX_ITEMS = 1_000


class ItemBody(serializers.Serializer[Any]):
    key = serializers.CharField()
    fields = serializers.DictField()  # type: ignore[assignment]  # the contract's word for a block's data


class FeedBody(serializers.Serializer[Any]):
    items = ItemBody(many=True)


class CatalogueView(APIView):
    @extend_schema(
        request=FeedBody, responses=OpenApiTypes.OBJECT, summary="Add and update items of a catalogue"
    )
    def post(self, request: Request, type_key: str) -> Response:
        key = require(request, "manage")
        type_ = (
            BlockType.objects.filter(site=key.site_id, key=type_key, catalogue=True)
            .select_related("site")
            .first()
        )
        if type_ is None:
            raise NotFound("There is no catalogue of this type.")
        items = request.data.get("items") if isinstance(request.data, dict) else None
        if not isinstance(items, list):
            raise ValidationError({"items": "Send a list of items."}, "invalid")
        if len(items) > MAX_ITEMS:
            raise ValidationError({"items": f"Send at most {MAX_ITEMS} items at once."}, "too_many")
        try:
            changed = feed(type_, items, now=timezone.now())
        except ContentError as error:
            first = error.problems[0]
            raise ValidationError({first.pointer: first.message}, first.code) from error
        return Response({"items": len(items), "changed": changed})
