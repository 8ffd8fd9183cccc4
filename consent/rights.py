"""The rights of a person: each request is a row with a deadline, answered at once or by the worker.

In: who asks for what, and how we know that it is them. Out: the row. Work is claimed with SKIP LOCKED and may be run again
after any kill; the task is a hint. What a known user takes away or erases needs more than the browser's token, because a
browser may be shared: such a request waits until the person proves who they are, or the office confirms it.
"""

import datetime as dt
import logging
import uuid
from collections.abc import Mapping
from typing import Any, Final

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from consent import access_log, exports
from consent.causes import cause_of
from consent.deadlines import due_at, regime_of
from consent.decisions import How, decide, undo
from consent.effects import steer
from consent.erasure import erase
from consent.hints import hint
from consent.holders import Impossible, Wish, holder, holders
from consent.identities import has_identifier
from consent.models import ConsentState, PrivacyRequest, Subject
from consent.purposes import active_purposes
from consent.seal import Unreadable, seal, unseal
from consent.state import lock

log = logging.getLogger(__name__)
Kind = PrivacyRequest.Kind
State = PrivacyRequest.State
COOLING: Final = dt.timedelta(minutes=10)  # in which an erasure can be taken back
LEASE: Final = dt.timedelta(minutes=5)  # of a claim: longer than any export takes
KEPT: Final = dt.timedelta(days=7)  # an export that nobody fetches
MAX_SAID: Final = 500
TRIES: Final = 8  # to build or to carry out what was asked for
TASK: Final = "consent.tasks.answer_requests"
PROVEN: Final = frozenset({"user", "key", "staff"})
WITH_PROOF: Final = frozenset({Kind.EXPORT, Kind.ERASE})
OPEN: Final = (State.VERIFYING, State.WAITING, State.WORKING, State.FAILED)  # whose clock runs


class NobodyAsks(LookupError):
    """A right that needs somebody, asked for by nobody."""


@transaction.atomic
def ask(
    kind: str,
    subject: uuid.UUID,
    *,
    channel: str,
    verification: str,
    now: dt.datetime,
    details: Mapping[str, Any] | None = None,
    said: str = "",
    delay: dt.timedelta = dt.timedelta(),
    done: bool = False,
) -> PrivacyRequest:
    """Write a request down; `done` where it is answered in the same transaction. Raises NobodyAsks.

    Of copies and erasures there is one at a time: who asks again is given the one under way, and lets it go on with a
    proof that it waited for; a copy that waits to be fetched is replaced by a newer one.
    """
    person = Subject.objects.select_for_update().filter(pk=subject).first()
    if person is None:
        raise NobodyAsks
    regime = regime_of(person.jurisdiction, kind)
    proven = verification in PROVEN or kind not in WITH_PROOF or not has_identifier(subject, "user")
    if kind in WITH_PROOF and (under_way := _under_way(kind, subject)) is not None:
        if proven and confirm(under_way, verification=verification, now=now):
            under_way.refresh_from_db(fields=["state", "verification"])
        return under_way
    state = State.DONE if done else State.WAITING if proven else State.VERIFYING
    row = PrivacyRequest.objects.create(
        site_id=person.site_id,
        kind=kind,
        subject_key=subject,
        regime=regime,
        channel=channel,
        verification=verification,
        state=state,
        received_at=now,
        due_at=due_at(kind, regime, now),
        not_before=now + delay,
        done_at=now if done else None,
        details=dict(details or {}),
        said_enc=seal(subject, said.encode()) if said else None,
    )
    if state == State.WAITING:
        transaction.on_commit(remind_worker)
    return row


def _under_way(kind: str, subject: uuid.UUID) -> PrivacyRequest | None:
    """Return the request of this kind that is not answered yet; forget a copy that waits to be fetched."""
    mine = PrivacyRequest.objects.filter(subject_key=subject, kind=kind).defer("result_enc")
    mine.filter(state=State.READY).update(state=State.EXPIRED, result_enc=None, result_expires=None)
    return mine.filter(state__in=[State.VERIFYING, State.WAITING, State.WORKING]).first()


def remind_worker() -> None:
    """Hint that somebody waits; without a worker the sweep finds them."""
    hint(TASK)


# -- at once ------------------------------------------------------------------------------------------


@transaction.atomic
def reset(subject: uuid.UUID, *, channel: str, verification: str, now: dt.datetime) -> PrivacyRequest:
    """Forget what somebody did; what they declared and decided stays."""
    lock(subject)
    counts = {one.name: one.forget(subject, now) for one in holders() if one.forget is not None}
    details = {"deleted": counts}
    return ask(
        Kind.RESET, subject, channel=channel, verification=verification, now=now, details=details, done=True
    )


@transaction.atomic
def object_to(
    kind: str,
    subject: uuid.UUID,
    purposes: "list[str]",
    *,
    how: How,
    channel: str,
    verification: str,
    now: dt.datetime,
) -> PrivacyRequest:
    """Refuse purposes as an objection or an opt-out: the ledger and every holder follow, and the request is on record."""
    decide(subject, dict.fromkeys(purposes, False), how=how, now=now)
    details = {"purposes": purposes}
    return ask(kind, subject, channel=channel, verification=verification, now=now, details=details, done=True)


