"""Experiences: what belongs together over several placements, and how often one person is shown it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from unfold import widgets as unfold

from cms.admin.base import SiteAdmin
from cms.forms import SiteForm
from cms.models import Experience
from cms.pacing import cap_problems
from cms.publishing import recompile_all


class ExperienceForm(SiteForm):
    cap = forms.JSONField(
        required=False,
        label="At most, per person",
        help_text='{"times": 1, "within": "P7D"}; empty means as often as its variants hold.',
        widget=unfold.UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )

    class Meta:
        model = Experience
        fields = ("title", "key", "cap")

    def clean_cap(self) -> Any:
        cap = self.cleaned_data["cap"] or None
        if problems := list(cap_problems(cap, "")):
            raise ValidationError(problems[0].message)
        return cap


@admin.register(Experience)
class ExperienceAdmin(SiteAdmin):
    form = ExperienceForm
    list_display = ("title", "key", "shown_cap", "used")
    search_fields = ("title", "key")

    @admin.display(description="At most")
    def shown_cap(self, row: Experience) -> str:
        if not row.cap:
            return "as often as it holds"
        within = f" within {row.cap['within']}" if row.cap.get("within") else ""
        return f"{row.cap['times']} times{within}"

    @admin.display(description="Variants")
    def used(self, row: Experience) -> int:
        return row.variants.count()

    def save_model(self, request: HttpRequest, obj: Experience, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "cap" in form.changed_data:  # published pages carry it
            recompile_all(obj.site, now=timezone.now(), cause=f"The cap of {obj} changed")
