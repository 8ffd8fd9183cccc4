"""Profiles: one person by pseudonym, cut by consent, with everything that happened and which segments opened and closed.

Looking is on record. What identifies is masked but for superusers; so is what is sensitive.
"""

import datetime as dt
import uuid
from collections.abc import Collection
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cms.admin.notes import when
from cms.language.vocabulary import Fact
from cms.models.site import current_site
from consent import access_log
from consent.admin import QuietAdmin
from consent.identities import owner_of
from consent.merging import survivor
from consent.models import ConsentState, Purpose
from personalization.chronicle import PAGE, chronicle
from personalization.models import Profile, Segment
from personalization.portrait import Portrait, portrait_of
from personalization.segments.directory import directory_of

MASKED: Final = "•••"


@admin.register(Profile)
class ProfileAdmin(QuietAdmin):
    says_when_empty = "A profile begins with the first event of somebody who allowed it."
    list_display = ("pseudonym", "orders", "revenue", "in_segments", "first_seen_at", "last_seen_at")
    ordering = ("-last_seen_at",)
    search_fields = ("subject_key",)
    search_help_text = "A visitor_id, or user: and a userId. Looking somebody up is on record."
    list_per_page = 50

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Profile]", search_term: str
    ) -> "tuple[QuerySet[Profile], bool]":
        """Find one person by an identifier; nobody is found by a part of one."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = _looked_up(term)
        if found is not None:
            access_log.note(
                access_log.Kind.IDENTIFIER_SEARCHED,
                actor=access_log.staff(request.user),
                now=timezone.now(),
                subject=found,
                place=request.path,
            )
        return queryset.filter(pk=found) if found else queryset.none(), False

    @admin.display(description="Person")
    def pseudonym(self, row: Profile) -> SafeString:
        url = reverse("admin:personalization_profile_change", args=[row.pk])
        return format_html('<a class="quiet-link" href="{}"><code>{}</code></a>', url, str(row.pk)[:13])

    @admin.display(description="Segments")
    def in_segments(self, row: Profile) -> int:
        return len(row.segments)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        """Show one person, in place of a form over the row; on record before it is shown."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        now = timezone.now()
        subject = _looked_up(object_id or "")
        portrait = portrait_of(subject, site=current_site(), now=now) if subject is not None else None
        if portrait is None or subject is None:
            raise Http404
        access_log.note(
            access_log.Kind.PROFILE_SEEN,
            actor=access_log.staff(request.user),
            now=now,
            subject=subject,
            purposes=portrait.gates.granted,
            place=request.path,
        )
        shown = {
            **self.admin_site.each_context(request),
            **_person(portrait, superuser=bool(request.user.is_superuser)),
            **_story(subject, portrait.gates.granted, request, now),
            "title": "Profile",
            "opts": Profile._meta,
        }
        return render(request, "admin/personalization/profile.html", shown)


def _looked_up(term: str) -> uuid.UUID | None:
    if term.startswith("user:"):
        return owner_of("user", term.removeprefix("user:"))
    try:
        return survivor(uuid.UUID(term))
    except ValueError:
        return None


def _person(portrait: Portrait, *, superuser: bool) -> dict[str, Any]:
    site = current_site()
    facts = directory_of(site).vocabulary.facts
    titles = dict(Segment.objects.filter(site=site).values_list("key", "title"))
    links = dict(Segment.objects.filter(site=site).values_list("key", "pk"))
    sensitive = set(Purpose.objects.filter(site_id=site.pk, sensitive=True).values_list("key", flat=True))
    traits = [
        (
            facts[name].label,
            MASKED if not superuser and _is_masked(facts[name], sensitive) else _spelled(facts[name], value),
            facts[name].purposes,
        )
        for name, value in portrait.traits.items()
    ]
    computed = [(facts[f"features.{name}"], value) for name, value in portrait.features.items()]
    profile = Profile.objects.filter(pk=portrait.subject).first()
    state = ConsentState.objects.get(pk=portrait.subject)
    return {
        "subject": portrait.subject,
        "granted": sorted(portrait.gates.granted),
        "gpc": state.gpc,
        "traits": [(label, value, ", ".join(sorted(purposes))) for label, value, purposes in traits],
        "features": [(fact.label, _spelled(fact, value)) for fact, value in computed],
        "segments": [
            (titles[key], links[key], key in portrait.contextual)
            for key in (*portrait.segments, *portrait.contextual)
        ],
        "scores": [(titles[key], value) for key, value in portrait.scores.items()],
        "excluded": sorted(portrait.excluded),
        "due": when(profile.due_at, "nothing is due") if profile else "nothing is due",
        "first_seen": when(profile.first_seen_at if profile else None),
        "last_seen": when(profile.last_seen_at if profile else None),
    }


def _is_masked(fact: Fact, sensitive: Collection[str]) -> bool:
    """Say whether editors may not read a fact: it tells who somebody is, or something that is delicate."""
    return fact.identifying or not fact.purposes.isdisjoint(sensitive)


def _spelled(fact: Fact, value: Any) -> Any:
    """Return a value as people read it: a date in their time zone, a list in one line."""
    if fact.type == "date":
        return when(dt.datetime.fromisoformat(value))
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _story(
    subject: uuid.UUID, granted: frozenset[str], request: HttpRequest, now: dt.datetime
) -> dict[str, Any]:
    before = _moment(request.GET.get("before", "")) or now + dt.timedelta(days=1)
    entries = chronicle(subject, granted=granted, before=before, sensitive=bool(request.user.is_superuser))
    older = entries[-1].at.isoformat() if len(entries) == PAGE else ""
    return {"entries": entries, "older": older, "first_page": "before" not in request.GET}


def _moment(text: str) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