def opted_out_of(kind: str, *, site_id: int) -> list[str]:
    """Return the purposes that an opt-out refuses: what is sold or shared, or what is sensitive (CCPA, 1798.120 and .121)."""
    purposes = active_purposes(site_id)
    return [p.key for p in purposes if (p.sale_or_share if kind == Kind.OPT_OUT else p.sensitive)]


@transaction.atomic
def dispute(
    subject: uuid.UUID,
    holder_name: str,
    item: str,
    said: str,
    *,
    channel: str,
    verification: str,
    now: dt.datetime,
) -> PrivacyRequest:
    """Ask the site to put right what one cannot correct oneself; until then it is not used (GDPR, Art. 16 and 18(1)(a)).

    Raises KeyError for an unknown holder, and Impossible.
    """
    lock(subject)
    known = holder(holder_name).known
    items = {one.name: one for one in known(subject, now) if one.disputable} if known else {}
    if item not in items:
        raise Impossible(_("There is nothing like it."))
    if len(said) > MAX_SAID:
        raise Impossible(_("Write at most %(most)s characters.") % {"most": MAX_SAID})
    if not items[item].hidden:
        steer(holder_name, subject, item, Wish.HIDE, "", now=now)
    if (asked := _disputed(subject, item)) is not None:  # who asks again has more to say
        if said.strip():
            asked.said_enc = seal(subject, said.strip().encode())
            asked.save(update_fields=["said_enc"])
        return asked
    details = {"name": item}
    return ask(
        Kind.RECTIFY,
        subject,
        channel=channel,
        verification=verification,
        now=now,
        details=details,
        said=said.strip(),
    )


def _disputed(subject: uuid.UUID, item: str) -> PrivacyRequest | None:
    """Return the open request about an item, locked, so that nobody answers it meanwhile."""
    open_ = PrivacyRequest.objects.select_for_update().defer("result_enc")
    return open_.filter(
        subject_key=subject, kind=Kind.RECTIFY, state__in=[State.WAITING, State.VERIFYING], details__name=item
    ).first()


def said_in(request: PrivacyRequest) -> str:
    """Return what would be right in the person's words; empty where nothing was said, or nobody can read it any more."""
    if request.said_enc is None or request.subject_key is None:
        return ""
    try:
        return unseal(request.subject_key, bytes(request.said_enc)).decode()
    except Unreadable:
        return ""


# -- an erasure that can be taken back for ten minutes --------------------------------------------------


@transaction.atomic
def ask_to_be_erased(
    subject: uuid.UUID, *, channel: str, verification: str, how: How, now: dt.datetime
) -> PrivacyRequest:
    """Close everything at once, and erase after ten minutes; what needs a proof first is closed, too."""
    row = ConsentState.objects.filter(pk=subject).first()
    open_ = [purpose for purpose, state in (row.state if row else {}).items() if state == "granted"]
    if open_:
        decide(subject, dict.fromkeys(open_, False), how=how, now=now)
    return ask(Kind.ERASE, subject, channel=channel, verification=verification, now=now, delay=COOLING)


@transaction.atomic
def take_back(request: PrivacyRequest, *, how: How, now: dt.datetime) -> bool:
    """Take back an erasure that was not carried out yet; return False when it is too late."""
    waiting = PrivacyRequest.objects.select_for_update().filter(
        pk=request.pk, kind=Kind.ERASE, state__in=[State.WAITING, State.VERIFYING], not_before__gt=now
    )
    if not waiting.update(state=State.UNDONE, done_at=now):
        return False
    if request.subject_key is not None:
        undo(request.subject_key, how=how, now=now)
    return True


def confirm(request: PrivacyRequest, *, verification: str, now: dt.datetime) -> bool:
    """Let a request go on whose sender has proved who they are; return False when it did not wait for that."""
    waiting = PrivacyRequest.objects.filter(pk=request.pk, state=State.VERIFYING)
    found = bool(waiting.update(state=State.WAITING, verification=verification))
    if found:
        transaction.on_commit(remind_worker)
    return found


def refuse(request: PrivacyRequest, *, answer: str, now: dt.datetime) -> bool:
    """Refuse a request with a sentence for the person; return False when it is answered already."""
    open_ = PrivacyRequest.objects.filter(
        pk=request.pk, state__in=[State.VERIFYING, State.WAITING, State.FAILED]
    )
    return bool(open_.update(state=State.REFUSED, answer=answer, done_at=now, said_enc=None))


def settle(request: PrivacyRequest, *, answer: str, now: dt.datetime) -> bool:
    """Note that the office has put right what was wrong; return False when it is answered already, or no such request."""
    open_ = PrivacyRequest.objects.filter(
        pk=request.pk, kind=Kind.RECTIFY, state__in=[State.VERIFYING, State.WAITING, State.FAILED]
    )
    return bool(open_.update(state=State.DONE, answer=answer, done_at=now, error="", said_enc=None))


