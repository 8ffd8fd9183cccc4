"""Receipts: what was decided, in the fields of ISO/IEC TS 27560:2023 (consent records and receipts), with its proof.

In: entries of the ledger, and the state they led to. Out: one receipt for each decision. Whoever saves it can show later
what was decided, even against an operator who rewrote the ledger (`consent/proofs.py`, and in the browser).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from django.conf import settings

from consent.checkpoints import public_key
from consent.ledger import payload_of
from consent.models import ConsentEvent, ConsentState, NoticeVersion, Purpose
from consent.proofs import proved
from consent.registry import declared

SCHEMA: Final = "ISO/IEC TS 27560:2023"
RIGHTS: Final = (
    "access",
    "rectification",
    "erasure",
    "restriction",
    "portability",
    "objection",
    "withdrawal",
    "complaint",
)


def receipt_of(events: Sequence[ConsentEvent], row: ConsentState) -> dict[str, Any] | None:
    """Return the receipt of one decision, or None when nothing was decided."""
    if not events:
        return None
    (receipt,) = _receipts([list(events)], row)
    return receipt


def receipts_of(events: Sequence[ConsentEvent], row: ConsentState) -> list[dict[str, Any]]:
    """Return one receipt for each decision among the entries, in their order."""
    return _receipts(
        [list(group) for _, group in groupby(events, key=lambda one: (one.subject_key, one.at))], row
    )


def _receipts(decisions: Sequence[Sequence[ConsentEvent]], row: ConsentState) -> list[dict[str, Any]]:
    purposes = {p.key: p for p in Purpose.objects.filter(site_id=row.site_id)}
    entries = {one["hash"]: one for one in proved([event for events in decisions for event in events])}
    named = {
        event.notice_version for events in decisions for event in events if event.notice_version.isdecimal()
    }
    notices = {str(n.n): n for n in NoticeVersion.objects.filter(site_id=row.site_id, n__in=named)}
    return [_receipt(events, row, purposes, notices, entries) for events in decisions]


def _receipt(
    events: Sequence[ConsentEvent],
    row: ConsentState,
    purposes: Mapping[str, Purpose],
    notices: Mapping[str, NoticeVersion],
    entries: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    last = events[-1]
    notice, said = notices.get(last.notice_version), payload_of(last)
    controller = settings.CONTROLLER
    return {
        "schema_version": SCHEMA,
        "receipt_id": last.hash,
        "record_id": f"{last.subject_key}:{last.seq}",
        "pii_principal_id": str(last.subject_key),
        "privacy_notice": last.notice_version,
        "privacy_notice_sha256": said.get("notice_sha256") or (notice.sha256 if notice else None),
        "language": said.get("language", ""),
        "served": bool(last.served_id),
        "party": [
            {
                "party_id": "controller",
                "party_type": "pii_controller",
                "party_name": controller["name"],
                "party_address": controller["address"],
                "party_contact": controller["contact"],
            }
        ],
        "authority": controller["authority"],
        "storage_locations": [controller["storage"]],
        "recipient_third_parties": said.get("recipients", []),
        "jurisdiction": last.regime,
        "withdrawal_method": "/privacy/",
        "rights": list(RIGHTS),
        "event_time": spelled(last.at),
        "entity_id": last.actor,
        "gpc": row.gpc,
        "guardian": bool(said.get("guardian")),
        "purposes": [_purpose(event, said, purposes.get(event.purpose)) for event in events],
        "ledger": [{"seq": event.seq, **entries[event.hash]} for event in events],
        "ledger_key": public_key(),
    }


def basis_of(purpose: Purpose) -> dict[str, Any]:
    """Return what is true of a purpose now, as a receipt says it later: the law it rests on, and for how long."""
    return {
        "lawful_basis": purpose.legal_basis,
        "mechanism": purpose.mechanism,
        "necessity": "required" if purpose.required else "optional",
        "special_category": purpose.sensitive,
        "sale_or_share": purpose.sale_or_share,
        "retention_period_days": purpose.keep_days or settings.EVENT_RETENTION_DAYS,
        "validity_duration_days": purpose.retention_days,
    }


def _purpose(event: ConsentEvent, said: Mapping[str, Any], purpose: Purpose | None) -> dict[str, Any]:
    """Return one purpose of a receipt: as it was when it was answered, else (an older entry, a signal) as it is."""
    then = said.get("bases", {}).get(event.purpose)
    return {
        "purpose": event.purpose,
        "event_state": event.action,
        "event_type": "explicit" if event.actor == "visitor" else "regular",
        **(then or (basis_of(purpose) if purpose else {})),
        "method": event.method,
        "collection_method": "given by the person, and observed on this site",
        "processing_method": "automated, on the controller's own systems",
        "pii_information": _kept_for(event.purpose),
    }


def _kept_for(purpose: str) -> list[dict[str, str]]:
    """Return what kinds of data a purpose can keep, as the registry declares them."""
    return [
        {"pii_type": one.holder, "attributes": ", ".join(one.personal)}
        for one in declared().values()
        if one.personal and (purpose in one.purposes or "own" in one.purposes or "stamped" in one.purposes)
    ]


def spelled(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
