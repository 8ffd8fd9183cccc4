"""Templates: their slots in a form, their source checked, and the pages that use them compiled again."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from cms.admin.base import SiteAdmin
from cms.admin.block_types import type_titles
from cms.admin.declarations import DeclarationsField, SourceField, slots_schema
from cms.errors import errors_among
from cms.forms import SiteForm
from cms.keys import KEY_PATTERN
from cms.models import Template
from cms.publishing import recompile_using
from cms.review import source_problems


class TemplateForm(SiteForm):
    source = SourceField(
        help_text="Jinja2 that renders the page; sees 'page', 'slots' and 'site'. Empty: a plain rendering."
    )

    class Meta:
        model = Template
        fields = ("title", "key", "slots", "source")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "slots" in self.fields:
            self.fields["slots"] = DeclarationsField(schema=slots_schema(type_titles()), label="Slots")

    def clean_slots(self) -> list[Any]:
        slots: list[Any] = self.cleaned_data["slots"]
        keys = [slot.get("key", "") for slot in slots]
        wrong = [key for key in keys if not KEY_PATTERN.match(key)]
        if wrong:
            raise ValidationError(
                f"'{wrong[0]}' is not a key: small letters, digits, - and _.", "invalid_key"
            )
        if len(set(keys)) != len(keys):
            raise ValidationError("Every slot needs a key of its own.", "duplicate_key")
        return slots

    def clean_source(self) -> str:
        source: str = self.cleaned_data["source"]
        if errors := errors_among(source_problems(source, of_page=True)):
            raise ValidationError([ValidationError(p.message, p.code) for p in errors])
        return source


@admin.register(Template)
class TemplateAdmin(SiteAdmin):
    form = TemplateForm
    list_display = ("title", "key", "slot_names")
    search_fields = ("title", "key")
    fieldsets = (
        (None, {"fields": (("title", "key"),)}),
        ("Slots", {"fields": ("slots",)}),
        ("Rendering", {"fields": ("source",)}),
    )

    @admin.display(description="Slots")
    def slot_names(self, row: Template) -> str:
        return ", ".join(str(slot.get("title") or slot["key"]) for slot in row.slots)

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: Template, form: Any, change: bool) -> None:
        """Save; pages that use it are compiled again."""
        obj.save()
        obj.site.advance()
        if change and form.changed_data:
            cause = f"Template {obj.key} changed"
            recompile_using(obj, now=timezone.now(), cause=cause, author=request.user)
