"""What people asked for by right, with a clock each, and the steps of the office: four, each confirmed and on record.

The office sees a pseudonym; what an export holds is neither loaded nor shown. Who a request is about can be looked at in
their profile, and that is on record, too.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Case, F, QuerySet, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from cms.admin.notes import when
from cms.models import Site
from consent import access_log, rights
from consent.admin import QuietAdmin
from consent.deadlines import clock
from consent.models import AccessLog, PrivacyRequest
from consent.rights import OPEN, Kind, State
from personalization.admin import privacy_desk
from personalization.admin.clocks import clock_badge, pseudonym, state_badge
from personalization.segments.directory import directory_of

PROOFS: Final = {
    "": "not shown",
    "token": "their browser's token",
    "user": "signed in",
    "key": "a back end vouches for them",
    "staff": "confirmed by the office",
}


@dataclass(frozen=True, slots=True)
class Step:
    """What the office can do with a request: when it is offered, what it asks, and what it does.

    `act(request, sentence, now)` returns False when it came too late. `wants` is the label of a sentence for the person,
    which has to be written where `must` says so.
    """

    key: str
    title: str
    question: str
    done: str
    states: Collection[str]
    act: Callable[[PrivacyRequest, str, dt.datetime], bool]
    kinds: Collection[str] = tuple(Kind)
    wants: str = ""
    must: bool = False


STEPS: Final = (
    Step(
        "confirm",
        "Identity confirmed",
        "You have made sure that whoever asks is the person. An erasure is then carried out, and cannot be taken back.",
        "Their identity is confirmed; the request goes on.",
        (State.VERIFYING,),
        lambda row, _, now: rights.confirm(row, verification="staff", now=now),
    ),
    Step(
        "settle",
        "Mark as done",
        "You have put right what was wrong, wherever it is kept.",
        "The request is done.",
        (State.VERIFYING, State.WAITING, State.FAILED),
        lambda row, sentence, now: rights.settle(row, answer=sentence, now=now),
        kinds=(Kind.RECTIFY,),
        wants="What the person is told, if anything",
    ),
    Step(
        "again",
        "Try again",
        "The worker tries it once more, within seconds.",
        "It is tried again within seconds.",
        (State.FAILED,),
        lambda row, _, now: rights.begin_again(row, now=now),
        kinds=tuple(rights.WITH_PROOF),
    ),
    Step(
        "refuse",
        "Refuse…",
        "The person reads your sentence on the page of their privacy. A refusal needs a reason that the law knows.",
        "The request is refused.",
        (State.VERIFYING, State.WAITING, State.FAILED),
        lambda row, sentence, now: rights.refuse(row, answer=sentence, now=now),
        wants="What the person is told",
        must=True,
    ),
)


class Clock(admin.SimpleListFilter):
    """Whether an answer is still owed, and whether it is late."""

    title = "clock"
    parameter_name = "clock"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Open"), ("overdue", "Overdue"), ("answered", "Answered")]

    def queryset(
        self, request: HttpRequest, queryset: "QuerySet[PrivacyRequest]"
    ) -> "QuerySet[PrivacyRequest]":
        match self.value():
            case "open":
                return queryset.filter(state__in=OPEN)
            case "overdue":
                return queryset.filter(state__in=OPEN, due_at__lt=timezone.now())
            case "answered":
                return queryset.exclude(state__in=OPEN)
        return queryset


@admin.register(PrivacyRequest)
class PrivacyRequestAdmin(QuietAdmin):
    says_when_empty = (
        "What people ask for on the page of their privacy, or by your back end, comes here with its deadline."
    )
    list_display = ("__str__", "person", "law", "received", "due", "status", "proof")
    list_filter = (Clock, "state", "kind", "regime")
    search_fields = ("subject_key",)
    search_help_text = "A subject's key, whole"
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> "QuerySet[PrivacyRequest]":
        rows: QuerySet[PrivacyRequest] = super().get_queryset(request)
        return rows.defer("result_enc")

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """Put what is owed first, the most urgent on top; then what was answered, the newest first."""
        owed = Case(When(state__in=OPEN, then=F("due_at")))
        return [owed.asc(nulls_last=True), "-received_at"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        step = path("<uuid:pk>/step/<slug:step>/", view(self.step_view), name="consent_privacyrequest_step")
        return [*privacy_desk.urls(self.admin_site), step, *super().get_urls()]

    @admin.display(description="Person")
    def person(self, row: PrivacyRequest) -> str:
        return pseudonym(row)

    @admin.display(description="Law", ordering="regime")
    def law(self, row: PrivacyRequest) -> str:
        return row.regime.upper()

    @admin.display(description="Received", ordering="received_at")
    def received(self, row: PrivacyRequest) -> str:
        return when(row.received_at)

    @admin.display(description="Due", ordering="due_at")
    def due(self, row: PrivacyRequest) -> SafeString:
        return clock_badge(row, now=timezone.now())

    @admin.display(description="State", ordering="state")
    def status(self, row: PrivacyRequest) -> SafeString:
        return state_badge(row)

    @admin.display(description="Identity")
    def proof(self, row: PrivacyRequest) -> str:
        return PROOFS.get(row.verification, row.verification)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        """Show one request, in place of a form over the row."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self._row(request, object_id or "")
        may_answer = self.may_answer(request)
        shown = {
            **self._context(request, row),
            "facts": list(_facts(row)),
            "said": _said(row, request) if may_answer else "",
            "story": _story(row, now=timezone.now()),
            "steps": steps_of(row) if may_answer else (),
            "profile": _profile_url(request, row),
        }
        return render(request, "admin/consent/request.html", shown)

    def step_view(self, request: HttpRequest, pk: uuid.UUID, step: str) -> HttpResponse:
        """Ask whether it is meant, and do it."""
        if not self.may_answer(request):
            raise PermissionDenied
        row = self._row(request, str(pk))
        here = HttpResponseRedirect(_url(row))
        one = next((one for one in steps_of(row) if one.key == step), None)
        if one is None:
            messages.error(request, "This cannot be done with the request any more.")
            return here
        sentence = request.POST.get("sentence", "").strip()
        if request.method != "POST" or (one.must and not sentence) or len(sentence) > 500:
            problem = request.method == "POST"
            shown = {**self._context(request, row), "step": one, "problem": problem, "sentence": sentence}
            return render(request, "admin/consent/step.html", shown, status=400 if problem else 200)
        if _done(one, row, sentence, request):
            messages.success(request, one.done)
        else:
            messages.error(request, "Somebody was faster: the request has changed since.")
        return here

    def may_answer(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("consent.answer_privacyrequest"))

    def _row(self, request: HttpRequest, pk: str) -> PrivacyRequest:
        row = self.get_object(request, pk)
        if not isinstance(row, PrivacyRequest):
            raise Http404
        return row

    def _context(self, request: HttpRequest, row: PrivacyRequest) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "title": f"{row}, asked by {pseudonym(row)}",
            "row": row,
            "due": clock_badge(row, now=timezone.now()),
            "status": state_badge(row),
            "object": row,
            "opts": PrivacyRequest._meta,
        }


