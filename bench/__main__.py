"""`python -m bench`: measure, print the table, write `bench/results.json`. `SCALE=full` for the full sizes.

It runs on services and a data directory of its own, which are gone afterwards.
"""

import datetime as dt
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from launcher import scratch
from launcher.errors import LauncherError

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
    """Measure everything; 1 when it could not be."""
    sizes = SIZES.get(os.environ.get("SCALE", ""))
    if sizes is None:
        print("SCALE is empty or full.", file=sys.stderr)
        return 2
    try:
        with scratch.environment(os.environ) as variables:
            os.environ.update(variables, DJANGO_SETTINGS_MODULE="bench.settings")
            _measure(sizes)
    except LauncherError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _measure(sizes: Sizes) -> None:
    started = time.monotonic()
    _prepare()
    # imported here: Django reads its settings when it is first imported, and they name the services just started
    from bench import freshness, ingest, pages, rules, segments, server, sets, shop

    cores = server.cores()
    server.move_services(Path(os.environ["TESSERA_VAR"]), cores[1])
    server.stay_on(cores[1])
    shop.open_shop(now=dt.datetime.now(dt.UTC))
    results = [rules.rule_benchmark(rounds=sizes.rounds, repeats=sizes.repeats)]
    visitors = shop.let_in(VISITORS, now=dt.datetime.now(dt.UTC))
    results = [
        *pages.page_benchmarks(visitors, rounds=sizes.rounds, seconds=sizes.seconds, cores=cores),
        *results,
    ]
    more = shop.let_in(sizes.profiles - VISITORS, now=dt.datetime.now(dt.UTC), seed=8)
    results.append(segments.segment_benchmark([*visitors, *more], rounds=sizes.rounds))
    results.append(ingest.ingest_benchmark(visitors, rounds=sizes.rounds, calls=6))
    fresh, said = freshness.freshness_benchmarks(pages=sizes.fresh_pages, seconds=sizes.fresh_seconds)
    results += fresh
    sets.make_people(sizes.behaviour_profiles)
    sets.make_events(sizes.behaviour_profiles, sizes.events_each)
    results += sets.behaviour_benchmarks(rounds=sizes.set_rounds)
    said.append(sets.reach_said())
    sets.make_people(sizes.attribute_profiles - sizes.behaviour_profiles)
    results += sets.attribute_benchmarks(rounds=sizes.set_rounds)
    RESULTS.write_text(json.dumps([result.as_json() for result in results], indent=1) + "\n")
    print(f"{'name':<22}{'ratio':>8}  {'low–high':<14}{'median / baseline':>22} {'unit':<15}baseline")
    for result in results:
        print(result.as_row())
    for sentence in said:
        print(sentence)
    print(f"{time.monotonic() - started:.0f} s; {RESULTS.relative_to(Path.cwd())}")


def _prepare() -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise looks for it
    call_command("migrate", verbosity=0)


if __name__ == "__main__":
    sys.exit(main())
