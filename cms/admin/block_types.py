"""Block types: their fields in a form, their source checked, and the pages that show them compiled again."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from cms.admin.base import SiteAdmin
from cms.admin.declarations import DeclarationsField, SourceField, fields_schema, sentences
from cms.errors import errors_among
from cms.fields import parse_fields
from cms.forms import SiteForm
from cms.models import Block, BlockType
from cms.publishing import recompile_with
from cms.review import source_problems


def type_titles() -> dict[str, str]:
    """Return the block types that a field or a slot may allow, by key."""
    return dict(BlockType.objects.order_by("title").values_list("key", "title"))


class BlockTypeForm(SiteForm):
    source = SourceField(
        help_text="Jinja2 that renders one block to HTML; sees 'fields' and 'block'. Empty: a plain rendering."
    )

    class Meta:
        model = BlockType
        fields = ("title", "key", "catalogue", "fields", "source")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "fields" in self.fields:
            self.fields["fields"] = DeclarationsField(schema=fields_schema(type_titles()), label="Fields")

    def clean_fields(self) -> list[Any]:
        declared: list[Any] = self.cleaned_data["fields"]
        _, problems = parse_fields(declared)
        if problems:
            raise sentences(declared, problems)
        return declared

    def clean_source(self) -> str:
        source: str = self.cleaned_data["source"]
        if errors := errors_among(source_problems(source, of_page=False)):
            raise ValidationError([ValidationError(p.message, p.code) for p in errors])
        return source


@admin.register(BlockType)
class BlockTypeAdmin(SiteAdmin):
    form = BlockTypeForm
    list_display = ("title", "key", "number_of_fields", "number_of_blocks", "catalogue", "version")
    list_filter = ("catalogue",)
    search_fields = ("title", "key")
    fieldsets = (
        (None, {"fields": (("title", "key"), "catalogue")}),
        ("Fields", {"fields": ("fields",)}),
        ("Rendering", {"fields": ("source",)}),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[BlockType]":
        rows: QuerySet[BlockType] = super().get_queryset(request).annotate(blocks_count=Count("blocks"))
        return rows

    @admin.display(description="Fields")
    def number_of_fields(self, row: BlockType) -> int:
        return len(row.fields)

    @admin.display(description="Blocks")
    def number_of_blocks(self, row: Any) -> int:
        return int(row.blocks_count)

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: BlockType, form: Any, change: bool) -> None:
        """Save a new version; pages that show blocks of it are compiled again."""
        if change and form.changed_data:
            obj.version += 1
        obj.save()
        obj.site.advance(catalogue=obj.catalogue)
        if change and form.changed_data:
            recompile_with(
                Block.objects.filter(type=obj),
                now=timezone.now(),
                cause=f"Block type {obj.key} changed",
                author=request.user,
            )
