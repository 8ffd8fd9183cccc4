"""Segments: a rule as a sentence, how many it holds, whether it is open, and what its last refresh found."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import lazy
from django.utils.safestring import SafeString
from unfold import widgets as unfold

from cms.admin.notes import badge, when
from cms.admin.vocabulary import vocabulary_answer
from cms.forms import PairsField, SiteForm, show_problems
from cms.language.explain import sentence
from cms.language.nodes import Problem, RuleError
from cms.language.parse import parse
from cms.models.site import current_site
from cms.pages import rule_problems
from cms.rule_widget import RuleField, RuleWidget
from consent.hints import hint
from consent.models import Purpose
from personalization.admin.declared import RebuildingAdmin
from personalization.admin.reach import reach_view
from personalization.admin.runs import duration_of
from personalization.admin.see_as import see_as_view
from personalization.models import Segment, SegmentRun
from personalization.segments.directory import facts_for_segments, is_exempt, segment_problems

SMALL = 50
_REFRESH = "personalization.tasks.refresh_all_segments"
_PLACES = {"/rule": "rule", "/purposes": "purposes", "/parent": "parent"}


def _facts_url() -> str:
    return reverse("admin:personalization_segment_vocabulary")


class SegmentForm(SiteForm):
    """A segment; `may_lower` is set by the admin for each request."""

    may_lower = False
    rule = RuleField(label="Who is in it", widget=RuleWidget(vocabulary_url=lazy(_facts_url, str)()))
    purposes = forms.MultipleChoiceField(
        required=False,
        label="Purposes of a list",
        widget=unfold.UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="For a list only; a rule names its own.",
    )

    class Meta:
        model = Segment
        fields = ("title", "key", "kind", "parent", "rule", "purposes", "attributes", "priority", "min_size")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "rule" not in self.fields:
            return
        self.fields["rule"].check = self._rule_problems  # type: ignore[attr-defined]  # a rule field
        purposes = [(one.key, str(one)) for one in Purpose.objects.all()]
        self.fields["purposes"].choices = purposes  # type: ignore[attr-defined]  # a choice
        help_text = "What placeholders may show of it, such as discount: {{ user.segment.discount }}."
        self.fields["attributes"] = PairsField(required=False, label="Attributes", help_text=help_text)
        self.fields["parent"].queryset = Segment.objects.exclude(pk=self.instance.pk)  # type: ignore[attr-defined]  # a choice

    def _rule_problems(self, rule: Mapping[str, Any]) -> list[Problem]:
        return rule_problems(rule, facts_for_segments(self.instance.site_id), "")

    def clean_min_size(self) -> int:
        wanted: int = self.cleaned_data["min_size"]
        before = self.initial.get("min_size", SMALL)
        if wanted < SMALL and wanted < before and not self.may_lower:
            raise ValidationError("Only a publisher may lower it under 50.", "forbidden")
        return wanted

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        drafted = Segment(
            pk=self.instance.pk,
            site=self.instance.site,
            kind=cleaned["kind"],
            rule=cleaned["rule"],
            parent=cleaned["parent"],
            purposes=cleaned["purposes"],
        )
        errors = [p for p in segment_problems(drafted) if p.severity == "error"]
        show_problems(self, errors, _PLACES.get)
        return cleaned


@admin.register(Segment)
class SegmentAdmin(RebuildingAdmin):
    form = SegmentForm
    list_display = ("title", "sentence", "people", "state", "refreshed")
    list_filter = ("kind", "open")
    search_fields = ("title", "key")
    readonly_fields = ("sentence", "people", "state", "last_run")
    list_before_template = "admin/personalization/last_run.html"

    def get_urls(self) -> list[URLPattern]:
        def see_as(request: HttpRequest, page_id: int) -> HttpResponse:
            return see_as_view(self.admin_site, request, page_id)

        view = self.admin_site.admin_view
        mine = [
            path("see-as/<int:page_id>/", view(see_as), name="see-as"),
            path("vocabulary.json", view(self.vocabulary_view), name="personalization_segment_vocabulary"),
            path("reach/", view(reach_view), name="personalization_segment_reach"),
        ]
        return mine + list(super().get_urls())

    def vocabulary_view(self, request: HttpRequest) -> HttpResponse:
        """Answer what the rule of a segment may name: behaviour and other segments too, but no page's history."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return vocabulary_answer(facts_for_segments(current_site().pk))

    def get_fieldsets(self, request: HttpRequest, obj: Segment | None = None) -> Any:
        now = () if obj is None else (("Now", {"fields": ("sentence", ("people", "state"), "last_run")}),)
        return (
            (None, {"fields": (("title", "key"), ("kind", "parent"))}),
            ("Rule", {"fields": ("rule", "purposes")}),
            *now,
            ("For placeholders", {"fields": ("attributes", "priority")}),
            ("Small groups", {"fields": ("min_size",)}),
        )

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        may_lower = request.user.has_perm("personalization.lower_min_size")
        made = super().get_form(request, obj, change, **kwargs)
        return type(made)(made.__name__, (made,), {"may_lower": may_lower})

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        run = SegmentRun.objects.first()
        said = (
            f"{run}: {run.profiles:,} profiles in {duration_of(run)}, {run.entered} entered, {run.left} left"
            if run
            else ""
        )
        return super().changelist_view(request, {**(extra_context or {}), "last_run": said})

    @admin.display(description="Rule")
    def sentence(self, row: Segment) -> str:
        if row.kind == Segment.Kind.LIST:
            return "By list"
        try:
            own = sentence(parse(row.rule), facts_for_segments(row.site_id)) if row.rule else ""
        except RuleError:
            own = "A rule that cannot be read"
        inside = f"in {row.parent}" if row.parent else ""
        return ", ".join(filter(None, (own, inside))) or "No rule yet"

    @admin.display(description="People")
    def people(self, row: Segment) -> str:
        if not row.purposes and row.kind == Segment.Kind.RULE:
            return "by context, not counted"
        return "not counted yet" if row.size is None else f"{row.size:,}"

    @admin.display(description="State")
    def state(self, row: Segment) -> SafeString:
        if is_exempt(row) or row.open:
            return badge("open", "good")
        if row.size is None:
            return badge("waiting to be counted", "open")
        missing = row.min_size - row.size
        return badge(f"waiting for {missing} more {'person' if missing == 1 else 'people'}", "open")

    @admin.display(description="Counted")
    def refreshed(self, row: Segment) -> str:
        return when(row.refreshed_at)

    @admin.display(description="Last run")
    def last_run(self, row: Segment) -> str:
        run = SegmentRun.objects.filter(site=row.site).first()
        if run is None:
            return "not yet"
        found = run.differences.get(row.key, {})
        moved = f"{found.get('entered', 0)} entered, {found.get('left', 0)} left"
        return f"{when(run.started_at)}, {duration_of(run)}: {moved}"

    def save_model(self, request: HttpRequest, obj: Segment, form: Any, change: bool) -> None:
        """Save, compile the directory, and ask the worker to count again."""
        super().save_model(request, obj, form, change)
        hint(_REFRESH)
        if "min_size" in form.changed_data and obj.min_size < SMALL:
            messages.warning(
                request, f"{obj} personalises from {obj.min_size} people on: small groups can be recognised."
            )
        messages.info(request, "Everybody is being looked at again; the size appears in a few seconds.")
