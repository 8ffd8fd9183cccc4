"""Gates: the purposes open for one visitor now. PURE.

In: a consent state, the signals that close purposes, the time. Out: `Gates`. Absent means refused: a purpose
that was never decided, was refused or withdrawn, or has expired is closed. An encoded entry carries the consent
version and an absolute expiry; a decoder past that moment knows nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

NECESSARY = "necessary"


@dataclass(frozen=True, slots=True)
class Gates:
    """`granted` are the open purposes; `version` grows with every change of consent; `gpc`: the signal is on record."""

    granted: frozenset[str] = frozenset()
    version: int = 0
    gpc: bool = False

    def without(self, closed: Collection[str]) -> "Gates":
        """Close some purposes for one request, such as those a signal covers."""
        return Gates(self.granted.difference(closed), self.version, self.gpc)


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
    return orjson.dumps({"g": sorted(gates.granted), "v": gates.version, "u": until, "s": gates.gpc})


def decode(entry: bytes, *, now: float) -> Gates | None:
    """Read an entry; None when it has expired or is not one."""
    try:
        read: dict[str, Any] = orjson.loads(entry)
        return Gates(frozenset(read["g"]), read["v"], read["s"]) if read["u"] > now else None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
