"""Experiences: what belongs together over several placements, and how often one person is shown it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from cms.admin.base import SiteAdmin
from cms.admin.caps import CAP_FIELDS, CapForm, said_cap
from cms.forms import SiteForm
from cms.models import Experience
from cms.publishing import recompile_all


class ExperienceForm(CapForm, SiteForm):
    class Meta:
        model = Experience
        fields = ("title", "key")


@admin.register(Experience)
class ExperienceAdmin(SiteAdmin):
    form = ExperienceForm
    list_display = ("title", "key", "shown_cap", "used")
    search_fields = ("title", "key")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        cap = CAP_FIELDS if self.has_change_permission(request, obj) else "shown_cap"
        return ("title", "key", cap)

    @admin.display(description="At most")
    def shown_cap(self, row: Experience) -> str:
        return said_cap(row.cap)

    @admin.display(description="Variants")
    def used(self, row: Experience) -> int:
        return row.variants.count()

    def save_model(self, request: HttpRequest, obj: Experience, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.cap_changed:  # published pages carry it
            recompile_all(obj.site, now=timezone.now(), cause=f"The cap of {obj} changed")
