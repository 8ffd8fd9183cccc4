"""Experiences: what belongs together over several placements, and how often and how steadily it is shown."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from cms.admin.base import SiteAdmin
from cms.admin.caps import CAP_FIELDS, CapForm, IntervalForm, said_cap
from cms.forms import SiteForm
from cms.models import Experience
from cms.publishing import recompile_all


class ExperienceForm(CapForm, IntervalForm, SiteForm):
    class Meta:
        model = Experience
        fields = ("title", "key", "min_interval")


@admin.register(Experience)
class ExperienceAdmin(SiteAdmin):
    form = ExperienceForm
    list_display = ("title", "key", "shown_cap", "used")
    search_fields = ("title", "key")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        cap = CAP_FIELDS if self.has_change_permission(request, obj) else "shown_cap"
        return ("title", "key", cap, "min_interval")

    @admin.display(description="At most")
    def shown_cap(self, row: Experience) -> str:
        return said_cap(row.cap)

    @admin.display(description="Variants")
    def used(self, row: Experience) -> int:
        return row.variants.count()

    def save_model(self, request: HttpRequest, obj: Experience, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.cap_changed or "min_interval" in form.changed_data:  # published pages carry both
            recompile_all(obj.site, now=timezone.now(), cause=f"The pace of {obj} changed")
