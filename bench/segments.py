"""Bringing memberships up to date for many changed profiles as a set, against one refresh per changed profile."""

import datetime as dt
import time
import uuid
from collections.abc import Sequence

from django.db.models import F

from bench.rounds import Rate, Result, compare
from cms.models.site import current_site
from personalization.models import Profile, SegmentRun
from personalization.segments.refresh import refresh

ONE_BY_ONE = 20


def segment_benchmark(subjects: Sequence[uuid.UUID], *, rounds: int) -> Result:
    """Measure profiles a second over these profiles, all of them changed."""
    return compare(
        name="segments_refresh",
        baseline="one refresh per changed profile",
        unit="profiles/s",
        measured=_as_a_set(subjects),
        against=_one_by_one(subjects[:ONE_BY_ONE]),
        rounds=rounds,
    )


def _as_a_set(subjects: Sequence[uuid.UUID]) -> Rate:
    def measure() -> float:
        _change(subjects)
        started = time.perf_counter()
        _refresh()
        return len(subjects) / (time.perf_counter() - started)

    return measure


def _one_by_one(subjects: Sequence[uuid.UUID]) -> Rate:
    def measure() -> float:
        seconds = 0.0
        for subject in subjects:
            _change([subject])
            started = time.perf_counter()
            _refresh()
            seconds += time.perf_counter() - started
        return len(subjects) / seconds

    return measure


def _change(subjects: Sequence[uuid.UUID]) -> None:
    Profile.objects.filter(pk__in=subjects).update(version=F("version") + 1)


def _refresh() -> None:
    if refresh(current_site(), scope=SegmentRun.Scope.CHANGED, now=dt.datetime.now(dt.UTC)) is None:
        raise SystemExit("The refresh of the benchmark found nothing to do.")
