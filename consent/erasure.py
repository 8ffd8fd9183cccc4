"""Erase somebody: every holder, identifiers, consent, what encrypts them; the ledger keeps its skeleton.

In: a subject, and whoever was joined to it. Out: nothing of them, but for rows and hashes of the ledger whose payloads
cannot be read any more, and a tombstone outside the database. The token becomes nobody at once; what holders keep is
deleted by the worker, idempotently, with a receipt each (`PropagationJob`).
"""

import datetime as dt
import uuid
from typing import Final

from django.db import transaction

from consent import access_log, tombstones
from consent.enforcement import remind_worker, write_duties
from consent.gates import NECESSARY, Gates
from consent.ledger import Entry, append, shred
from consent.merging import everyone_in
from consent.models import ConsentEvent, ConsentState, Purpose, Subject, SubjectIdentifier
from consent.state import announce_after_commit

EVERYTHING: Final = Entry(purpose="*", action="erased", method="erasure", actor="visitor")


@transaction.atomic
def erase(subject: uuid.UUID, *, now: dt.datetime, actor: str = access_log.VISITOR, reason: str = "") -> bool:
    """Erase a subject; return False when there is nobody. Whoever was joined to them goes along."""
    everybody = everyone_in(subject)
    states = list(ConsentState.objects.select_for_update().filter(pk__in=everybody).order_by("pk"))
    if not Subject.objects.filter(pk__in=everybody).exists():
        return False
    identifiers = SubjectIdentifier.objects.filter(subject_id__in=everybody)
    tombstones.bury(everybody, list(identifiers.values_list("blind_index", flat=True)), now=now)
    for state in states:
        append(state.pk, [_entry(actor)], site_id=state.site_id, payload={}, now=now)
        announce_after_commit(state.pk, Gates(version=state.version + 1), wait=True)
    shred(everybody)
    Subject.objects.filter(pk__in=everybody).delete()  # with keys, identifiers and consent
    for one in everybody:
        write_duties(one, purposes_of_all(), None, now)
    access_log.note(access_log.Kind.ERASED, actor=actor, now=now, people=1, reason=reason)
    transaction.on_commit(remind_worker)
    return True


def _entry(actor: str) -> Entry:
    return Entry(
        purpose=EVERYTHING.purpose, action=EVERYTHING.action, method=EVERYTHING.method, actor=actor[:30]
    )


def purposes_of_all() -> list[str]:
    """Return every purpose for which anything can be kept, what is necessary included."""
    return sorted({*Purpose.objects.values_list("key", flat=True), NECESSARY})


def replay(*, now: dt.datetime) -> int:
    """Erase again whom a restored backup brought back; return how many there were.

    Somebody who came back after their erasure is somebody new: their subject is younger than the tombstone.
    """
    stones = list(tombstones.read())
    when = {one: stone.at for stone in stones for one in stone.digests}
    if not when:
        return 0
    found: set[uuid.UUID] = set()
    for subject in Subject.objects.iterator():
        buried = when.get(tombstones.of_subject(subject.pk))
        if buried is not None and subject.created_at <= buried:
            found.add(subject.pk)
    for row in SubjectIdentifier.objects.select_related("subject").iterator():
        buried = when.get(tombstones.digest("identifier", row.blind_index))
        if buried is not None and row.subject.created_at <= buried:
            found.add(row.subject_id)
    return sum(
        erase(one, now=now, actor="system", reason="A restored backup held somebody erased.")
        for one in sorted(found)
    ) + _orphans(when, now)


def _orphans(when: "dict[str, dt.datetime]", now: dt.datetime) -> int:
    """Write the duties of whom the backup held without a subject: what holders kept, and payloads of the ledger."""
    keys = (
        ConsentEvent.objects.filter(payload_enc__isnull=False)
        .values_list("subject_key", flat=True)
        .distinct()
    )
    known = set(Subject.objects.values_list("pk", flat=True))
    gone = [key for key in keys if key not in known and tombstones.of_subject(key) in when]
    shred(gone)
    for one in gone:
        write_duties(one, purposes_of_all(), None, now)
    return len(gone)