def begin_again(request: PrivacyRequest, *, now: dt.datetime) -> bool:
    """Let the worker try once more what failed for good; return False when it has not."""
    failed = PrivacyRequest.objects.filter(pk=request.pk, kind__in=WITH_PROOF, state=State.FAILED)
    found = bool(failed.update(state=State.WAITING, attempts=0, error="", not_before=now))
    if found:
        transaction.on_commit(remind_worker)
    return found


# -- by the worker --------------------------------------------------------------------------------------


def answer(*, now: dt.datetime) -> int:
    """Answer what is due, and forget exports that nobody fetched; return how many were answered."""
    expired = PrivacyRequest.objects.filter(state=State.READY, result_expires__lte=now)
    expired.update(state=State.EXPIRED, result_enc=None)
    answered = 0
    while (row := _claimed(now)) is not None:
        answered += _answer(row, now)
    return answered


@transaction.atomic
def _claimed(now: dt.datetime) -> PrivacyRequest | None:
    """Claim one request; who dies over it is followed when the claim runs out."""
    waiting = PrivacyRequest.objects.select_for_update(skip_locked=True).filter(
        kind__in=[Kind.EXPORT, Kind.ERASE], state__in=[State.WAITING, State.WORKING], not_before__lte=now
    )
    row = waiting.order_by("received_at").first()
    if row is None:
        return None
    row.state, row.attempts, row.not_before = State.WORKING, row.attempts + 1, now + LEASE
    row.save(update_fields=["state", "attempts", "not_before"])
    return row


def _answer(row: PrivacyRequest, now: dt.datetime) -> bool:
    try:
        if row.kind == Kind.ERASE:
            _erase(row, now)
        else:
            _export(row, now)
    except Exception as error:  # noqa: BLE001  # one person's failure must not stop the others' requests
        row.error = cause_of(error)
        log.error("a request failed: %s", row.error, extra={"request": str(row.pk)})
        row.state = State.FAILED if row.attempts >= TRIES else State.WAITING
        row.not_before = now + dt.timedelta(seconds=min(300, 2**row.attempts))
        row.save(update_fields=["state", "error", "not_before"])
        return False
    return True


@transaction.atomic
def _erase(row: PrivacyRequest, now: dt.datetime) -> None:
    if row.subject_key is not None:
        erase(row.subject_key, now=now, actor=_who_asked(row))
    is_erased(row, now=now)


def _who_asked(row: PrivacyRequest) -> str:
    """Return who asked, as the log names them: the person, or a back end by its key."""
    return row.channel if row.verification == "key" else access_log.VISITOR


def is_erased(row: PrivacyRequest, *, now: dt.datetime) -> None:
    """Note that an erasure was carried out; the row stays, without its subject."""
    PrivacyRequest.objects.filter(pk=row.pk).update(
        state=State.DONE, done_at=now, subject_key=None, details={}, error=""
    )


def _export(row: PrivacyRequest, now: dt.datetime) -> None:
    subject = row.subject_key
    if subject is None or not Subject.objects.filter(pk=subject).exists():
        PrivacyRequest.objects.filter(pk=row.pk).update(
            state=State.DONE, done_at=now, answer=_("There is nobody.")
        )
        return
    access_log.note(
        access_log.Kind.EXPORT_MADE, actor=_who_asked(row), now=now, subject=subject, place=row.channel
    )
    PrivacyRequest.objects.filter(pk=row.pk).update(parts=len(list(holders())) + 1, parts_done=0)
    sealed = exports.sealed(
        subject, language=row.details.get("language", "en"), now=now, progress=lambda: _one_more(row)
    )
    PrivacyRequest.objects.filter(pk=row.pk).update(
        state=State.READY,
        done_at=now,
        result_enc=sealed,
        result_expires=now + KEPT,
        parts_done=F("parts"),
        error="",
    )


def _one_more(row: PrivacyRequest) -> None:
    """Note that one part is done; outside of any transaction, so that it is seen."""
    PrivacyRequest.objects.filter(pk=row.pk).update(parts_done=F("parts_done") + 1)


@transaction.atomic
def fetch(request_id: uuid.UUID, *, now: dt.datetime) -> bytes | None:
    """Return an export, once: it is forgotten with that. None when it was fetched, has run out, or is not ready."""
    row = (
        PrivacyRequest.objects.select_for_update()
        .filter(pk=request_id, kind=Kind.EXPORT, state=State.READY, result_expires__gt=now)
        .first()
    )
    if row is None or row.subject_key is None or row.result_enc is None:
        return None
    content = exports.unsealed(row.subject_key, bytes(row.result_enc))
    row.state, row.result_enc = State.DONE, None
    row.save(update_fields=["state", "result_enc"])
    return content


def requests_of(subject: uuid.UUID) -> "list[PrivacyRequest]":
    """Return what somebody asked for, the newest first."""
    return list(PrivacyRequest.objects.filter(subject_key=subject).defer("result_enc")[:50])
