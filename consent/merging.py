"""Join two subjects who are found to be one person: identifiers, consent, and what every holder keeps.

In: the subject that ends (`source`) and the one that stays (`target`). Out: the target's gates, after the commit.
Consent of the two is combined per purpose, and the stricter answer wins: refused if either refused or withdrew, else
granted if either granted, else unset. A merge is for ever: the source's token goes on working and means the target.
"""

import datetime as dt
import uuid
from collections.abc import Collection

from django.db import transaction

from consent.enforcement import remind_worker, write_duties
from consent.gates import Gates
from consent.holders import holders
from consent.ledger import Entry, append
from consent.models import ConsentState, Subject, SubjectIdentifier
from consent.seal import seal, unseal
from consent.state import announce_after_commit, gates_of

_NO = ("refused", "withdrawn")


def survivor(subject_id: uuid.UUID) -> uuid.UUID:
    """Return the subject that a visitor's id means now: itself, or the one it was joined to."""
    return survivors([subject_id]).get(subject_id, subject_id)


def survivors(subject_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
    """Return, of these subjects, those that were joined to others, each with the one that stayed."""
    joined = Subject.objects.filter(pk__in=subject_ids, merged_into__isnull=False)
    return {pk: into for pk, into in joined.values_list("pk", "merged_into") if into is not None}


def everyone_in(subject_id: uuid.UUID) -> list[uuid.UUID]:
    """Return a subject and all that were joined to it."""
    return [subject_id, *Subject.objects.filter(merged_into=subject_id).values_list("pk", flat=True)]


def combined(one: str, other: str) -> str:
    """Return the state of a purpose of which two subjects had these states."""
    for no in _NO:
        if no in (one, other):
            return no
    if "granted" in (one, other):
        return "granted"
    return one if other == "unset" else other


def merge(source: uuid.UUID, target: uuid.UUID, *, now: dt.datetime) -> bool:
    """Join two subjects in the caller's transaction; return False when there is nothing to join.

    Both consent states are locked, in the order of their ids, so that nothing is written for either meanwhile.
    """
    locked = ConsentState.objects.select_for_update().filter(pk__in=[source, target]).order_by("pk")
    states = {row.pk: row for row in locked}
    if source == target or len(states) < 2:
        return False
    ended, kept = states[source], states[target]
    entries = _combine(kept, ended, now)
    _move_identifiers(source, target)
    for one in holders():
        if one.join is not None:
            one.join(source, target)
    Subject.objects.filter(merged_into=source).update(merged_into=target)
    Subject.objects.filter(pk=source).update(merged_into=target)
    last = Entry(purpose="*", action="merged", method="merge", actor="system")
    append(source, [last], site_id=ended.site_id, payload={"into": str(target)}, now=now)
    ended.delete()
    events = append(target, entries, site_id=kept.site_id, payload={"joined": str(source)}, now=now)
    closed = sorted(purpose for purpose, state in kept.state.items() if state in _NO)
    if closed:  # what either kept for them goes, also where the answer was no before
        write_duties(target, closed, events[-1] if events else None, now)
    announce_after_commit(target, gates_of(kept, now=now.timestamp()), wait=bool(closed))
    announce_after_commit(source, Gates(version=ended.version + 1, merged_into=target), wait=True)
    if closed:
        transaction.on_commit(remind_worker)
    return True


def _combine(kept: ConsentState, ended: ConsentState, now: dt.datetime) -> list[Entry]:
    """Put the stricter of both into the state that is kept; return what changed as entries of the ledger."""
    entries = []
    for purpose in sorted({*kept.state, *ended.state}):
        before = kept.state.get(purpose, "unset")
        after = combined(before, ended.state.get(purpose, "unset"))
        ends = _ends(after, purpose, kept, ended)
        if ends is None:
            kept.expires.pop(purpose, None)
        else:
            kept.expires[purpose] = ends
        if after != before:
            kept.state[purpose] = after
            entries.append(Entry(purpose=purpose, action=after, method="merge", actor="system"))
    if ended.gpc and not kept.gpc:
        kept.gpc, kept.gpc_seen_at = True, ended.gpc_seen_at
        entries.append(Entry(purpose="*", action="opt_out_signal", method="merge", actor="system", gpc=True))
    kept.version = max(kept.version, ended.version) + 1
    kept.updated_at = now
    kept.save()
    return entries


def _ends(state: str, purpose: str, *rows: ConsentState) -> float | None:
    """Return when a grant ends: with the earlier of those that granted."""
    if state != "granted":
        return None
    granting = [row.expires.get(purpose) for row in rows if row.state.get(purpose) == "granted"]
    return min((ends for ends in granting if ends is not None), default=None)


def _move_identifiers(source: uuid.UUID, target: uuid.UUID) -> None:
    """Give the identifiers of one subject to the other, encrypted with the other's key."""
    for row in SubjectIdentifier.objects.filter(subject_id=source):
        row.value_enc = seal(target, unseal(source, bytes(row.value_enc)))
        row.subject_id = target
        row.save(update_fields=["subject", "value_enc"])
