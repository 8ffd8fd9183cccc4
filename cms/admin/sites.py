"""The site: its name, its locales, its time zone."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from unfold import widgets as unfold
from unfold.admin import ModelAdmin

from cms.admin.caps import CAP_FIELDS, CapForm, said_cap
from cms.forms import AnyModelForm
from cms.models import Site
from cms.publishing import recompile_all


class SiteSettingsForm(CapForm, AnyModelForm):
    cap_name = "offer_cap"

    locales = SimpleArrayField(
        forms.CharField(max_length=12),
        widget=unfold.UnfoldAdminTextInputWidget(),
        help_text="Separated by commas; the first one is the default.",
    )

    class Meta:
        model = Site
        fields = (
            "title",
            "host",
            "locales",
            "time_zone",
            "requires_key",
            "strict_events",
            "counts_when_seen",
            "recalculated_at",
        )

    def clean_locales(self) -> list[str]:
        locales: list[str] = self.cleaned_data["locales"]
        if len(set(locales)) != len(locales):
            raise ValidationError("Name each locale once.")
        return locales


@admin.register(Site)
class SiteSettingsAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    form = SiteSettingsForm
    list_display = ("title", "host", "shown_locales", "time_zone")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        cap = CAP_FIELDS if self.has_change_permission(request, obj) else "shown_cap"
        return (
            (None, {"fields": ("title", "host", "locales", "time_zone")}),
            ("Doors", {"fields": ("requires_key", "strict_events")}),
            ("Offers, over all pages", {"fields": (cap, "counts_when_seen")}),
            ("Segments", {"fields": ("recalculated_at",)}),
        )

    @admin.display(description="At most, a person")
    def shown_cap(self, site: Site) -> str:
        return said_cap(site.offer_cap)

    @admin.display(description="Locales")
    def shown_locales(self, site: Site) -> str:
        return ", ".join(site.locales)

    def save_model(self, request: HttpRequest, obj: Site, form: Any, change: bool) -> None:
        obj.save()
        obj.advance()
        if form.cap_changed:  # published pages carry it
            recompile_all(obj, now=timezone.now(), cause="The cap over all offers changed")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