@transaction.atomic
def _done(step: Step, row: PrivacyRequest, sentence: str, request: HttpRequest) -> bool:
    """Do it and put it on record, both or neither."""
    now = timezone.now()
    if not step.act(row, sentence, now):
        return False
    access_log.note(
        access_log.Kind.REQUEST_ANSWERED,
        actor=access_log.staff(request.user),
        now=now,
        subject=row.subject_key,
        people=1,
        place=_url(row),
        reason=f"{row}: {step.title.rstrip('…')}",
        site_id=row.site_id,
    )
    return True


def _said(row: PrivacyRequest, request: HttpRequest) -> str:
    """Return what would be right in the person's words; that it was read is on record."""
    said = rights.said_in(row)
    if said:
        access_log.note(
            access_log.Kind.PROFILE_READ,
            actor=access_log.staff(request.user),
            now=timezone.now(),
            subject=row.subject_key,
            place=_url(row),
            site_id=row.site_id,
        )
    return said


def _url(row: PrivacyRequest) -> str:
    return reverse("admin:consent_privacyrequest_change", args=[row.pk])


def _profile_url(request: HttpRequest, row: PrivacyRequest) -> str:
    if row.subject_key is None or not request.user.has_perm("personalization.view_profile"):
        return ""
    return reverse("admin:personalization_profile_change", args=[row.subject_key])


def steps_of(row: PrivacyRequest) -> tuple[Step, ...]:
    """Return what can be done with a request now."""
    return tuple(one for one in STEPS if row.kind in one.kinds and row.state in one.states)


def open_badge(request: HttpRequest) -> str:
    """Return how many requests are open, for the menu; nothing where there is none, or one may not see them."""
    if not request.user.has_perm("consent.view_privacyrequest"):
        return ""
    number = PrivacyRequest.objects.filter(state__in=OPEN).count()
    return f"{number} open" if number else ""


def _facts(row: PrivacyRequest) -> Iterator[tuple[str, str]]:
    yield "Number", str(row.pk)
    yield "Law", row.regime.upper()
    yield "Received", f"{when(row.received_at)}, by {row.channel}"
    yield "Due", when(row.due_at)
    yield "Identity", PROOFS.get(row.verification, row.verification)
    if "name" in row.details:
        yield "About", _title(row)
    for name, value in row.details.items():
        if name == "name":
            continue
        yield name.replace("_", " ").capitalize(), _spelled(value)
    if row.parts:
        yield "Built", f"{row.parts_done} of {row.parts} parts"
    if row.attempts:
        yield "Attempts", str(row.attempts)
    if row.error:
        yield "Failed because of", row.error
    if row.answer:
        yield "The person is told", row.answer


def _title(row: PrivacyRequest) -> str:
    """Return what a fact that somebody says is wrong is called, and its name in rules."""
    name = str(row.details["name"])
    fact = directory_of(Site.objects.get(pk=row.site_id)).vocabulary.find(name)
    return f"{fact.label} ({name})" if fact is not None and fact.label != name else name


def _spelled(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_spelled(one)}" for name, one in value.items()) or "nothing"
    if isinstance(value, list):
        return ", ".join(map(_spelled, value)) or "nothing"
    return str(value)


def _story(row: PrivacyRequest, *, now: dt.datetime) -> list[tuple[dt.datetime, str, str]]:
    """Return what happened and what will: moment, words, and whether it is still to come."""
    story = [(row.received_at, f"Asked: {row}", f"by {row.channel}")]
    done = AccessLog.objects.filter(
        kind=access_log.Kind.REQUEST_ANSWERED, at__gte=row.received_at, place=_url(row)
    )
    story += [
        (one.at, one.reason.partition(": ")[2], f"by {one.actor.removeprefix('staff:')}") for one in done
    ]
    if row.not_before > row.received_at and row.state in (State.VERIFYING, State.WAITING):
        story.append((row.not_before, "Carried out from then on", "until then it can be taken back"))
    if row.done_at:
        story.append((row.done_at, f"Answered: {row.get_state_display().lower()}", row.answer))
    if row.state == State.READY and row.result_expires:
        story.append((row.result_expires, "The export is deleted", "unless it was fetched before"))
    if row.state in OPEN:
        story.append((row.due_at, "The answer is due", clock(row.due_at, now)))
    return sorted(story)
