"""Record what a person decided: state, ledger and the holders' duties in one transaction, then the gates.

In: whose decision (or nobody's), purposes with yes or no, the notice they saw. Out: the states that hold now and a
receipt. Somebody who is nobody and allows nothing stays nobody: nothing is stored.
"""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from consent.deadlines import law_of
from consent.enforcement import call_off, owe, remind_worker
from consent.gates import NECESSARY
from consent.ledger import Entry, append
from consent.merging import everyone_in
from consent.models import ConsentEvent, ConsentState, NoticeVersion, PropagationJob, Purpose, Subject
from consent.purposes import active_purposes, current_notice
from consent.readers import recipients_of
from consent.receipts import basis_of, receipt_of
from consent.seal import new_key
from consent.state import announce_after_commit, gates_of, lock

SIGNAL = Entry(purpose="*", action="opt_out_signal", method="gpc", actor="browser", gpc=True)
# The youngest that somebody in a band can be.
AGES: Final = {"child": 0, "teen": 13, "youth": 16, "adult": 18}
CLOSING = ("withdrawn", "refused", SIGNAL.action)


class DecisionError(Exception):
    """A decision that cannot be recorded: `code`, the attribute it concerns, and a sentence."""

    def __init__(self, code: str, attr: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code, self.attr, self.sentence = code, attr, sentence


@dataclass(frozen=True, slots=True)
class Decision:
    """What was recorded; `subject_id` is None for somebody who refused everything and is nobody."""

    subject_id: uuid.UUID | None
    states: dict[str, str]
    receipt: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class How:
    """The circumstances of a decision, as the ledger keeps them."""

    method: str
    actor: str = "visitor"
    gpc: bool = False
    served_id: str = ""
    site_id: int = 1
    notice: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    jurisdiction: str = ""  # where the person is, as far as a trusted proxy says: DE, US-CA
    age_band: str = ""  # what the site knows of their age; empty leaves what is known
    guardian: bool = False  # somebody who answers for a child has allowed it
    seal: bool = False  # what is withdrawn can be had back for ten minutes, in which nothing reads it
    begun: Mapping[str, dt.datetime] = field(
        default_factory=dict
    )  # since when what is taken back was allowed


def states_of(
    row: ConsentState | None, *, now: dt.datetime, unset: str = "unset", gpc: bool | None = None
) -> dict[str, str]:
    """Return the state of every active purpose: unset, granted, refused, withdrawn or expired.

    `unset` is the word for what was never decided: `refused` where a browser says that it was. `gpc`: Global Privacy
    Control refuses what it covers, whatever was allowed; None goes by what is kept, False looks at the answers alone.
    """
    gpc = (row is not None and row.gpc) if gpc is None else gpc
    site_id = row.site_id if row else 1
    stored = row.state if row else {}
    expires = row.expires if row else {}
    states = {}
    for purpose in active_purposes(site_id):
        state = "granted" if purpose.required else stored.get(purpose.key, unset)
        if state == "granted" and expires.get(purpose.key, now.timestamp() + 1) <= now.timestamp():
            state = "expired"
        if gpc and purpose.gpc_applies and state == "granted":
            state = "refused"
        states[purpose.key] = state
    return states


def check_choices(choices: object, *, site_id: int) -> dict[str, bool]:
    """Return the choices of a request; raise DecisionError for anything that cannot be chosen."""
    if not isinstance(choices, Mapping):
        raise DecisionError("invalid", "purposes", "Send purposes as an object of true and false.")
    known = {purpose.key: purpose for purpose in active_purposes(site_id)}
    for key, wanted in choices.items():
        if key not in known:
            raise DecisionError("unknown_purpose", f"purposes.{key}", f"There is no purpose '{key}'.")
        if not isinstance(wanted, bool):
            raise DecisionError("invalid", f"purposes.{key}", "Answer each purpose with true or false.")
        if known[key].required and not wanted:
            raise DecisionError(
                "required_purpose", f"purposes.{key}", f"'{key}' is necessary and cannot be refused."
            )
    return dict(choices)


def check_notice(version: object, *, site_id: int, now: dt.datetime) -> NoticeVersion:
    """Return the notice that was answered; raise DecisionError when it is not the current one."""
    current = current_notice(site_id, now=now)
    if version == str(current.n):
        return current
    known = isinstance(version, str) and version.isdecimal() and len(version) < 9
    if known and NoticeVersion.objects.filter(site_id=site_id, n=int(str(version))).exists():
        raise DecisionError(
            "notice_superseded", "notice", f"The notice has changed: the current one is {current.n}."
        )
    raise DecisionError("notice_unknown", "notice", "Name the version of the notice that was shown.")


def decide(
    subject_id: uuid.UUID | None, choices: Mapping[str, bool], *, how: How, now: dt.datetime
) -> Decision:
    """Record a decision; purposes that are not named stay as they are."""
    with transaction.atomic():
        row = _locked_state(subject_id)
        if row is None and not any(wanted for key, wanted in choices.items() if key != NECESSARY):
            states = states_of(None, now=now)
            return Decision(
                None, states | {k: "refused" for k, wanted in choices.items() if not wanted}, None
            )
        if row is not None and not choices and not (how.gpc and not row.gpc):
            return Decision(row.subject_id, states_of(row, now=now), None)
        _check_age(row, choices, how)
        row = row or _new_state(how.site_id, now)
        _note_circumstances(row.subject, how)
        entries = _change(row, choices, how, now)
        events = append(row.subject_id, entries, site_id=row.site_id, payload=_payload(how, choices), now=now)
        closed = [event for event in events if event.action in CLOSING]
        call_off(row.subject_id, [key for key, wanted in choices.items() if wanted], now=now)
        owe(row.subject_id, closed, now=now, seal=how.seal)
        announce_after_commit(row.subject_id, gates_of(row, now=now.timestamp()), wait=bool(closed))
    if closed:
        remind_worker()
    return Decision(row.subject_id, states_of(row, now=now), receipt_of(events, row))


def _payload(how: How, choices: Mapping[str, bool]) -> dict[str, Any]:
    """Return what the ledger keeps in words: the answers, and what was true of each purpose when it was answered."""
    told = recipients_of(how.site_id)
    asked = Purpose.objects.filter(site_id=how.site_id, key__in=choices)
    return {
        "choices": dict(choices),
        "notice": how.notice,
        "notice_sha256": _digest_of_notice(how),
        "served": bool(how.served_id),
        "guardian": how.guardian,
        "recipients": sorted({who for key in choices for who in told.get(key, ())}),
        "bases": {one.key: basis_of(one) for one in asked},
        **how.payload,
    }


def _digest_of_notice(how: How) -> str | None:
    """Return the digest of the words that were read, so that the ledger proves them too."""
    if not (how.notice or "").isdecimal():
        return None
    notices = NoticeVersion.objects.filter(site_id=how.site_id, n=int(str(how.notice)))
    return notices.values_list("sha256", flat=True).first()


def _check_age(row: ConsentState | None, choices: Mapping[str, bool], how: How) -> None:
    """Refuse a yes that somebody of this age cannot give alone (GDPR, article 8), and a claim to be older than known."""
    known = row.subject.age_band if row is not None else ""
    band = how.age_band or known
    if band not in AGES or how.guardian:
        return
    if known in AGES and AGES[band] > AGES[known]:
        sentence = f"This person is known as '{known}'; a claim does not make older."
        raise DecisionError("age_known", "age_band", sentence)
    wanted = [key for key, allowed in choices.items() if allowed]
    for purpose in Purpose.objects.filter(site_id=how.site_id, key__in=wanted, min_age__gt=AGES[band]):
        sentence = (
            f"'{purpose}' can be allowed from {purpose.min_age} on, or by somebody who answers for a child."
        )
        raise DecisionError("guardian_needed", f"purposes.{purpose.key}", sentence)


def _note_circumstances(subject: Subject, how: How) -> None:
    """Keep where somebody is and how old, where this decision says so."""
    said = {"jurisdiction": how.jurisdiction[:10], "age_band": how.age_band}
    changed = {name: value for name, value in said.items() if value and value != getattr(subject, name)}
    for name, value in changed.items():
        setattr(subject, name, value)
    if changed:
        subject.save(update_fields=list(changed))


def _locked_state(subject_id: uuid.UUID | None) -> ConsentState | None:
    """Return the subject's state under a lock; None for nobody, who may hold the token of somebody erased."""
    return None if subject_id is None else lock(subject_id)


def _new_state(site_id: int, now: dt.datetime) -> ConsentState:
    """Make subject, key and state for somebody new."""
    subject = Subject.objects.create(site_id=site_id, created_at=now)
    new_key(subject.id).save(force_insert=True)
    return ConsentState.objects.create(subject=subject, site_id=site_id, updated_at=now)


def _change(row: ConsentState, choices: Mapping[str, bool], how: How, now: dt.datetime) -> list[Entry]:
    """Apply the choices to the state and return the ledger's entries, one per purpose that was answered."""
    lifetimes = dict(Purpose.objects.filter(site_id=row.site_id).values_list("key", "retention_days"))
    entries = []
    for key, wanted in choices.items():
        if key == NECESSARY:
            continue
        before = row.state.get(key, "unset")
        after = "granted" if wanted else ("withdrawn" if before in ("granted", "withdrawn") else "refused")
        row.state[key] = after
        row.expires.pop(key, None)
        if wanted:
            row.expires[key] = how.begun.get(key, now).timestamp() + lifetimes.get(key, 400) * 86_400
        entries.append(
            Entry(
                purpose=key,
                action=after,
                method=how.method,
                actor=how.actor,
                notice_version=how.notice or "",
                served_id=how.served_id,
                regime=law_of(row.subject.jurisdiction),
                gpc=how.gpc,
            )
        )
    if how.gpc and not row.gpc:
        row.gpc, row.gpc_seen_at = True, now
        entries.append(SIGNAL)
    row.version += 1
    row.updated_at = now
    row.save()
    return entries


@transaction.atomic
def undo(subject_id: uuid.UUID, *, how: How, now: dt.datetime) -> Decision | None:
    """Allow again what was withdrawn and is still sealed, as if it had never been; None when nothing is sealed any more.

    What was allowed runs out when it would have: taking a withdrawal back is no new consent.
    """
    if _locked_state(subject_id) is None:
        return None
    sealed = PropagationJob.objects.select_for_update().filter(
        subject_key=subject_id, state=PropagationJob.State.PENDING, due_at__gt=now
    )
    purposes = sorted({purpose for job in sealed for purpose in job.purposes})
    withdrawn = ConsentState.objects.get(pk=subject_id).state
    wanted = {purpose: True for purpose in purposes if withdrawn.get(purpose) == "withdrawn"}
    if not wanted:
        return None
    granted = ConsentEvent.objects.filter(subject_key=subject_id, action="granted", purpose__in=wanted)
    begun = dict(granted.order_by("purpose", "-seq").distinct("purpose").values_list("purpose", "at"))
    sealed.update(state=PropagationJob.State.UNDONE)
    return decide(subject_id, wanted, how=replace(how, begun=begun), now=now)


def record_gpc(subject_id: uuid.UUID, *, site_id: int, now: dt.datetime) -> bool:
    """Keep that a known visitor's browser sends Global Privacy Control; return whether that is news."""
    with transaction.atomic():
        row = ConsentState.objects.select_for_update().filter(subject_id=subject_id, gpc=False).first()
        if row is None:
            return False
        row.gpc, row.gpc_seen_at, row.updated_at = True, now, now
        row.version += 1
        row.save()
        events = append(subject_id, [SIGNAL], site_id=site_id, payload={"signal": "gpc"}, now=now)
        owe(subject_id, events, now=now)
        # the request that carries the signal obeys it anyway: a page does not wait for Redis
        announce_after_commit(subject_id, gates_of(row, now=now.timestamp()), wait=False)
    remind_worker()
    return True


def history_of(subject_id: uuid.UUID) -> list[ConsentEvent]:
    """Return a subject's entries of the ledger, with those of whoever was joined to it, the newest first."""
    chains = ConsentEvent.objects.filter(subject_key__in=everyone_in(subject_id))
    return list(chains.order_by("-at", "-seq")[: settings.HISTORY_LIMIT])
