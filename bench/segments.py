"""Bringing touched profiles up to date as a set, against one at a time."""

import datetime as dt
import time
import uuid
from collections.abc import Sequence

from bench.rounds import Rate, Result, compare
from cms.models.site import current_site
from personalization.folding import touch
from personalization.lanes import catch_up

ONE_BY_ONE = 20


def segment_benchmark(subjects: Sequence[uuid.UUID], *, rounds: int) -> Result:
    """Measure profiles a second over these profiles, all of them touched."""
    return compare(
        name="segments_refresh",
        baseline="one profile at a time",
        unit="profiles/s",
        measured=_measure(subjects, limit=500),
        against=_measure(subjects[:ONE_BY_ONE], limit=1),
        rounds=rounds,
    )


def _measure(subjects: Sequence[uuid.UUID], *, limit: int) -> Rate:
    def measure() -> float:
        site, now = current_site(), dt.datetime.now(dt.UTC)
        touch(subjects, site_id=site.pk, now=now)
        started = time.perf_counter()
        while catch_up(site, now=now, limit=limit):
            pass
        return len(subjects) / (time.perf_counter() - started)

    return measure
