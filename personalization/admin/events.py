"""The catalogue of events, with how much came and what became of it; and events as they arrive.

A declared name has a schema and purposes; a name that only came is listed as seen, and can be declared with one step.
The live list shows people by pseudonym, and opening it is on record.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Max, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold import widgets as unfold

from cms.admin.charts import bars, line_chart
from cms.admin.notes import badge, when
from cms.forms import SiteForm
from cms.models.site import current_site
from consent import access_log
from consent.gates import CLOSED, SENSITIVE
from consent.models import AccessLog, Purpose
from personalization.admin.declared import RebuildingAdmin
from personalization.chronicle import may_be_read, spelled
from personalization.events import forget_declared
from personalization.folding import gates_of_subjects
from personalization.ingest.catalogue import schema_problem
from personalization.models import Event, EventCount, EventType
from personalization.segments.uses import segments_that_ask

DAYS: Final = 30
LIVE: Final = 50
ONE_LOOK: Final = dt.timedelta(minutes=1)
REASONS: Final[Mapping[str, str]] = {
    "": "kept",
    "no_consent": "dropped: not allowed",
    "bot": "dropped: a bot",
    "clock_skew": "dropped: from the future",
    "too_old": "dropped: older than is kept",
    "undeclared_event": "dropped: not declared",
    "schema": "dropped: breaks its schema",
    "untrusted": "dropped: only servers may send it",
    "duplicate": "dropped: came before",
    "invalid": "dropped: not readable",
    "unknown_type": "dropped: no such call",
    "too_deep": "dropped: nested too deep",
    "too_large": "dropped: too large",
    "undeclared": "cut: a trait that nobody declared",
    "wrong_type": "cut: of another type than declared",
    "schema_warning": "kept, though it breaks its schema",
    "other_user_warning": "kept, but not joined: the visitor is somebody else already",
}


class EventTypeForm(SiteForm):
    purposes = forms.MultipleChoiceField(
        required=False,
        widget=unfold.UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="What it may be used for, where allowed; none means analytics, personalization and profiling.",
    )

    class Meta:
        model = EventType
        fields = (
            "key",
            "title",
            "description",
            "declared",
            "schema",
            "purposes",
            "from_server",
            "retention_days",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "purposes" in self.fields:
            choices = [(one.key, str(one)) for one in Purpose.objects.all()]
            self.fields["purposes"].choices = choices  # type: ignore[attr-defined]  # a choice
        if "schema" in self.fields:
            widget = unfold.UnfoldAdminTextareaWidget(
                {"rows": 12, "class": "source-text", "spellcheck": "false"}
            )
            self.fields["schema"].widget = widget
            self.fields["schema"].required = False

    def clean_schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = self.cleaned_data["schema"] or {}
        if schema and (problem := schema_problem(schema)):
            place, sentence = problem
            raise ValidationError(f"{place or '/'}: {sentence}", "invalid")
        return schema


@admin.register(EventType)
class EventTypeAdmin(RebuildingAdmin):
    form = EventTypeForm
    list_display = ("__str__", "key", "state", "shown_purposes", "volume", "last_seen")
    list_filter = ("declared", "from_server")
    search_fields = ("key", "title", "description")
    readonly_fields = ("shape", "curve", "became", "used")
    list_before_template = "admin/personalization/events_above.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        mine = [
            path("live/", view(self.live_view), name="personalization_event_live"),
            path("live.json", view(self.live_json), name="personalization_event_live_json"),
        ]
        return mine + list(super().get_urls())

    def get_fieldsets(self, request: HttpRequest, obj: EventType | None = None) -> Any:
        now = () if obj is None else (("What came", {"fields": ("curve", "became", "shape", "used")}),)
        return (
            (None, {"fields": (("key", "title"), "description", "declared")}),
            *now,
            ("What it holds", {"fields": ("schema",)}),
            ("What it may be used for", {"fields": ("purposes", ("from_server", "retention_days"))}),
        )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[EventType]":
        rows: QuerySet[EventType] = super().get_queryset(request)
        self.counted = _volumes(days=7)
        return rows

    def save_model(self, request: HttpRequest, obj: EventType, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        forget_declared()

    @admin.display(description="State")
    def state(self, row: EventType) -> SafeString:
        return badge("declared", "good") if row.declared else badge("seen, not declared", "open")

    @admin.display(description="Purposes")
    def shown_purposes(self, row: EventType) -> str:
        return ", ".join(row.purposes) or "the usual three"

    @admin.display(description="In 7 days")
    def volume(self, row: EventType) -> str:
        return f"{self.counted.get(row.key, 0):,}"

    @admin.display(description="Last came")
    def last_seen(self, row: EventType) -> str:
        return when(row.last_seen_at)

    @admin.display(description="The shape of a recent one")
    def shape(self, row: EventType) -> SafeString | str:
        if not row.sample:
            return "Nothing came yet."
        rows = format_html_join("", "<dt><code>{}</code></dt><dd>{}</dd>", sorted(row.sample.items()))
        return format_html('<dl class="facts">{}</dl>', rows)

    @admin.display(description="By day")
    def curve(self, row: EventType) -> SafeString:
        today = timezone.now().date()
        kept = EventCount.objects.filter(
            site=row.site, name=row.key, reason="", day__gt=today - dt.timedelta(days=DAYS)
        )
        by_day = dict(kept.values_list("day", "count"))
        days = [today - dt.timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
        return line_chart([(f"{day:%-d %b}", by_day.get(day, 0)) for day in days], title=f"{row} by day")

    @admin.display(description="What became of it")
    def became(self, row: EventType) -> SafeString:
        since = timezone.now().date() - dt.timedelta(days=DAYS)
        counts = EventCount.objects.filter(site=row.site, name=row.key, day__gt=since)
        sums = counts.values("reason").annotate(n=Sum("count")).order_by("-n")
        return bars([(said(one["reason"]), one["n"]) for one in sums], title=f"The last {DAYS} days")

    @admin.display(description="Rules that ask for it")
    def used(self, row: EventType) -> SafeString | str:
        asking = segments_that_ask(row.site, row.key)
        if not asking:
            return "No segment."
        links = ((reverse("admin:personalization_segment_change", args=[s.pk]), s.title) for s in asking)
        return format_html_join(", ", '<a class="quiet-link" href="{}">{}</a>', links)

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """Show events as they arrive; opening it is on record."""
        self._may_look(request)
        self._on_record(request)
        shown = {**self.admin_site.each_context(request), "title": "Live events", "opts": EventType._meta}
        return render(request, "admin/personalization/live.html", shown)

    def live_json(self, request: HttpRequest) -> JsonResponse:
        """Answer the newest events, and what became of today's messages."""
        self._may_look(request)
        self._on_record(request)
        return JsonResponse(live_document(request.user, name=request.GET.get("name", "")))

    @staticmethod
    def _on_record(request: HttpRequest) -> None:
        """Write down who looks, once a minute for as long as they do."""
        now, actor = timezone.now(), access_log.staff(request.user)
        mine = AccessLog.objects.filter(kind=access_log.Kind.SAMPLE_SEEN, actor=actor, at__gt=now - ONE_LOOK)
        if not mine.exists():
            people = Event.objects.values("subject_key").order_by("-pk")[:LIVE].count()
            access_log.note(
                access_log.Kind.SAMPLE_SEEN, actor=actor, now=now, people=people, place=request.path
            )

    def _may_look(self, request: HttpRequest) -> None:
        if not request.user.has_perm("personalization.view_profile"):
            raise PermissionDenied


