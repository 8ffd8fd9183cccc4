"""What is known about the one who asks, as plain values. PURE.

A `Snapshot` is a copy of a profile that delivery can read without SQL; a `Visitor` is a snapshot with the gates
that say how much of it may be used. Nobody has no snapshot; somebody with consent and nothing stored has an empty one.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from consent.gates import CLOSED, Gates

# What is true of the empty profile: a sum of nothing is 0, everything else is absent.
NOTHING_DONE: Mapping[str, Any] = {"features.orders": 0, "features.revenue": 0}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Facts by their names in rules (`first_name`, `features.orders`), and the keys of the lists one is on."""

    version: int = 0
    facts: Mapping[str, Any] = field(default_factory=lambda: NOTHING_DONE)
    lists: frozenset[str] = frozenset()


EMPTY = Snapshot()


@dataclass(frozen=True, slots=True)
class Visitor:
    """One who asks; `snapshot` is None when it could not be loaded, and for nobody."""

    id: uuid.UUID | None = None
    gates: Gates = CLOSED
    snapshot: Snapshot | None = None


NOBODY = Visitor()


def encode(snapshot: Snapshot) -> bytes:
    """Write a snapshot for the hot store."""
    return orjson.dumps({"v": snapshot.version, "f": dict(snapshot.facts), "l": sorted(snapshot.lists)})


def decode(entry: bytes) -> Snapshot | None:
    """Read a snapshot; None when the entry is not one."""
    try:
        read = orjson.loads(entry)
        return Snapshot(read["v"], read["f"], frozenset(read["l"]))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
