"""By when a right has to be answered. PURE.

In: what is asked, under which law, and when it came. Out: the last moment, and how far away it is. GDPR, article 12(3): one month. CCPA: 45 days
(11 CCR 7021), 15 business days for an opt-out and a limit (11 CCR 7026(f), 7027(g)); holidays are not taken off, so that a date may
be early and never late.
"""

import datetime as dt
from typing import Final

from dateutil.relativedelta import relativedelta

GDPR: Final = "gdpr"
CCPA: Final = "ccpa"
OPT_OUTS: Final = frozenset({"opt_out", "limit"})
BUSINESS_DAYS: Final = 15


def regime_of(jurisdiction: str, kind: str) -> str:
    """Return the law under which something is asked: California's for its people and its own rights, else the GDPR."""
    return CCPA if kind in OPT_OUTS else law_of(jurisdiction)


def law_of(jurisdiction: str) -> str:
    """Return the law of a place: California's there, else the GDPR, the stricter one, for everybody."""
    return CCPA if jurisdiction == "US-CA" else GDPR


def due_at(kind: str, regime: str, received_at: dt.datetime) -> dt.datetime:
    """Return when the answer is due."""
    if regime != CCPA:
        return received_at + relativedelta(months=1)
    if kind in OPT_OUTS:
        return _business_days_after(received_at, BUSINESS_DAYS)
    return received_at + dt.timedelta(days=45)


def clock(due_at: dt.datetime, now: dt.datetime) -> str:
    """Say how much time is left, or by how much it is over: `in 12 days`, `in 3 hours`, `overdue by 2 days`."""
    late = now > due_at
    left = abs(due_at - now)
    number, unit = (left.days, "day") if left.days else (left.seconds // 3600, "hour")
    said = f"{number} {unit}{'' if number == 1 else 's'}" if number else "less than an hour"
    return f"overdue by {said}" if late else f"in {said}"


def _business_days_after(moment: dt.datetime, days: int) -> dt.datetime:
    while days:
        moment += dt.timedelta(days=1)
        days -= moment.weekday() < 5
    return moment
