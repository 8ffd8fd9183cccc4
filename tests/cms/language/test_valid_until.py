"""When an answer can next change by itself: a moving now, over days and changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cms.language.evaluate import WITHHELD, compile_rule
from cms.language.parse import parse

BERLIN = ZoneInfo("Europe/Berlin")


def context(now: datetime) -> dict[str, Any]:
    return {
        "$now": now,
        "context.hour": now.hour,
        "context.weekday": now.isoweekday(),
        "context.time": f"{now:%H:%M}",
    }


def until(rule: Any, now: datetime, **facts: Any) -> datetime | None:
    return compile_rule(parse(rule)).valid_until({**context(now), **facts})


def berlin(*parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=BERLIN, fold=fold)  # type: ignore[arg-type,misc]


MORNING = {"context.hour": {"$gte": 8, "$lt": 12}}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (berlin(2026, 11, 22, 7, 59, 59), berlin(2026, 11, 22, 8)),
        (berlin(2026, 11, 22, 8), berlin(2026, 11, 22, 12)),
        (berlin(2026, 11, 22, 13), berlin(2026, 11, 23, 8)),
    ],
)
def test_an_hour_changes_at_its_ends(now: datetime, expected: datetime) -> None:
    assert until(MORNING, now) == expected
    answer = until(MORNING, now)
    assert answer is not None
    assert answer.tzinfo is UTC


def test_a_weekday_changes_at_midnight_local_time() -> None:
    saturday = {"context.weekday": {"$eq": 6}}
    assert until(saturday, berlin(2026, 11, 22, 10)) == berlin(2026, 11, 28)
    assert until(saturday, berlin(2026, 11, 28, 10)) == berlin(2026, 11, 29)


def test_a_time_of_day_changes_at_the_minute() -> None:
    late = {"context.time": {"$gte": "22:30"}}
    assert until(late, berlin(2026, 11, 22, 22, 29, 30)) == berlin(2026, 11, 22, 22, 30)
    assert until(late, berlin(2026, 11, 22, 23)) == berlin(2026, 11, 23)
    through = {"context.time": {"$lte": "08:00"}}
    assert until(through, berlin(2026, 11, 22, 8, 0, 30)) == berlin(2026, 11, 22, 8, 1)


def test_a_skipped_hour_ends_when_the_clock_jumps() -> None:
    before = {"context.hour": {"$lt": 2}}
    assert until(before, berlin(2026, 3, 29, 1, 30)) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    skipped = {"context.hour": {"$eq": 2}}
    assert until(skipped, berlin(2026, 3, 29, 1, 30)) == berlin(2026, 3, 30, 2)


def test_a_repeated_hour_returns() -> None:
    early = {"context.time": {"$lt": "02:30"}}
    assert until(early, berlin(2026, 10, 25, 2, 0)) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert until(early, berlin(2026, 10, 25, 2, 45)) == datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
    assert until(early, berlin(2026, 10, 25, 2, 10, fold=1)) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "America/St_Johns", "UTC"]
)
@pytest.mark.parametrize(
    "rule",
    [
        MORNING,
        {"context.time": {"$gte": "01:45", "$lt": "03:10"}},
        {"context.weekday": {"$in": [1, 7]}},
        {"context.hour": {"$not": {"$in": [1, 2, 23]}}},
    ],
)
def test_the_answer_holds_until_then_and_changes_then(zone: str, rule: Any) -> None:
    program = compile_rule(parse(rule))
    for start in (
        datetime(2026, 3, 28, 12, tzinfo=UTC),
        datetime(2026, 10, 3, tzinfo=UTC),
        datetime(2026, 10, 24, 9, 7, tzinfo=UTC),
    ):
        _follow(program, start, ZoneInfo(zone))


def _follow(program: Any, start: datetime, zone: ZoneInfo) -> None:
    """Walk five-minute steps over two days: the truth changes exactly where it was foretold."""
    facts = context(start.astimezone(zone))
    foretold, truth = program.valid_until(facts), program.evaluate(facts)
    for step in range(1, 2 * 288):
        at = start + timedelta(minutes=5 * step)
        facts = context(at.astimezone(zone))
        if at >= foretold:
            assert program.evaluate(context(foretold.astimezone(zone))) is not truth
            foretold, truth = program.valid_until(facts), program.evaluate(facts)
        assert program.evaluate(facts) is truth


def test_an_age_changes_at_a_whole_number_of_days() -> None:
    rule = {"last.days_ago": {"$exists": True, "$gte": 2}}
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert until(rule, now, last="2026-11-21T08:00:00Z") == datetime(2026, 11, 23, 8, tzinfo=UTC)
    assert until(rule, now, last="2026-11-01T08:00:00Z") is None
    assert until({"last.days_ago": {"$eq": 5}}, now, last="2026-11-20T08:00:00Z") == datetime(
        2026, 11, 25, 8, tzinfo=UTC
    )
    assert until({"last.days_ago": {"$eq": 5}}, now, last="2026-11-17T08:00:00Z") == datetime(
        2026, 11, 23, 8, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("2026-11-20T12:00:00Z", True),
        ("2026-11-20T12:00:01Z", False),
        ("2026-11-23T12:00:00Z", False),
        (None, False),
        ("2026-11-20", False),
        (WITHHELD, None),
    ],
)
def test_an_age_counts_whole_days(last: Any, expected: bool | None) -> None:
    program = compile_rule(parse({"last.days_ago": {"$exists": True, "$gte": 2}}))
    assert program.evaluate({"$now": berlin(2026, 11, 22, 13), "last": last}) is expected


def test_withheld_and_absent_facts_have_no_horizon() -> None:
    now = berlin(2026, 11, 22, 9)
    assert until(MORNING, now, **{"context.hour": WITHHELD}) is None
    assert until({"last.days_ago": {"$gt": 1}}, now, last=WITHHELD) is None
    assert until({"last.days_ago": {"$gt": 1}}, now) is None


def test_short_circuits_hide_no_horizon() -> None:
    rule = {"orders": {"$eq": 1}, "$or": [{"context.weekday": {"$eq": 3}}, MORNING]}
    assert until(rule, berlin(2026, 11, 22, 9)) == berlin(2026, 11, 22, 12)


def test_only_what_time_can_change_is_timed() -> None:
    assert compile_rule(parse(MORNING)).timed
    assert compile_rule(parse({"last.days_ago": {"$gt": 1}})).timed
    assert not compile_rule(parse({"orders": {"$gt": 1}})).timed
    assert not compile_rule(parse({"context.hour": {"$exists": True}})).timed
    assert not compile_rule(parse({"last.days_ago": {"$exists": True}})).timed
