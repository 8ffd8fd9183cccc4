"""What the dashboard shows: put together from the ledger, the holders and the person's wishes.

In: who looks, and when. Out: plain values for the template.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_
from django.utils.translation import ngettext

from consent import rights, wishes
from consent.api.asking import sends_gpc, subject_of, unset_state
from consent.api.signals import closed_by_signals
from consent.dashboard.links import link_of
from consent.decisions import history_of, states_of
from consent.effects import Effect, Stage, effects_of, in_words
from consent.holders import About, Item, holders
from consent.models import ConsentEvent, ConsentState, PrivacyRequest, Purpose
from consent.purposes import active_purposes, current_notice, spelled_notice, text_of
from consent.served import statement

SITE_ID = 1
SHOWN_DECISIONS = 20
# what the page says after a form, by the word in its address
SAID: Mapping[str, str] = {
    "saved": N_("Saved. The next page you open follows it."),
    "undone": N_("Taken back. Everything is as it was."),
    "too-late": N_("It is too late to take this back: the ten minutes are over."),
    "deleting": N_("It is being deleted now."),
    "hidden": N_("It is no longer used. The next page you open has forgotten it."),
    "shown": N_("It may be used again."),
    "deleted": N_("Deleted."),
    "corrected": N_("Corrected."),
    "disputed": N_("Your request has reached us. Until you show it again, it is not used."),
    "paused": N_("Paused. Nothing about you is read or stored until then."),
    "resumed": N_("The pause is over."),
    "period": N_("From now on, what you do here is kept no longer than this."),
    "reminder": N_("Saved."),
    "felt": N_("Thank you. We count the answers and do not note who gave them."),
    "export": N_("We are putting your data together. This page shows how far it is."),
    "reset": N_("What you did here is forgotten. What you told us and decided is kept."),
    "erasing": N_("Everything about you is closed, and will be erased in ten minutes."),
    "opted-out": N_("Nothing about you is sold or shared."),
    "limited": N_("Sensitive data about you are not used."),
    "objected": N_("You objected. It is switched off, and your objection is on record."),
    "proved": N_("Thank you, we know that it is you."),
    "not-proved": N_("This proof is not yours, or it cannot be read."),
    "guardian": N_("This can only be allowed by somebody who answers for you. Nothing was changed."),
    "nobody": N_("We do not know who you are: there is nothing to change."),
}


def person_of(request: HttpRequest) -> ConsentState | None:
    """Return the state of the one who looks; None for nobody."""
    visitor = subject_of(request)
    return ConsentState.objects.filter(subject_id=visitor).first() if visitor else None


def context_of(request: HttpRequest, *, now: dt.datetime) -> dict[str, Any]:
    """Return everything that the dashboard shows to the one who asks."""
    row = person_of(request)
    current = current_notice(SITE_ID, now=now)
    notice = spelled_notice(current, request.LANGUAGE_CODE)
    states = states_of(row, now=now, unset="unset" if row else unset_state(request, current.n), gpc=False)
    purposes = active_purposes(SITE_ID)
    gpc = sends_gpc(request) or bool(row and row.gpc)
    closed = closed_by_signals(request, SITE_ID) | {p.key for p in purposes if gpc and p.gpc_applies}
    context: dict[str, Any] = {
        "notice": notice,
        "served": statement(current.n, locale=notice["locale"], surface="page", now=now),
        "purposes": [
            p | {"state": states.get(p["key"], "unset"), "closed": p["key"] in closed}
            for p in (*notice["purposes"], *_decided_besides(row, notice, purposes))
        ],
        "gpc": gpc,
        "gpc_since": row.gpc_seen_at if row else None,
        "sold": any(p.sale_or_share and _is_open(p, states, closed) for p in purposes),
        "sensitive": any(p.sensitive and _is_open(p, states, closed) for p in purposes),
        "known": row is not None,
        "said": _said(request),
        "languages": settings.LANGUAGES,
    }
    titles = {p.key: p.title.get(notice["locale"]) or str(p) for p in purposes}
    context["objections"] = [
        (p.key, titles[p.key]) for p in purposes if not p.required and _is_open(p, states, closed)
    ]
    return context if row is None else context | _of_person(row, titles, now)


def _said(request: HttpRequest) -> str:
    """Return what the last form did, in words, with its effect where it says how many."""
    said = request.GET.get("said", "")
    return " ".join([_(SAID[said]), *_counted(request)]) if said in SAID else ""


def _counted(request: HttpRequest) -> Iterator[str]:
    """Yield the effects that an address counts, in words."""
    for name, words in _effects().items():
        number = request.GET.get(name, "")
        if number.isdecimal() and 0 < len(number) < 10:
            yield words(int(number)) % {"number": number}


def _effects() -> dict[str, Callable[[int], str]]:
    """Return what each number of an address says."""
    return {
        "left": lambda n: ngettext("You have left %(number)s group.", "You have left %(number)s groups.", n),
        "joined": lambda n: ngettext(
            "You are in %(number)s more group now.", "You are in %(number)s more groups now.", n
        ),
        "deleted": lambda n: ngettext("%(number)s thing was deleted.", "%(number)s things were deleted.", n),
        "older": lambda n: ngettext(
            "%(number)s older thing was deleted.", "%(number)s older things were deleted.", n
        ),
    }


def _is_open(purpose: Purpose, states: Mapping[str, str], closed: frozenset[str]) -> bool:
    return states.get(purpose.key) == "granted" and purpose.key not in closed


def _decided_besides(
    row: ConsentState | None, notice: Mapping[str, Any], purposes: Sequence[Purpose]
) -> list[dict[str, Any]]:
    """Return what this person decided once and nobody asks about today: it can be taken back all the same."""
    asked = {one["key"] for one in notice["purposes"]}
    decided = row.state if row is not None else {}
    return [text_of(p, notice["locale"]) for p in purposes if p.key in decided and p.key not in asked]


def _of_person(row: ConsentState, titles: Mapping[str, str], now: dt.datetime) -> dict[str, Any]:
    items = [(one.name, item) for one in holders() if one.known for item in one.known(row.pk, now)]
    decisions = decisions_of(row, titles, now=now)
    paused = row.paused_until if row.paused_until and row.paused_until > now else None
    called = {item.name: item.title for _name, item in items}
    requests = [_request(one, called, now) for one in rights.requests_of(row.pk)]
    return {
        "facts": _by_source(_about(items, About.FACT, titles)),
        "segments": _about(items, About.SEGMENT, titles),
        "pages": _about(items, About.PAGE, titles),
        "topics": _about(items, About.TOPIC, titles),
        "decisions": decisions,
        # a signal that came along with a first yes closes what was never open: nothing of it waits to be deleted
        "sealed": [one for one in decisions if one["effect"].stage == Stage.SEALED and one["effect_line"]],
        "working": any(one["effect"].stage == Stage.WORKING for one in decisions)
        or any(one["going"] for one in requests),
        "paused_until": paused,
        "pauses": [
            (days, ngettext("%(days)s day", "%(days)s days", days) % {"days": days}) for days in wishes.PAUSES
        ],
        "keep_days": row.keep_days,
        "periods": [(days, _months(days)) for days in wishes.PERIODS],
        "remind_days": row.remind_days,
        "reminders": [(days, _months(days)) for days in wishes.REMINDERS],
        "requests": requests,
        "erasing": next((one for one in requests if one["kind"] == "erase" and one["can_undo"]), None),
    }


def _months(days: int) -> str:
    months = max(1, round(days / 30.4))
    return ngettext("%(months)s month", "%(months)s months", months) % {"months": months}


def _about(
    items: Sequence[tuple[str, Item]], about: About, titles: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the items of one part of the page, each with its holder and its purposes in words."""
    return [
        {"holder": name, "item": item, "purposes": [titles.get(key, key) for key in item.purposes]}
        for name, item in items
        if item.about is about
    ]


