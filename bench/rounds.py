"""Measure two ways in turn, A B A B …, and say their ratio: the median of the pairs, and the lowest and highest.

The order changes from pair to pair, so that a machine that grows slower favours neither.
"""

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Rate = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table; `rate` and `baseline_rate` are medians, for the eye alone."""

    name: str
    baseline: str
    ratio: float
    low: float
    high: float
    unit: str
    rate: float
    baseline_rate: float

    def as_json(self) -> dict[str, str | float]:
        """Return what `bench/results.json` holds."""
        ratios = {name: round(getattr(self, name), 3) for name in ("ratio", "low", "high")}
        return {"name": self.name, "baseline": self.baseline, **ratios, "unit": self.unit}

    def as_row(self) -> str:
        """Return a line for the screen."""
        rates = f"{self.rate:,.0f} / {self.baseline_rate:,.0f}"
        spread = f"{self.low:.2f}–{self.high:.2f}"
        return f"{self.name:<22}{self.ratio:>8.2f}  {spread:<14}{rates:>22} {self.unit:<15}{self.baseline}"


def compare(
    *, name: str, baseline: str, unit: str, measured: Rate, against: Rate, rounds: int, warm_up: int = 1
) -> Result:
    """Measure both ways in turn; each returns a rate, of which more is better."""
    for _ in range(warm_up):
        measured()
        against()
    pairs = []
    for number in range(rounds):
        pairs.append(_pair(measured, against, swapped=number % 2 == 1))
        print(_progress(name, baseline, pairs, rounds), file=sys.stderr, flush=True)
    return summed_up(name, baseline, unit, pairs)


def _progress(name: str, baseline: str, pairs: Sequence[tuple[float, float]], rounds: int) -> str:
    rate, other = pairs[-1]
    return f"{name}: {len(pairs)} of {rounds}, {rate:,.0f} against {other:,.0f} ({baseline}) = {rate / other:.2f}"


def summed_up(name: str, baseline: str, unit: str, pairs: Sequence[tuple[float, float]]) -> Result:
    """Return the median ratio of pairs of rates, with the lowest and the highest."""
    ratios = [rate / other for rate, other in pairs]
    medians = [statistics.median(rates) for rates in zip(*pairs, strict=True)]
    return Result(name, baseline, statistics.median(ratios), min(ratios), max(ratios), unit, *medians)


def _pair(measured: Rate, against: Rate, *, swapped: bool) -> tuple[float, float]:
    if swapped:
        other = against()
        return measured(), other
    rate = measured()
    return rate, against()
