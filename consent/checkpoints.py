"""Checkpoints: one signed root over the ledger's entries, every minute there are new ones, and a copy outside the database.

In: the ledger. Out: `LedgerCheckpoint` rows, each naming the one before, and a line each in `LEDGER_DIR`. Writers are
waited for, so that no entry with a lower number comes later. Whoever rewrites the ledger contradicts the lines, the
receipts that visitors saved, or both.
"""

import base64
import datetime as dt
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.db import OperationalError, connection, transaction

from consent import lines
from consent.merkle import Step, path_of, root_of
from consent.models import ConsentEvent, LedgerCheckpoint

FIELDS: Final = ("n", "from_id", "to_id", "entries", "root", "prev", "at")
MAX_ENTRIES: Final = 20_000  # of one checkpoint, so that a path is found quickly


def ledger_file() -> Path:
    return settings.LEDGER_DIR / "checkpoints.jsonl"


@lru_cache(maxsize=2)
def _key(secret: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(
        hashlib.sha256(b"tessera.ledger\x00" + secret.encode()).digest()
    )


def public_key() -> str:
    """Return the key that checks signatures, in Base64."""
    raw = _key(settings.SECRET_KEY).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def spelled(row: LedgerCheckpoint) -> dict[str, Any]:
    """Return a checkpoint as its line says it."""
    at = row.at.astimezone(dt.UTC).isoformat()
    values = {name: getattr(row, name) for name in FIELDS} | {"at": at}
    return {**values, "hash": row.hash, "signature": row.signature}


def hash_of(line: Mapping[str, Any]) -> str:
    """Return the hash that a checkpoint must have."""
    return hashlib.sha256(rfc8785.dumps({name: line[name] for name in FIELDS})).hexdigest()


def is_signed(line: Mapping[str, Any], key: str) -> bool:
    """Say whether a checkpoint is what it was when it was signed."""
    told = line.get("hash"), line.get("signature")
    if not all(isinstance(one, str) for one in told) or not verifies(
        line["hash"].encode(), line["signature"], key
    ):
        return False
    try:
        return bool(line["hash"] == hash_of(line))
    except (KeyError, ValueError):
        return False


def signed(text: bytes) -> str:
    """Return our signature, in Base64."""
    return base64.b64encode(_key(settings.SECRET_KEY).sign(text)).decode()


def verifies(text: bytes, signature: str, key: str) -> bool:
    """Say whether a signature is that of a text by a key."""
    try:
        verifier = Ed25519PublicKey.from_public_bytes(base64.b64decode(key))
        verifier.verify(base64.b64decode(signature), text)
    except (InvalidSignature, ValueError):
        return False
    return True


def make(*, now: dt.datetime) -> int:
    """Write checkpoints up to the newest entry, and their lines; return how many were made."""
    made = 0
    try:
        while _make_one(now):
            made += 1
    except OperationalError:  # somebody writes for long: the next minute comes
        return made
    finally:
        export()
    return made


@transaction.atomic
def _make_one(now: dt.datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        # whoever writes is waited for: a number that was taken before is there, or never will be
        cursor.execute(f"LOCK TABLE {ConsentEvent._meta.db_table} IN SHARE MODE")
    last = LedgerCheckpoint.objects.first()
    entries = list(_entries(last.to_id if last else 0)[:MAX_ENTRIES])
    if not entries:
        return False
    row = LedgerCheckpoint(
        n=last.n + 1 if last else 1,
        from_id=last.to_id if last else 0,
        to_id=entries[-1][0],
        entries=len(entries),
        root=root_of([entry for _, entry in entries]),
        prev=last.hash if last else "",
        at=now,
    )
    row.hash = hash_of(spelled(row))
    row.signature = signed(row.hash.encode())
    row.save(force_insert=True)
    return True


def _entries(after: int) -> Any:
    return ConsentEvent.objects.filter(pk__gt=after).order_by("pk").values_list("pk", "hash")


def export() -> int:
    """Write the lines that are not outside the database yet; return how many there were."""
    known = max((line["n"] for line in lines.read(ledger_file())), default=0)
    missing = list(LedgerCheckpoint.objects.filter(n__gt=known).order_by("n"))
    for row in missing:
        lines.append(ledger_file(), spelled(row))
    return len(missing)


def published() -> list[dict[str, Any]]:
    """Return the checkpoints as everybody may see them, the oldest first: those outside the database."""
    return list(lines.read(ledger_file()))


def published_from(n: int, *, most: int) -> list[dict[str, Any]]:
    """Return at most so many published checkpoints from this number on."""
    return list(islice(lines.since(ledger_file(), n), most))


Proof = tuple[dict[str, Any], list[Step]]


def proofs_of(entries: Sequence[ConsentEvent]) -> dict[int, Proof]:
    """Return, by number of the entry, its checkpoint and the path to its root; those without one yet are left out."""
    found: dict[int, Proof] = {}
    left = sorted(entry.pk for entry in entries)
    while left:
        row = LedgerCheckpoint.objects.filter(from_id__lt=left[0], to_id__gte=left[0]).first()
        if row is None:
            left = left[1:]
            continue
        held = list(_entries(row.from_id).filter(pk__lte=row.to_id))
        places, hashes = {pk: at for at, (pk, _) in enumerate(held)}, [one for _, one in held]
        for pk in [pk for pk in left if pk <= row.to_id and pk in places]:
            found[pk] = (spelled(row), path_of(hashes, places[pk]))
        left = [pk for pk in left if pk > row.to_id]
    return found


def contradictions(lost: Collection[int] = ()) -> Iterator[str]:
    """Yield where the ledger, its checkpoints and their copies outside contradict each other.

    Of the `lost` checkpoints the entries are known to be gone.
    """
    outside = {line["n"]: line for line in lines.read(ledger_file())}
    rows = {row.n: spelled(row) for row in LedgerCheckpoint.objects.order_by("n")}
    before, key = "", public_key()
    for n in sorted({*outside, *rows}):
        line, row = outside.get(n), rows.get(n)
        if row is None:
            yield f"Checkpoint {n} is outside the database and no longer in it."
            row = line
        elif line is None:
            yield f"Checkpoint {n} has no copy outside the database."
        elif line != row:
            yield f"Checkpoint {n} differs from its copy outside the database."
        for one in (row, line):
            if one is not None and not is_signed(one, key):
                yield f"Checkpoint {n} is not what was signed."
                break
        assert row is not None  # noqa: S101  # one of both is there
        if row["prev"] != before:
            yield f"Checkpoint {n} does not follow the one before."
        before = row["hash"]
        if n in lost:
            continue
        held = list(_entries(row["from_id"]).filter(pk__lte=row["to_id"]))
        if root_of([entry for _, entry in held]) != (line or row)["root"]:
            said = f"The entries {row['from_id'] + 1} to {row['to_id']} are not those of checkpoint {n}."
            ends = held[-1][0] if held else row["from_id"]
            yield (
                said if ends == row["to_id"] else f"{said} They end at entry {ends}: what follows is missing."
            )
