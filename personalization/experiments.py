"""Who falls into which arm of an experiment: a hash, cut into ranges. PURE.

In: a seed, whoever is assigned, weights and coverage. Out: a number in [0, 1) and the arm whose range holds it. The
same person always gives the same number for the same seed, nothing is stored, and different seeds are independent of
each other. The algorithm is that of the GrowthBook SDKs (SDK specification, "hash", "getBucketRange",
"chooseVariation", "inNamespace"), so that their browser SDKs assign as this does.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

_FNV_OFFSET: Final = 0x811C9DC5
_FNV_PRIME: Final = 0x01000193
_TOLERANCE: Final = 0.01  # by which weights may miss the sum of 1 before they are taken as equal


class Range(NamedTuple):
    """From `start`, up to and without `end`."""

    start: float
    end: float

    def holds(self, point: float) -> bool:
        return self.start <= point < self.end


class Namespace(NamedTuple):
    """A share of everybody, so that experiments that share a name and no range exclude each other."""

    name: str
    start: float
    end: float


def bucket_of(seed: str, value: str, version: int = 2) -> float | None:
    """Return where a value falls, in [0, 1); None for a version of the hash that does not exist.

    Version 1 has three digits and biased pairs of experiments; version 2 has four, and mixes twice.
    """
    if version == 2:
        return _fnv1a(str(_fnv1a(seed + value))) % 10_000 / 10_000
    if version == 1:
        return _fnv1a(value + seed) % 1_000 / 1_000
    return None


def _fnv1a(text: str) -> int:
    """Return the 32-bit FNV-1a hash of a text (Fowler, Noll, Vo), over its UTF-16 units as JavaScript has them."""
    digest = _FNV_OFFSET
    for unit in memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H"):
        digest = (digest ^ unit) * _FNV_PRIME & 0xFFFFFFFF
    return digest


def equal_weights(arms: int) -> list[float]:
    """Return the same weight for each arm."""
    return [1 / arms] * arms if arms > 0 else []


def bucket_ranges(arms: int, coverage: float = 1.0, weights: Sequence[float] | None = None) -> list[Range]:
    """Return each arm's range: as wide as its weight, of which `coverage` (0 to 1) takes part.

    Weights that are not one per arm, or do not sum to 1, are taken as equal.
    """
    covered = min(1.0, max(0.0, coverage))
    given = list(weights or ())
    if len(given) != arms or abs(sum(given) - 1) > _TOLERANCE:
        given = equal_weights(arms)
    ranges, start = [], 0.0
    for weight in given:
        ranges.append(Range(start, start + covered * weight))
        start += weight
    return ranges


def choose_arm(point: float, ranges: Sequence[Range]) -> int | None:
    """Return the index of the arm whose range holds the point; None outside of all."""
    return next((index for index, one in enumerate(ranges) if one.holds(point)), None)


def in_namespace(value: str, namespace: Namespace) -> bool:
    """Say whether a value falls into a namespace's range."""
    point = bucket_of(f"__{namespace.name}", value, 1)
    return point is not None and Range(namespace.start, namespace.end).holds(point)
