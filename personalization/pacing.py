"""Pacing: how often somebody is shown a variant, how steadily, and whose turn it is. PURE.

In: what somebody was shown (`Pace`), the variants that are true now, and the moment. Out: whether a cap is reached,
and which of the true variants it is. A minimum interval delays only a change between variants that are all still
true; it never keeps what no longer holds. A rotation has no chance in it: for somebody with consent it depends on who
they are, the placement and the turn, for everybody else on placement and turn alone.
"""

import hashlib
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from cms.language.behaviour.durations import duration

OFFERS: Final = "offers"
MAX_ENTRIES: Final = 200


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `times` within so many microseconds; None: ever."""

    times: int
    within: int | None


class Limit(NamedTuple):
    """A cap, and the counter that it reads: a variant's own, an experience's, or that of all offers."""

    counter: str
    cap: Cap


@dataclass(frozen=True, slots=True)
class Rotation:
    kind: str
    every: int
    half_life: int | None = None


class Shown(NamedTuple):
    """What a placement showed last, and since when."""

    variant: str
    since: int


@dataclass(frozen=True, slots=True)
class Pace:
    """What somebody was shown: counter → moments in order, and per placement what it showed last."""

    counts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    last: Mapping[str, Shown] = field(default_factory=dict)


NOTHING_SHOWN: Final = Pace()


class Candidate(NamedTuple):
    """A variant that is true now."""

    place: int
    key: str
    weight: int
    starts: float | None


def cap_of(stored: Any) -> Cap | None:
    """Compile a stored cap."""
    return Cap(stored["times"], duration(stored.get("within"))) if stored else None


def rotation_of(stored: Any) -> Rotation | None:
    """Compile a stored rotation."""
    if not stored:
        return None
    return Rotation(stored["kind"], duration(stored["every"]) or 1, duration(stored.get("half_life")))


def capped_until(limit: Limit, pace: Pace, now: int) -> int | None:
    """Return until when a cap is reached, in microseconds; None while it is not. For ever is the end of time."""
    moments = pace.counts.get(limit.counter, ())
    if limit.cap.within is not None:
        moments = [moment for moment in moments if moment > now - limit.cap.within]
    if len(moments) < limit.cap.times:
        return None
    return FOR_EVER if limit.cap.within is None else moments[-limit.cap.times] + limit.cap.within


FOR_EVER: Final = 2**62


def read(entry: bytes) -> Pace:
    """Read the lines in which the store keeps what somebody was shown, one `moment placement variant counter…` each."""
    counts: dict[str, list[int]] = {}
    last: dict[str, Shown] = {}
    for line in entry.decode("utf-8", "replace").splitlines()[-MAX_ENTRIES:]:
        moment, placement, variant, *counters = line.split("\t")
        at = int(moment)
        for counter in counters:
            counts.setdefault(counter, []).append(at)
        before = last.get(placement)
        last[placement] = Shown(variant, before.since if before and before.variant == variant else at)
    return Pace({counter: sorted(moments) for counter, moments in counts.items()}, last)


def line(moment: int, placement: str, variant: str, counters: Sequence[str]) -> str:
    """Write one exposure as `read` reads it."""
    return "\t".join([str(moment), placement, variant, *counters]) + "\n"


def kept(candidates: Sequence[Candidate], shown: Shown | None, interval: int, now: int) -> Candidate | None:
    """Return the variant that a minimum interval keeps: shown for less than that, and still true."""
    if shown is None or now - shown.since >= interval:
        return None
    return next((one for one in candidates if one.key == shown.variant), None)


def in_turn(
    candidates: Sequence[Candidate],
    rotation: Rotation,
    *,
    placement: str,
    visitor: uuid.UUID | None,
    now: int,
) -> Candidate:
    """Return the variant whose turn it is."""
    turn = now // rotation.every
    who = visitor.hex if visitor is not None else ""
    if rotation.kind == "shuffled":
        order = sorted(
            candidates, key=lambda one: _hash(f"{who} {placement} {turn // len(candidates)} {one.key}")
        )
        return order[turn % len(candidates)]
    weights = [_weight(one, rotation, turn * rotation.every) for one in candidates]
    point = _hash(f"{who} {placement} {turn}") / 2**64 * sum(weights)
    for one, weight in zip(candidates, weights, strict=True):
        point -= weight
        if point < 0:
            return one
    return candidates[-1]


def turn_ends(rotation: Rotation, now: int) -> int:
    """Return when the turn ends."""
    return (now // rotation.every + 1) * rotation.every


def _weight(one: Candidate, rotation: Rotation, at: int) -> float:
    """Return a variant's weight; where weights decay, the newer ones weigh more."""
    if rotation.kind != "decayed" or one.starts is None or not rotation.half_life:
        return one.weight
    return one.weight * math.exp2(-max(0.0, (at - one.starts * 1_000_000) / rotation.half_life))


@lru_cache(maxsize=10_000)
def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2s(text.encode(), digest_size=8).digest())
