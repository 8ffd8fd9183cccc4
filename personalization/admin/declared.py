"""Traits and attributes: what may be known about readers, and what segments carry for placeholders."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold import widgets as unfold

from cms.admin.base import SiteAdmin
from cms.forms import LocalizedField, SiteForm
from consent.models import Purpose
from personalization.models import Attribute, Trait
from personalization.segments.directory import rebuild

_DEFAULT_HELP = "What placeholders show when there is nothing to show."
_LABEL_HELP = "In “Why this?” and on the page of their privacy. Empty: the title."


class TraitForm(SiteForm):
    purpose = forms.ChoiceField(
        widget=unfold.UnfoldAdminSelectWidget(), help_text="Who has not allowed it is not known by it."
    )

    class Meta:
        model = Trait
        fields = ("key", "title", "type", "purpose", "source", "identifying", "default", "label")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "purpose" in self.fields:
            choices = [(one.key, str(one)) for one in Purpose.objects.all()]
            self.fields["purpose"].choices = choices  # type: ignore[attr-defined]  # a choice
            self.fields["default"] = LocalizedField(required=False, label="Default", help_text=_DEFAULT_HELP)
            self.fields["label"] = LocalizedField(
                required=False, label="What visitors read", help_text=_LABEL_HELP
            )


class RebuildingAdmin(SiteAdmin):
    """The admin of rows that the directory is made of: a new version of it with every change."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.save()
        rebuild(obj.site)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        site = obj.site
        obj.delete()
        rebuild(site)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for row in queryset:
            self.delete_model(request, row)


@admin.register(Trait)
class TraitAdmin(RebuildingAdmin):
    form = TraitForm
    list_display = ("__str__", "key", "type", "purpose", "source", "identifying")
    list_filter = ("type", "purpose", "source")
    search_fields = ("key", "title")
    fields = (("key", "title"), ("type", "purpose"), ("source", "identifying"), "default", "label")


class AttributeForm(SiteForm):
    class Meta:
        model = Attribute
        fields = ("key", "default")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "default" in self.fields:
            self.fields["default"] = LocalizedField(required=False, label="Default", help_text=_DEFAULT_HELP)


@admin.register(Attribute)
class AttributeAdmin(RebuildingAdmin):
    form = AttributeForm
    list_display = ("key", "shown_default")
    fields = ("key", "default")

    @admin.display(description="Default")
    def shown_default(self, row: Attribute) -> str:
        return ", ".join(f"{text} ({locale})" for locale, text in row.default.items()) or "none"
