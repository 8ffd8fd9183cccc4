"""`/privacy/` and its forms: each view reads a form, makes one call into `consent`, and leads back to the dashboard."""

import datetime as dt
import json
import uuid
from dataclasses import asdict
from urllib.parse import urlencode

from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from consent import effects, rights, wishes
from consent.api.asking import (
    fresh_token,
    jurisdiction_of,
    sends_gpc,
    set_refusal_cookie,
    set_visitor_cookie,
    subject_of,
)
from consent.dashboard.doors import form, page, site_form
from consent.dashboard.links import export_of_link
from consent.dashboard.page import context_of, person_of
from consent.decisions import DecisionError, How, decide, history_of, undo
from consent.holders import Impossible, Wish
from consent.identities import hash_is_valid, owner_of
from consent.models import ConsentState, PrivacyRequest
from consent.purposes import active_purposes, asked_for, current_notice, spelled_notice
from consent.receipts import receipts_of
from consent.served import served_id

SITE_ID = 1
PROOF_COOKIE = "tessera_proof"
PROOF_SECONDS = 15 * 60


@page
def dashboard(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return decide_here(request)
    if request.method not in ("GET", "HEAD"):
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD, POST"})
    now = timezone.now()
    row = person_of(request)
    if row is not None:
        wishes.seen(row.pk, now=now)
    return render(request, "consent/dashboard.html", context_of(request, now=now))


dashboard.csrf_exempt = True  # type: ignore[attr-defined]  # `form` looks at who sends it


def back(request: HttpRequest, said: str, place: str = "said", **counts: int) -> HttpResponse:
    """Lead back to the page that the form names, else to the dashboard, with what is to be said there, and how many."""
    target = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(target, allowed_hosts=None) and target.startswith("/"):
        return HttpResponseRedirect(target)
    query = {"said": said} | ({"lang": language} if (language := request.POST.get("lang")) else {})
    query |= {name: str(number) for name, number in counts.items() if number}
    return HttpResponseRedirect(f"{reverse('privacy')}?{urlencode(query)}#{place}")


def _how(request: HttpRequest, method: str = "privacy_page", *, seal: bool = False) -> How:
    now = timezone.now()
    notice = current_notice(SITE_ID, now=now)
    return How(
        method=method,
        gpc=sends_gpc(request),
        notice=str(notice.n),
        served_id=served_id(request.POST.get("served"), notice.n),
        jurisdiction=jurisdiction_of(request),
        site_id=SITE_ID,
        payload={"language": spelled_notice(notice, request.LANGUAGE_CODE)["locale"]},
        seal=seal,
    )


def verified(request: HttpRequest, subject: uuid.UUID) -> str:
    """Say how we know that it is them: `user` while their proof is fresh, else `token`."""
    kept = request.COOKIES.get(PROOF_COOKIE, "")
    try:
        who, at = Signer(salt="tessera.proof", sep=".").unsign(kept).split("-")
    except (BadSignature, ValueError):
        return "token"
    fresh = 0 <= timezone.now().timestamp() - int(at) <= PROOF_SECONDS
    return "user" if fresh and who == subject.hex else "token"


# -- decisions ------------------------------------------------------------------------------------------


@form
def decide_here(request: HttpRequest) -> HttpResponse:
    """Record the purposes that were chosen; what is withdrawn is sealed for ten minutes first."""
    now = timezone.now()
    asked = [p.key for p in asked_for(SITE_ID) if not p.required]
    row, everything = person_of(request), request.POST.get("all")
    if everything != "yes":  # what is not asked for today can be taken back, and is not part of "everything"
        asked += sorted(set(row.state if row else ()) - set(asked))
    answers = {key: _answer(request, key) for key in asked}
    choices = {key: wanted for key, wanted in answers.items() if wanted is not None}
    notice = current_notice(SITE_ID, now=now)
    if request.POST.get("notice") != str(notice.n):
        return render(request, "consent/superseded.html", status=409)
    return _decided(request, choices, notice.n, now)


def _decided(request: HttpRequest, choices: dict[str, bool], notice: int, now: dt.datetime) -> HttpResponse:
    visitor = subject_of(request)
    row = ConsentState.objects.filter(pk=visitor).first() if visitor else None
    changed = {
        key: wanted for key, wanted in choices.items() if row is None or _differs(row, key, wanted, now)
    }
    response = back(request, "saved")
    if row is not None and not changed:
        return response
    try:
        decision = decide(visitor, changed, how=_how(request, seal=True), now=now)
    except DecisionError:  # a child, alone
        return back(request, "guardian")
    if decision.subject_id:
        set_visitor_cookie(response, request, fresh_token(decision.subject_id))
    else:
        set_refusal_cookie(response, request, notice)
    return response


def _differs(row: ConsentState, key: str, wanted: bool, now: dt.datetime) -> bool:
    """Say whether an answer is news: a form sends every purpose, also those that nobody touched."""
    state = row.state.get(key, "unset")
    if wanted:
        ran_out = bool(row.expires.get(key, now.timestamp() + 1) <= now.timestamp())
        return state != "granted" or ran_out
    return state not in ("refused", "withdrawn")


def _answer(request: HttpRequest, key: str) -> bool | None:
    everything = request.POST.get("all")
    if everything in ("yes", "no"):
        return everything == "yes"
    return {"yes": True, "no": False}.get(request.POST.get(key, ""))


@form
def take_back(request: HttpRequest) -> HttpResponse:
    """Undo what is still sealed, an erasure included."""
    row = person_of(request)
    if row is None:
        return back(request, "nobody")
    now, how = timezone.now(), _how(request, "undo")
    erasing = [one for one in rights.requests_of(row.pk) if one.kind == rights.Kind.ERASE]
    taken = any(rights.take_back(one, how=how, now=now) for one in erasing)
    return back(request, "undone" if undo(row.pk, how=how, now=now) or taken else "too-late")


@form
def delete_now(request: HttpRequest) -> HttpResponse:
    row = person_of(request)
    if row is not None:
        effects.delete_now(row.pk, now=timezone.now())
    return back(request, "deleting" if row else "nobody")


# -- one thing that is known ------------------------------------------------------------------------------

_DONE = {Wish.HIDE: "hidden", Wish.SHOW: "shown", Wish.DELETE: "deleted", Wish.CORRECT: "corrected"}


@form
def steer(request: HttpRequest) -> HttpResponse:
    """Fulfil a wish about one item; one that cannot be is told at its place, with what was written."""
    row = person_of(request)
    if row is None:
        return back(request, "nobody")
    name, value, now = request.POST.get("name", ""), request.POST.get("value", ""), timezone.now()
    try:
        wish = Wish(request.POST.get("wish", ""))
        holder = request.POST.get("holder", "")
        if wish is Wish.DISPUTE:
            proof = verified(request, row.pk)
            rights.dispute(row.pk, holder, name, value, channel="dashboard", verification=proof, now=now)
            return back(request, "disputed", "known")
        did = effects.steer(holder, row.pk, name, wish, value, now=now)
    except Impossible as error:
        problem = {"name": name, "value": value, "sentence": str(error)}
        context = context_of(request, now=now) | {"problem": problem}
        return render(request, "consent/dashboard.html", context, status=400)
    except (ValueError, KeyError) as error:
        raise Http404 from error
    return back(request, _DONE[wish], "known", **asdict(did))


# -- wishes ---------------------------------------------------------------------------------------------


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.POST.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 6 else None


@form
def pause(request: HttpRequest) -> HttpResponse:
    row, days = person_of(request), _number(request, "days")
    if row is None:
        return back(request, "nobody")
    now = timezone.now()
    if days == 0:
        wishes.resume(row.pk, now=now)
        return back(request, "resumed")
    if days not in wishes.PAUSES:
        raise Http404
    with transaction.atomic():
        wishes.pause(row.pk, days=days, now=now)
        rights.ask(
            rights.Kind.PAUSE,
            row.pk,
            channel="dashboard",
            verification=verified(request, row.pk),
            now=now,
            details={"days": days},
            done=True,
        )
    return back(request, "paused")


@form
def keep_for(request: HttpRequest) -> HttpResponse:
    row, days = person_of(request), _number(request, "days")
    if row is None:
        return back(request, "nobody")
    if days is not None and days not in (0, *wishes.PERIODS):
        raise Http404
    deleted = wishes.keep_for(row.pk, days=days or None, now=timezone.now())
    return back(request, "period", older=deleted if days else 0)


@form
def remind(request: HttpRequest) -> HttpResponse:
    row, days = person_of(request), _number(request, "days")
    if row is None:
        return back(request, "nobody")
    if days is not None and days not in (0, *wishes.REMINDERS):
        raise Http404
    wishes.remind_every(row.pk, days=days or None, now=timezone.now())
    return back(request, "reminder")


@form
def feel(request: HttpRequest) -> HttpResponse:
    level = _number(request, "level")
    if level not in wishes.LEVELS:
        raise Http404
    wishes.feel(level, site_id=SITE_ID, now=timezone.now())
    return back(request, "felt")


# -- rights ---------------------------------------------------------------------------------------------


@form
def exercise(request: HttpRequest) -> HttpResponse:
    """Exercise a right that one button is enough for."""
    row, kind, now = person_of(request), request.POST.get("kind", ""), timezone.now()
    if kind in (rights.Kind.OPT_OUT, rights.Kind.LIMIT):
        return _opt_out(request, row, kind, now)
    if row is None:
        return back(request, "nobody")
    proof = verified(request, row.pk)
    if kind == rights.Kind.EXPORT:
        language = request.LANGUAGE_CODE.split("-")[0]
        rights.ask(
            kind, row.pk, channel="dashboard", verification=proof, now=now, details={"language": language}
        )
        return back(request, "export", "rights")
    if kind == rights.Kind.RESET:
        rights.reset(row.pk, channel="dashboard", verification=proof, now=now)
        return back(request, "reset", "rights")
    if kind == rights.Kind.OBJECT:
        return _object(request, row, proof, now)
    raise Http404


def _object(request: HttpRequest, row: ConsentState, proof: str, now: dt.datetime) -> HttpResponse:
    """Refuse one purpose as an objection, which is on record."""
    purpose = request.POST.get("purpose", "")
    if purpose not in {one.key for one in active_purposes(SITE_ID) if not one.required}:
        raise Http404
    how = _how(request, "objection", seal=True)
    rights.object_to(
        rights.Kind.OBJECT, row.pk, [purpose], how=how, channel="dashboard", verification=proof, now=now
    )
    return back(request, "objected", "rights")


def _opt_out(request: HttpRequest, row: ConsentState | None, kind: str, now: dt.datetime) -> HttpResponse:
    """Refuse what is sold or shared, or what is sensitive; somebody unknown stays unknown."""
    opt_out = kind == rights.Kind.OPT_OUT
    purposes = rights.opted_out_of(kind, site_id=SITE_ID)
    response = back(request, "opted-out" if opt_out else "limited", "signals")
    if row is None:
        return response
    how = _how(request, "opt_out" if opt_out else "limit", seal=True)
    rights.object_to(
        kind, row.pk, purposes, how=how, channel="dashboard", verification=verified(request, row.pk), now=now
    )
    return response


@page
def erase_page(request: HttpRequest) -> HttpResponse:
    """Say what an erasure means before it is asked for."""
    if request.method == "POST":
        return erase(request)
    row = person_of(request)
    context = {"known": row is not None, "proved": row is not None and verified(request, row.pk) == "user"}
    return render(request, "consent/erase.html", context)


erase_page.csrf_exempt = True  # type: ignore[attr-defined]  # `form` looks at who sends it


@form
def erase(request: HttpRequest) -> HttpResponse:
    row = person_of(request)
    if row is None:
        return back(request, "nobody")
    if request.POST.get("sure") != "yes":
        return render(request, "consent/erase.html", {"known": True, "missing": True}, status=400)
    rights.ask_to_be_erased(
        row.pk,
        channel="dashboard",
        verification=verified(request, row.pk),
        how=_how(request, "erasure", seal=True),
        now=timezone.now(),
    )
    return back(request, "erasing")


@site_form
def prove(request: HttpRequest) -> HttpResponse:
    """Take the site's own word that this visitor is its user, as a hash that only the site can make; for 15 minutes."""
    row, user = person_of(request), request.POST.get("userId", "")
    if row is None:
        return back(request, "nobody")
    proven = hash_is_valid(user, request.POST.get("userHash", "")) and owner_of("user", user) == row.pk
    if not proven:
        return back(request, "not-proved", "rights")
    now = timezone.now()
    waiting = PrivacyRequest.objects.filter(subject_key=row.pk, state=rights.State.VERIFYING)
    for one in waiting.defer("result_enc"):
        rights.confirm(one, verification="user", now=now)
    response = back(request, "proved", "rights")
    kept = Signer(salt="tessera.proof", sep=".").sign(f"{row.pk.hex}-{int(now.timestamp())}")
    response.set_cookie(
        PROOF_COOKIE, kept, max_age=PROOF_SECONDS, httponly=True, samesite="Lax", secure=request.is_secure()
    )
    return response


# -- files ------------------------------------------------------------------------------------------------


@page
def receipt(request: HttpRequest, entry: str) -> HttpResponse:
    """Give the receipt of one decision as a file; `all` gives every one."""
    row = person_of(request)
    found = receipts_of(history_of(row.subject_id), row) if row else []
    mine = found if entry == "all" else [one for one in found if _is_of(one, entry)]
    if not mine:
        raise Http404
    content = json.dumps(mine if entry == "all" else mine[0], indent=2, default=str)
    name = "receipts" if entry == "all" else f"receipt-{entry[:12]}"
    response = HttpResponse(content, content_type="application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.json"'
    return response


def _is_of(found: dict[str, object], entry: str) -> bool:
    entries = found["ledger"]
    return isinstance(entries, list) and any(one["hash"] == entry for one in entries)


@page
def download(request: HttpRequest, signed: str) -> HttpResponse:
    """Give an export, once."""
    request_id = export_of_link(signed)
    if request.method != "GET" or request_id is None:
        raise Http404
    content = rights.fetch(request_id, now=timezone.now())
    if content is None:
        return render(request, "consent/fetched.html", status=410)
    response = HttpResponse(content, content_type="application/zip")
    response.headers["Content-Disposition"] = 'attachment; filename="my-data.zip"'
    response.headers["Cache-Control"] = "private, no-store"
    return response
