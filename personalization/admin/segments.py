"""Segments: a rule as a sentence, how many it holds, whether it is open, and what its last refresh found."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold import widgets as unfold

from cms.admin.notes import badge, when
from cms.admin.vocabulary import vocabulary_answer
from cms.forms import LocalizedField, NumberField, PairsField, SiteForm, show_problems
from cms.language.explain import sentence
from cms.language.nodes import Problem, RuleError
from cms.language.parse import parse
from cms.models.site import current_site
from cms.pages import rule_problems
from cms.rule_widget import RuleField, RuleWidget
from consent.models import Purpose
from personalization.admin.care import lineage, overlaps_view, signs, size_curve, used_in
from personalization.admin.declared import RebuildingAdmin
from personalization.admin.gallery import gallery_view, recipes_json
from personalization.admin.points import PointsField, points_schema
from personalization.admin.reach import reach_view
from personalization.admin.runs import duration_of
from personalization.admin.see_as import see_as_view
from personalization.models import Segment, SegmentRun
from personalization.segments.directory import facts_for_segments, is_exempt, segment_problems
from personalization.segments.uses import uses_of

SMALL = 50
_PLACES = {"/rule": "rule", "/purposes": "purposes", "/parent": "parent", "/score": "points"}


def _url(name: str) -> Any:
    return lazy(lambda: reverse(f"admin:personalization_segment_{name}"), str)()


class SegmentForm(SiteForm):
    """A segment; `may_lower` is set by the admin for each request."""

    may_lower = False
    rule = RuleField(
        label="Rule",
        widget=RuleWidget(
            vocabulary_url=_url("vocabulary"), recipes_url=_url("recipes_json"), reach_url=_url("reach")
        ),
    )
    purposes = forms.MultipleChoiceField(
        required=False,
        label="Purposes of a list",
        widget=unfold.UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="For a list only; a rule names its own.",
    )

    points = PointsField(schema=points_schema({}, []), label="Points")
    enter = NumberField(required=False, label="In from so many points on")
    leave = NumberField(
        required=False,
        label="Out under so many points",
        help_text="Empty: the same. A lower number keeps people from flapping in and out.",
    )

    class Meta:
        model = Segment
        fields = (
            "title", "key", "kind", "parent", "rule", "purposes", "tiers", "attributes", "priority", "label",
            "topic", "min_size",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        segment = kwargs.get("instance")
        score = segment.score if segment is not None else {}
        shown = {name: score.get(name) for name in ("points", "enter", "leave")}
        kwargs["initial"] = {**shown, **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)
        if "rule" not in self.fields:
            return
        self.fields["rule"].check = self._rule_problems  # type: ignore[attr-defined]  # a rule field
        self.fields["rule"].widget.segment_id = self.instance.pk
        purposes = [(one.key, str(one)) for one in Purpose.objects.all()]
        self.fields["purposes"].choices = purposes  # type: ignore[attr-defined]  # a choice
        help_text = "What placeholders may show of it, such as discount: {{ user.segment.discount }}."
        self.fields["attributes"] = PairsField(required=False, label="Attributes", help_text=help_text)
        self.fields["label"] = LocalizedField(
            required=False, label="What visitors read", help_text=_LABEL_HELP
        )
        others = Segment.objects.exclude(pk=self.instance.pk)
        self.fields["parent"].queryset = others  # type: ignore[attr-defined]  # a choice
        known = facts_for_segments(self.instance.site_id or current_site().pk)
        titles = dict(others.values_list("key", "title"))
        self.fields["points"] = PointsField(
            schema=points_schema(titles, sorted({*known.events, *_events_in(score)})),
            label="Points",
            help_text=_POINTS_HELP,
        )

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
            score=self._score(cleaned),
        )
        errors = [p for p in segment_problems(drafted) if p.severity == "error"]
        show_problems(self, errors, _place_of)
        self.instance.score = drafted.score
        return cleaned

    def _score(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """Return the score that was typed; a segment of another kind keeps the one it has."""
        if cleaned["kind"] != Segment.Kind.SCORE:
            return dict(self.instance.score)
        thresholds = {name: cleaned[name] for name in ("enter", "leave") if cleaned.get(name) is not None}
        return {"points": cleaned["points"], **thresholds}


def _events_in(score: Mapping[str, Any]) -> list[str]:
    return [entry["event"] for entry in score.get("points", ()) if entry.get("event")]


_LABEL_HELP = "In “Why this?” and on the page of their privacy. Empty: the title."
_POINTS_HELP = "A row gives points for being in a segment, for each event, or for any other rule."


def _place_of(pointer: str) -> str | None:
    """Return the field that a problem's pointer speaks of."""
    if pointer.startswith("/score/"):
        return {"enter": "enter", "leave": "leave"}.get(pointer.split("/")[2], "points")
    return _PLACES.get(pointer)


