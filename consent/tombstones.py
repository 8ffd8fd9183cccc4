"""Tombstones: that somebody was erased, outside the database, so that a restored backup forgets them again.

A line names nobody: it holds keyed digests of the subject's id and of their identifiers, and when they were erased. It
blocks data that are older than itself, and not the person who comes back.
"""

import datetime as dt
import hashlib
import hmac
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from consent import lines

SCOPE: Final = "everything"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One erasure: keyed digests of whom, and when."""

    digests: frozenset[str]
    at: dt.datetime


def tombstone_file() -> Path:
    return settings.LEDGER_DIR / "tombstones.jsonl"


def digest(kind: str, value: str) -> str:
    """Return the digest under which a subject or an identifier is found again; it names nobody without the site's key."""
    key = hashlib.sha256(b"tessera.tombstone\x00" + settings.SECRET_KEY.encode()).digest()
    return hmac.new(key, f"{kind}\x00{value}".encode(), hashlib.sha256).hexdigest()


def of_subject(subject: uuid.UUID) -> str:
    return digest("subject", subject.hex)


def bury(subjects: Iterable[uuid.UUID], blind_indexes: Iterable[str], *, now: dt.datetime) -> None:
    """Write the line, before anything is deleted: what is not on the disk is not erased."""
    digests = [of_subject(one) for one in subjects] + [digest("identifier", one) for one in blind_indexes]
    line: dict[str, Any] = {
        "digests": sorted(digests),
        "at": now.astimezone(dt.UTC).isoformat(),
        "scope": SCOPE,
    }
    lines.append(tombstone_file(), line)


def read() -> Iterator[Tombstone]:
    """Yield the tombstones, the oldest first."""
    for line in lines.read(tombstone_file()):
        yield Tombstone(frozenset(line["digests"]), dt.datetime.fromisoformat(line["at"]))
