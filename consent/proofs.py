"""Receipts that prove: what somebody decided, its entry in the ledger, and the way from there to a published checkpoint.

In: an entry, or a receipt that somebody saved. Out: its proof, or what is wrong with it. The visitor's browser does the
same (`static/consent/verify.js`), from the same fields.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from consent.checkpoints import Proof, is_signed, proofs_of, public_key, published_from
from consent.ledger import entry_of, hash_of_entry
from consent.merkle import leads_to
from consent.models import ConsentEvent
from consent.restores import lost


def proved(events: Sequence[ConsentEvent]) -> list[dict[str, Any]]:
    """Return entries with their checkpoints and paths; None in their place until the next minute."""
    proofs = proofs_of(events)
    return [{**entry_of(event), **_spelled(proofs.get(event.pk))} for event in events]


def _spelled(proof: Proof | None) -> dict[str, Any]:
    checkpoint, path = proof if proof is not None else (None, None)
    return {"checkpoint": checkpoint, "path": path}


def problems_of(receipt: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a receipt that somebody saved; nothing when it holds."""
    entries = receipt.get("ledger")
    if not isinstance(entries, Sequence) or not entries:
        yield "This is no receipt: it has no entry of the ledger."
        return
    for number, entry in enumerate(entries, start=1):
        try:
            yield from (f"Entry {number}: {problem}" for problem in _problems_of_entry(entry))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            yield f"Entry {number} cannot be read: {error!r}."
    try:
        yield from (f"{name} is not what the ledger's entries say." for name in differences(receipt))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        yield f"The receipt's own words cannot be read: {error!r}."
    if receipt.get("ledger_key") != public_key():
        yield "It names another key than the one that is published."


def differences(receipt: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields in which a receipt says something else than its entries, which alone are hashed."""
    clears = [entry["clear"] for entry in receipt["ledger"]]
    words = _words_of(receipt["ledger"][-1])
    yield from (name for name, said in words.items() if receipt.get(name) != said)
    if len(receipt["purposes"]) != len(clears):
        yield "purposes"
    for purpose, clear in zip(receipt["purposes"], clears, strict=False):
        for name, column in (("purpose", "purpose"), ("event_state", "action"), ("method", "method")):
            if purpose[name] != clear[column]:
                yield f"purposes/{clear['purpose']}/{name}"


def _words_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a receipt has to say where this is its last entry."""
    last = entry["clear"]
    subject = str(uuid.UUID(last["subject"]))
    return {
        "receipt_id": entry["hash"],
        "record_id": f"{subject}:{last['seq']}",
        "pii_principal_id": subject,
        "privacy_notice": last["notice_version"],
        "served": bool(last["served_id"]),
        "jurisdiction": last["regime"],
        "entity_id": last["actor"],
        "event_time": last["at"].replace("+00:00", "Z"),
    }


def _problems_of_entry(entry: Mapping[str, Any]) -> Iterator[str]:
    if hash_of_entry(entry) != entry["hash"]:
        yield "its fields are not those that were hashed."
    row, checkpoint = _stored(entry), entry.get("checkpoint")
    gone = next((one for one in lost() if checkpoint and checkpoint["n"] in one), None)
    if gone is not None and (row is None or row.hash != entry["hash"]):
        yield f"the ledger lost it when an older backup was restored, on {gone.at:%Y-%m-%d}; its checkpoint still names it."
    elif row is None:
        yield "the ledger does not hold it."
    elif row.hash != entry["hash"]:
        yield "the ledger holds another entry in its place."
    if checkpoint is None:
        return
    if not leads_to(entry["hash"], entry["path"] or (), checkpoint["root"]):
        yield "its path does not lead to the checkpoint's root."
    if not is_signed(checkpoint, public_key()):
        yield "its checkpoint is not what was signed."
    told = next(iter(published_from(checkpoint["n"], most=1)), None)
    if told is None or told["n"] != checkpoint["n"]:
        yield f"checkpoint {checkpoint['n']} is no longer published."
    elif told["hash"] != checkpoint["hash"]:
        yield f"checkpoint {checkpoint['n']} is published with another content: the ledger was rewritten."


def _stored(entry: Mapping[str, Any]) -> ConsentEvent | None:
    clear = entry["clear"]
    return ConsentEvent.objects.filter(subject_key=clear["subject"], seq=clear["seq"]).first()