@admin.register(Segment)
class SegmentAdmin(RebuildingAdmin):
    form = SegmentForm
    list_display = ("title", "sentence", "people", "state", "refreshed", "signs")
    list_filter = ("kind", "open", "tiers", "topic")
    search_fields = ("title", "key")
    readonly_fields = ("sentence", "people", "state", "last_run", "curve", "lineage", "used", "shared")
    list_before_template = "admin/personalization/last_run.html"
    conditional_fields = {
        "rule": "kind == 'rule'",
        "purposes": "kind == 'list'",
        "points": "kind == 'score'",
        "enter": "kind == 'score'",
        "leave": "kind == 'score'",
    }

    def get_urls(self) -> list[URLPattern]:
        def see_as(request: HttpRequest, page_id: int) -> HttpResponse:
            return see_as_view(self.admin_site, request, page_id)

        def gallery(request: HttpRequest) -> HttpResponse:
            return gallery_view(self.admin_site, request)

        def overlaps(request: HttpRequest, pk: int) -> HttpResponse:
            if not self.has_view_permission(request):
                raise PermissionDenied
            return overlaps_view(self.admin_site, request, pk)

        view = self.admin_site.admin_view
        mine = [
            path("see-as/<int:page_id>/", view(see_as), name="see-as"),
            path("vocabulary.json", view(self.vocabulary_view), name="personalization_segment_vocabulary"),
            path("reach/", view(reach_view), name="personalization_segment_reach"),
            path("recipes/", view(gallery), name="personalization_segment_recipes"),
            path("recipes.json", view(recipes_json), name="personalization_segment_recipes_json"),
            path(
                "display-recipes.json",
                view(recipes_json),
                {"display": True},
                name="personalization_segment_display_recipes_json",
            ),
            path("<int:pk>/overlaps/", view(overlaps), name="personalization_segment_overlaps"),
        ]
        return mine + list(super().get_urls())

    def vocabulary_view(self, request: HttpRequest) -> HttpResponse:
        """Answer what the rule of a segment may name: behaviour and other segments too, but no page's history."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return vocabulary_answer(facts_for_segments(current_site().pk))

    def get_fieldsets(self, request: HttpRequest, obj: Segment | None = None) -> Any:
        now = ("sentence", ("people", "state"), "last_run", "curve", "lineage", "used", "shared")
        how_it_fares = () if obj is None else (("Now", {"fields": now}),)
        return (
            (None, {"fields": (("title", "key"), ("kind", "parent"))}),
            ("Who is in it", {"fields": ("rule", "purposes", "points", ("enter", "leave"))}),
            *how_it_fares,
            ("For placeholders", {"fields": ("attributes", "priority")}),
            ("Exclusive tiers", {"fields": ("tiers",)}),
            ("For visitors", {"fields": ("label", "topic")}),
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
        if row.kind == Segment.Kind.SCORE:
            rows = len(row.score.get("points", ()))
            return f"{row.score.get('enter', 0):g} points or more, from {rows} row{'' if rows == 1 else 's'}"
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

    @admin.display(description="Signs")
    def signs(self, row: Segment) -> SafeString:
        return signs(row, now=timezone.now())

    @admin.display(description="Size over time")
    def curve(self, row: Segment) -> SafeString:
        return size_curve(row)

    @admin.display(description="Around it")
    def lineage(self, row: Segment) -> SafeString:
        return lineage(row)

    @admin.display(description="Used in")
    def used(self, row: Segment) -> SafeString:
        return used_in(row)

    @admin.display(description="Shared with others")
    def shared(self, row: Segment) -> SafeString:
        url = reverse("admin:personalization_segment_overlaps", args=[row.pk])
        return format_html(
            '<a class="quiet-link" href="{}">How many people are also in other segments</a>', url
        )

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Name what still uses a segment, as what stands in the way of its deletion."""
        shown, counts, needed, protected = super().get_deleted_objects(objs, request)
        return (
            shown,
            counts,
            needed,
            [*protected, *(place for one in objs for place in uses_of(one.site, one.key))],
        )

    def save_model(self, request: HttpRequest, obj: Segment, form: Any, change: bool) -> None:
        """Save and compile the directory: where somebody else is in a segment now, the worker counts again."""
        super().save_model(request, obj, form, change)
        if "min_size" in form.changed_data and obj.min_size < SMALL:
            messages.warning(
                request, f"{obj} personalises from {obj.min_size} people on: small groups can be recognised."
            )
        messages.info(request, "Everybody is being looked at again; the size appears in a few seconds.")