def said(reason: str) -> str:
    """Say what became of a message."""
    return REASONS.get(reason, reason.replace("_", " "))


def _volumes(*, days: int) -> dict[str, int]:
    since = timezone.now().date() - dt.timedelta(days=days)
    counts = EventCount.objects.filter(site=current_site(), reason="", day__gt=since)
    return dict(counts.values("name").annotate(n=Sum("count")).values_list("name", "n"))


def live_document(user: Any, *, name: str = "") -> dict[str, Any]:
    """Return the newest events by pseudonym and today's counts by reason."""
    rows = Event.objects.filter(site_id=current_site().pk)
    if name:
        rows = rows.filter(name=name)
    shows_all = not isinstance(user, AnonymousUser) and bool(user.is_superuser)
    today = EventCount.objects.filter(site=current_site(), day=timezone.now().date())
    reasons = today.values("reason").annotate(n=Sum("count"), last=Max("last_at")).order_by("-n")
    newest = list(rows.order_by("-pk")[:LIVE])
    gates = gates_of_subjects([row.subject_key for row in newest], now=timezone.now())
    allowed = [row for row in newest if may_be_read(row.purposes, gates.get(row.subject_key, CLOSED).granted)]
    return {
        "events": [_live(row, shows_all) for row in allowed],
        "names": sorted(set(today.values_list("name", flat=True)))[:200],
        "reasons": [
            {
                "reason": said(one["reason"]),
                "count": f"{one['n']:,}",
                "last": one["last"],
                "kept": not one["reason"],
            }
            for one in reasons
        ],
    }


def _live(row: Event, shows_all: bool) -> dict[str, Any]:
    hidden = SENSITIVE in row.purposes and not shows_all
    return {
        "id": row.pk,
        "at": row.received_at,
        "name": row.name,
        "kind": row.kind,
        "person": str(row.subject_key)[:8],
        "url": reverse("admin:personalization_profile_change", args=[row.subject_key]),
        "purposes": row.purposes,
        "holds": "sensitive" if hidden else spelled(row.properties),
    }
