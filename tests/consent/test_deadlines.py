"""By when a right has to be answered, law by law."""

import datetime as dt

import pytest

from consent.deadlines import due_at, regime_of

FRIDAY = dt.datetime(2026, 11, 27, 10, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("kind", "regime", "received", "due"),
    [
        ("export", "gdpr", FRIDAY, dt.datetime(2026, 12, 27, 10, tzinfo=dt.UTC)),
        ("export", "gdpr", dt.datetime(2027, 1, 31, tzinfo=dt.UTC), dt.datetime(2027, 2, 28, tzinfo=dt.UTC)),
        ("erase", "ccpa", FRIDAY, dt.datetime(2027, 1, 11, 10, tzinfo=dt.UTC)),
        ("opt_out", "ccpa", FRIDAY, dt.datetime(2026, 12, 18, 10, tzinfo=dt.UTC)),
        ("limit", "ccpa", FRIDAY - dt.timedelta(days=1), dt.datetime(2026, 12, 17, 10, tzinfo=dt.UTC)),
    ],
)
def test_a_month_forty_five_days_or_fifteen_business_days(
    kind: str, regime: str, received: dt.datetime, due: dt.datetime
) -> None:
    assert due_at(kind, regime, received) == due


@pytest.mark.parametrize(
    ("jurisdiction", "kind", "regime"),
    [("", "export", "gdpr"), ("DE", "erase", "gdpr"), ("US-CA", "erase", "ccpa"), ("", "opt_out", "ccpa")],
)
def test_californias_rights_are_californias_wherever_one_is(
    jurisdiction: str, kind: str, regime: str
) -> None:
    assert regime_of(jurisdiction, kind) == regime
