"""A rule of four conditions, compiled, against the interpreter of the GrowthBook SDK for Python on the same rule."""

import time
from collections.abc import Callable
from typing import Any

from growthbook.core import evalCondition

from bench.rounds import Rate, Result, compare
from cms.language.evaluate import compile_rule
from cms.language.parse import parse

RULE: dict[str, Any] = {
    "orders": {"$exists": True, "$gte": 5},
    "tier": {"$in": ["gold", "silver"]},
    "country": {"$eq": "NO"},
    "newsletter": {"$ne": False},
}
FACTS: list[dict[str, Any]] = [
    {"orders": 7, "tier": "gold", "country": "NO", "newsletter": True},
    {"orders": 7, "tier": "gold", "country": "DE", "newsletter": True},
    {"orders": 2, "tier": "none", "country": "NO", "newsletter": None},
    {"tier": "silver", "country": "NO", "newsletter": False},
]


def rule_benchmark(*, rounds: int, repeats: int) -> Result:
    """Measure evaluations a second; both must say the same of every set of facts."""
    evaluate = compile_rule(parse(RULE)).evaluate
    for facts in FACTS:
        if bool(evaluate(facts)) != evalCondition(facts, RULE):
            raise SystemExit(f"The two engines disagree about {facts}.")
    return compare(
        name="rule_four_conditions",
        baseline="GrowthBook SDK for Python, evalCondition",
        unit="evaluations/s",
        measured=_rate(evaluate, repeats),
        against=_rate(lambda facts: evalCondition(facts, RULE), repeats),
        rounds=rounds,
    )


def _rate(evaluate: Callable[[dict[str, Any]], Any], repeats: int) -> Rate:
    def measure() -> float:
        started = time.perf_counter()
        for _ in range(repeats):
            for facts in FACTS:
                evaluate(facts)
        return repeats * len(FACTS) / (time.perf_counter() - started)

    return measure
