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
NOTHING_DONE: Mapping[str, Any] = {"features.orders": 0, "features.revenue": 0, "features.sessions": 0}
BEHAVIOUR = "behaviour"  # the name under which somebody takes out of use all that they did
_NO_COUNTERS = b"{}"
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Facts by their names in rules (`first_name`, `features.orders`), behaviour, and the keys of one's lists.

    `folded_id` is the last event that is in it, and `behaviour_version` says which rules' behaviour; `timelines` are
    spelled as in JSON, those of nobody left out. `inside` are the segments by score one was in. `counters` is JSON:
    how often which item or category was seen and bought, read only by pages that ask. `excluded` is what the person took
    out of use: it is withheld like what is not allowed.
    """

    version: int = 0
    facts: Mapping[str, Any] = field(default_factory=lambda: NOTHING_DONE)
    lists: frozenset[str] = frozenset()
    timelines: Mapping[str, Any] = field(default_factory=dict)
    inside: frozenset[str] = frozenset()
    folded_id: int = 0
    behaviour_version: int = 0
    counters: bytes = _NO_COUNTERS
    excluded: frozenset[str] = _NOTHING

    def count(self, counter: str, name: str) -> int:
        """Return how often an item or category was seen or bought: `views`, `bought`, `category_views`, `categories`."""
        counts: Mapping[str, int] = orjson.loads(self.counters).get(counter, {})
        return counts.get(name, 0)


EMPTY = Snapshot()


@dataclass(frozen=True, slots=True)
class Visitor:
    """One who asks; `snapshot` is None when it could not be loaded, and for nobody."""

    id: uuid.UUID | None = None
    gates: Gates = CLOSED
    snapshot: Snapshot | None = None


NOBODY = Visitor()


def encode(snapshot: Snapshot) -> bytes:
    """Write a snapshot for the hot store: what every page reads, and on a line of its own what few do."""
    written = orjson.dumps(
        {
            "v": snapshot.version,
            "f": dict(snapshot.facts),
            "l": sorted(snapshot.lists),
            "t": dict(snapshot.timelines),
            "i": sorted(snapshot.inside),
            "e": snapshot.folded_id,
            "b": snapshot.behaviour_version,
            "x": sorted(snapshot.excluded),
        }
    )
    return written + b"\n" + snapshot.counters


def decode(entry: bytes) -> Snapshot | None:
    """Read a snapshot; None when the entry is not one."""
    known, _, counters = entry.partition(b"\n")
    try:
        read = orjson.loads(known)
        return Snapshot(
            read["v"],
            read["f"],
            frozenset(read["l"]),
            read["t"],
            frozenset(read["i"]),
            read["e"],
            read["b"],
            counters,
            frozenset(read["x"]),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