def _by_source(facts: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return facts under the words that say where they come from."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in facts:
        groups.setdefault(one["item"].source, []).append(one)
    return list(groups.items())


# -- decisions ------------------------------------------------------------------------------------------

ACTIONS: Mapping[str, str] = {
    "granted": N_("allowed"),
    "refused": N_("refused"),
    "withdrawn": N_("withdrawn"),
    "expired": N_("ran out"),
    "opt_out_signal": N_("Global Privacy Control"),
    "merged": N_("joined with another device"),
    "paused": N_("paused"),
    "resumed": N_("pause ended"),
    "erased": N_("erased"),
}


def decisions_of(row: ConsentState, titles: Mapping[str, str], *, now: dt.datetime) -> list[dict[str, Any]]:
    """Return the person's decisions, the newest first, each with its receipt and its effect."""
    entries = history_of(row.subject_id)
    groups = [list(group) for _, group in groupby(entries, key=lambda one: (one.subject_key, one.at))]
    shown = groups[:SHOWN_DECISIONS]
    effects = effects_of(shown, now=now)
    return [_decision(events, effect, titles) for events, effect in zip(shown, effects, strict=True)]


def _decision(events: list[ConsentEvent], effect: Effect, titles: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": events[0].hash,
        "at": events[0].at,
        "entries": [
            f"{titles.get(e.purpose, '')} {_(ACTIONS.get(e.action, e.action))}".strip() for e in events
        ],
        "effect": effect,
        "effect_line": line_of(effect) if effect.units or _closes(events) else "",
    }


def _closes(events: Sequence[ConsentEvent]) -> bool:
    return any(event.action == "withdrawn" for event in events)


def line_of(effect: Effect) -> str:
    """Say what a decision did to what was kept, in one line."""
    things = ", ".join(effect.units) or _("nothing")
    if effect.stage == Stage.SEALED:
        return _("Sealed, nothing reads it: %(things)s.") % {"things": things}
    if effect.stage == Stage.WORKING:
        return _("Deleting …")
    if effect.stage == Stage.DONE:
        said = _("Deleted in %(seconds).1f s: %(things)s.") if effect.units else _("Nothing was kept for it.")
        return said % {"seconds": effect.seconds, "things": things} if effect.units else said
    if effect.stage == Stage.UNDONE:
        return _("Taken back.")
    if effect.stage == Stage.FAILED:
        return _("Something could not be deleted yet. We have been told, and try again.")
    return ""


# -- requests -------------------------------------------------------------------------------------------


def _forgotten(row: PrivacyRequest) -> str:
    """Say what was deleted when somebody asked to forget what they did."""
    units = in_words((name, number) for name, number in row.details.get("deleted", {}).items() if number)
    return _("Deleted: %(things)s.") % {"things": ", ".join(units) or _("nothing")}


def _request(row: PrivacyRequest, called: Mapping[str, str], now: dt.datetime) -> dict[str, Any]:
    """Return what somebody asked for; `called` is what the things that are known of them are called."""
    state, kind = rights.State, rights.Kind
    return {
        "id": row.pk,
        "kind": row.kind,
        "title": _(row.get_kind_display()),
        "about": called.get(row.details.get("name", ""), ""),
        "state": row.state,
        "state_title": _(row.get_state_display()),
        "received_at": row.received_at,
        "due_at": row.due_at,
        "open": row.state in (state.VERIFYING, state.WAITING, state.WORKING),
        "going": row.kind == kind.EXPORT and row.state in (state.WAITING, state.WORKING),
        "percent": round(100 * row.parts_done / row.parts) if row.parts else 0,
        "link": link_of(row.pk) if row.state == state.READY else "",
        "expires": row.result_expires,
        "answer": row.answer,
        "effect_line": _forgotten(row) if row.kind == kind.RESET else "",
        "until": row.not_before,
        "can_undo": row.kind == kind.ERASE
        and row.state in (state.WAITING, state.VERIFYING)
        and row.not_before > now,
    }
