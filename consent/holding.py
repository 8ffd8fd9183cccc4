"""What `consent` itself keeps of people: who they are, and what they decided. Both end with an erasure alone.

Withdrawing a purpose deletes neither: the decision has to stay provable, and an identifier is what one logs in with.
"""

import datetime as dt
import uuid
from collections.abc import Collection
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from consent.gates import NECESSARY
from consent.holders import About, Holder, Item
from consent.ledger import payload_of, shred
from consent.merging import everyone_in
from consent.models import ConsentEvent, ConsentState, PrivacyRequest, PropagationJob, SubjectIdentifier
from consent.rights import said_in
from consent.seal import Unreadable, seal, unseal


def export_identity(subject: uuid.UUID) -> dict[str, Any]:
    """Return who somebody is known to be."""
    rows = SubjectIdentifier.objects.filter(subject_id__in=everyone_in(subject)).order_by("pk")
    return {"identifiers": [{"kind": row.kind, "value": _readable(row)} for row in rows]}


def _readable(row: SubjectIdentifier) -> str:
    try:
        return unseal(row.subject_id, bytes(row.value_enc)).decode()
    except Unreadable:
        return ""


def identity_known(subject: uuid.UUID, now: dt.datetime) -> list[Item]:
    """Return the accounts that one is known by: they end with an erasure alone."""
    titles = {"user": _("Your account on this site")}
    return [
        Item(
            About.FACT,
            f"identity:{row.pk}",
            titles.get(row.kind, row.kind),
            _readable(row),
            source=_("The site told us"),
            purposes=(NECESSARY,),
            steerable=False,
        )
        for row in SubjectIdentifier.objects.filter(subject_id__in=everyone_in(subject)).order_by("pk")
    ]


def erase_identity(subject: uuid.UUID, purposes: Collection[str]) -> int:
    if NECESSARY not in purposes:
        return 0
    return SubjectIdentifier.objects.filter(subject_id=subject).delete()[0]


def export_decisions(subject: uuid.UUID) -> dict[str, Any]:
    """Return what somebody decided, when, and what it led to."""
    chain = ConsentEvent.objects.filter(subject_key__in=everyone_in(subject)).order_by("at", "seq")
    jobs = PropagationJob.objects.filter(subject_key__in=everyone_in(subject)).order_by("pk")
    return {
        "decisions": [
            {
                "at": row.at.astimezone(dt.UTC).isoformat(),
                "purpose": row.purpose,
                "action": row.action,
                "notice": row.notice_version,
                "method": row.method,
                "said": payload_of(row),
                "hash": row.hash,
            }
            for row in chain
        ],
        "effects": [
            {"holder": job.holder, "purposes": job.purposes, "state": job.state, "rows": job.rows_affected}
            for job in jobs
        ],
    }


def erase_decisions(subject: uuid.UUID, purposes: Collection[str]) -> int:
    """Shred what the ledger says in words; its rows and hashes stay, so that every chain stays whole."""
    if NECESSARY not in purposes:
        return 0
    state = ConsentState.objects.filter(pk=subject).delete()[0]
    return state + shred([subject])


def export_requests(subject: uuid.UUID) -> dict[str, Any]:
    """Return which rights somebody exercised, and what became of it."""
    rows = PrivacyRequest.objects.filter(subject_key=subject).defer("result_enc").order_by("received_at")
    return {
        "requests": [
            {
                "what": row.get_kind_display(),
                "received_at": row.received_at.astimezone(dt.UTC).isoformat(),
                "due_at": row.due_at.astimezone(dt.UTC).isoformat(),
                "state": row.get_state_display(),
                "about": row.details.get("name", ""),
                "said": said_in(row),
                "answer": row.answer,
            }
            for row in rows
        ]
    }


def erase_requests(subject: uuid.UUID, purposes: Collection[str]) -> int:
    """Take the person out of what they asked for, and delete exports that wait; that it was asked stays."""
    if NECESSARY not in purposes:
        return 0
    rows = PrivacyRequest.objects.filter(subject_key=subject)
    return rows.update(subject_key=None, details={}, said_enc=None, result_enc=None, result_expires=None)


def join_requests(source: uuid.UUID, target: uuid.UUID) -> None:
    """Give what somebody asked for to whom they were joined; an export that waits was encrypted with a key that ends."""
    rows = PrivacyRequest.objects.filter(subject_key=source)
    rows.filter(state=PrivacyRequest.State.READY).update(
        state=PrivacyRequest.State.EXPIRED, result_enc=None, result_expires=None
    )
    for row in rows.filter(said_enc__isnull=False):
        rows.filter(pk=row.pk).update(said_enc=seal(target, said_in(row).encode()))
    rows.update(subject_key=target)


HOLDERS = (
    Holder("identity", N_("Who one is known to be"), export_identity, erase_identity, known=identity_known),
    Holder("decisions", N_("What one decided"), export_decisions, erase_decisions),
    Holder("requests", N_("Rights that one exercised"), export_requests, erase_requests, join=join_requests),
)
