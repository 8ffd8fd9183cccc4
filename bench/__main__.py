"""`python -m bench [PART…]`: measure, print the table, write `bench/results.json`. `SCALE=full` for the full sizes.

Parts are `pages` (with rules, segments and ingestion), `fresh` and `sets`; without a name all are measured. It runs on
services and a data directory of its own, which are gone afterwards.
"""

import datetime as dt
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher import scratch
from launcher.errors import LauncherError

if TYPE_CHECKING:
    from bench.rounds import Result

VISITORS = 1_000
RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int
    seconds: float
    profiles: int
    repeats: int
    set_rounds: int
    attribute_profiles: int
    behaviour_profiles: int
    events_each: int
    fresh_pages: int
    fresh_seconds: float


SIZES = {
    "": Sizes(7, 2.0, 1_000, 10_000, 3, 20_000, 10_000, 5, 300, 8.0),
    "full": Sizes(15, 5.0, 20_000, 50_000, 3, 1_000_000, 200_000, 5, 10_000, 60.0),
}


def main() -> int:
    """Measure everything; 1 when it could not be, or a ratio does not reach its target."""
    sizes = SIZES.get(os.environ.get("SCALE", ""))
    if sizes is None:
        print("SCALE is empty or full.", file=sys.stderr)
        return 2
    parts = sys.argv[1:] or PARTS
    if unknown := [part for part in parts if part not in PARTS]:
        print(f"There is no part '{unknown[0]}': name some of {', '.join(PARTS)}.", file=sys.stderr)
        return 2
    try:
        with scratch.environment(os.environ) as variables:
            os.environ.update(variables, DJANGO_SETTINGS_MODULE="bench.settings")
            return _measure(sizes, parts)
    except LauncherError as error:
        print(error, file=sys.stderr)
        return 1


PARTS = ("pages", "fresh", "sets")
# The least that a ratio's median has to be (docs/explanation/performance.md); `make bench` fails below it.
TARGETS = {
    "page_warm": 0.7,
    "consent_gates": 0.9,
    "rule_four_conditions": 3.0,
    "ingest": 0.5,
}
AT_FULL_SIZE = {  # a set pays off where there is much of it
    "segments_set": 3.0,
    "segments_set_by_hand": 1 / 1.5,
    "behaviour_set": 3.0,
    "behaviour_set_by_hand": 1 / 1.5,
    "sequence_set": 3.0,
    "sequence_set_by_hand": 1 / 1.5,
}


def _measure(sizes: Sizes, parts: Sequence[str]) -> int:
    started = time.monotonic()
    _prepare()
    # imported here: Django reads its settings when it is first imported, and they name the services just started
    from bench import freshness, server, sets

    results: list[Result] = []
    said: list[str] = []
    if "pages" in parts:
        cores = server.cores()
        server.move_services(Path(os.environ["TESSERA_VAR"]), cores[1])
        server.stay_on(cores[1])
        results += _pages(sizes, cores)
    if "fresh" in parts:
        fresh, words = freshness.freshness_benchmarks(pages=sizes.fresh_pages, seconds=sizes.fresh_seconds)
        results, said = results + fresh, said + words
    if "sets" in parts:
        sets.make_people(sizes.behaviour_profiles)
        sets.make_events(sizes.behaviour_profiles, sizes.events_each)
        results += sets.behaviour_benchmarks(rounds=sizes.set_rounds)
        results += sets.order_benchmarks(rounds=sizes.set_rounds)
        said.append(sets.reach_said())
        sets.make_people(sizes.attribute_profiles - sizes.behaviour_profiles)
        results += sets.attribute_benchmarks(rounds=sizes.set_rounds)
    RESULTS.write_text(json.dumps([result.as_json() for result in results], indent=1) + "\n")
    print(f"{'name':<22}{'ratio':>8}  {'low–high':<14}{'median / baseline':>22} {'unit':<15}baseline")
    for result in results:
        print(result.as_row())
        if result.name == "rule_four_conditions":
            said.append(f"a compiled rule of four conditions takes {1e6 / result.rate:.2f} µs")
    for sentence in said:
        print(sentence)
    targets = TARGETS | (AT_FULL_SIZE if sizes is SIZES["full"] else {})
    missed = [
        f"{one.name} {one.ratio:.2f} < {least}"
        for one in results
        if one.ratio < (least := targets.get(one.name, 0))
    ]
    print(f"below its target: {', '.join(missed)}" if missed else "every ratio that has a target reaches it")
    print(f"{time.monotonic() - started:.0f} s; {RESULTS.relative_to(Path.cwd())}")
    return 1 if missed else 0


def _pages(sizes: Sizes, cores: Any) -> "list[Result]":
    from bench import ingest, pages, rules, segments, shop

    shop.open_shop(now=dt.datetime.now(dt.UTC))
    rule = rules.rule_benchmark(rounds=sizes.rounds, repeats=sizes.repeats)
    visitors = shop.let_in(VISITORS, now=dt.datetime.now(dt.UTC))
    measured = pages.page_benchmarks(visitors, rounds=sizes.rounds, seconds=sizes.seconds, cores=cores)
    more = shop.let_in(sizes.profiles - VISITORS, now=dt.datetime.now(dt.UTC), seed=8)
    return [
        *measured,
        rule,
        segments.segment_benchmark([*visitors, *more], rounds=sizes.rounds),
        ingest.ingest_benchmark(visitors, rounds=sizes.rounds, calls=6),
    ]


def _prepare() -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise looks for it
    call_command("migrate", verbosity=0)


if __name__ == "__main__":
    sys.exit(main())
