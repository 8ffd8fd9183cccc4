"""Gates: the purposes open for one visitor now. PURE.

In: a consent state, the signals that close purposes, the time. Out: `Gates`. Absent means refused: a purpose
that was never decided, was refused or withdrawn, or has expired is closed. An encoded entry carries the consent
version and an absolute expiry; a decoder past that moment knows nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

NECESSARY = "necessary"
SENSITIVE = "sensitive"  # needed in addition, never enough alone


@dataclass(frozen=True, slots=True)
class Gates:
    """`granted` are the open purposes; `version` grows with every change of consent; `gpc`: the signal is on record.

    `merged_into` is the subject whose gates count in place of these.
    """

    granted: frozenset[str] = frozenset()
    version: int = 0
    gpc: bool = False
    merged_into: UUID | None = None

    def without(self, closed: Collection[str]) -> "Gates":
        """Close some purposes for one request, such as those a signal covers."""
        return Gates(self.granted.difference(closed), self.version, self.gpc, self.merged_into)


CLOSED = Gates()


def open_gates(
    state: Mapping[str, str],
    *,
    expires: Mapping[str, float],
    version: int,
    closed: Collection[str],
    now: float,
    gpc: bool = False,
) -> Gates:
    """Return the gates that a stored state opens; `closed` are the purposes a kept signal refuses."""
    granted = {
        purpose
        for purpose, answer in state.items()
        if answer == "granted" and purpose not in closed and expires.get(purpose, now + 1) > now
    }
    return Gates(frozenset(granted), version, gpc)


def encode(gates: Gates, *, until: float) -> bytes:
    """Write an entry that holds until the Unix time `until`."""
    entry: dict[str, Any] = {"g": sorted(gates.granted), "v": gates.version, "u": until, "s": gates.gpc}
    if gates.merged_into is not None:
        entry["m"] = gates.merged_into.hex
    return orjson.dumps(entry)


def decode(entry: bytes, *, now: float) -> Gates | None:
    """Read an entry; None when it has expired or is not one."""
    try:
        read: dict[str, Any] = orjson.loads(entry)
        if read["u"] <= now:
            return None
        merged_into = UUID(read["m"]) if "m" in read else None
        return Gates(frozenset(read["g"]), read["v"], read["s"], merged_into)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
