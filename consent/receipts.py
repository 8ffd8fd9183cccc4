"""Receipts: what was decided, in the fields of ISO/IEC TS 27560:2023 (consent records and receipts)."""

from collections.abc import Sequence
from typing import Any

from consent.models import ConsentEvent, ConsentState, Purpose

SCHEMA = "ISO/IEC TS 27560:2023"


def receipt_of(events: Sequence[ConsentEvent], row: ConsentState) -> dict[str, Any] | None:
    """Return the receipt of one decision, or None when nothing was decided."""
    if not events:
        return None
    purposes = {p.key: p for p in Purpose.objects.filter(site_id=row.site_id)}
    last = events[-1]
    return {
        "schema_version": SCHEMA,
        "receipt_id": last.hash,
        "record_id": f"{last.subject_key}:{last.seq}",
        "pii_principal_id": str(last.subject_key),
        "privacy_notice": last.notice_version,
        "served": bool(last.served_id),
        "jurisdiction": last.regime,
        "withdrawal_method": "/privacy/",
        "event_time": last.at.isoformat().replace("+00:00", "Z"),
        "gpc": row.gpc,
        "purposes": [_purpose(event, purposes.get(event.purpose)) for event in events],
        "ledger": [
            {"seq": e.seq, "commitment": e.commitment, "prev": e.prev_hash, "hash": e.hash} for e in events
        ],
    }


def _purpose(event: ConsentEvent, purpose: Purpose | None) -> dict[str, Any]:
    return {
        "purpose": event.purpose,
        "event_state": event.action,
        "event_type": "explicit",
        "lawful_basis": purpose.legal_basis if purpose else "",
        "retention_period_days": purpose.retention_days if purpose else None,
        "method": event.method,
    }
