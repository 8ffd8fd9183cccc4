"""The months in which events are kept: made ahead, dropped when everything in them is past its time.

`ensure` is run every day and may be run at any time. What is older or newer than any month lies in the default
partition, so that no event is ever without a place.
"""

import datetime as dt
from collections.abc import Iterator

from django.db import connection
from django.db.backends.utils import CursorWrapper

TABLE = "personalization_event"
MONTHS_BACK = 15
MONTHS_AHEAD = 3


def months(first: dt.date, count: int) -> Iterator[tuple[dt.date, dt.date]]:
    """Yield (first day, first day of the next) of so many months, beginning with the one of `first`."""
    start = first.replace(day=1)
    for _ in range(count):
        after = (start + dt.timedelta(days=32)).replace(day=1)
        yield start, after
        start = after


def ensure(today: dt.date, *, cursor: CursorWrapper | None = None) -> int:
    """Make the partitions of the months around a day; return how many were missing."""
    if cursor is None:
        with connection.cursor() as own:
            return ensure(today, cursor=own)
    first = today.replace(day=1)
    for _ in range(MONTHS_BACK):
        first = (first - dt.timedelta(days=1)).replace(day=1)
    made = 0
    for start, end in months(first, MONTHS_BACK + 1 + MONTHS_AHEAD):
        made += _make(cursor, start, end)
    return made


def _make(cursor: CursorWrapper, start: dt.date, end: dt.date) -> bool:
    """Make one month; what the default partition held of it moves along."""
    name = f"{TABLE}_{start:%Y_%m}"
    cursor.execute("SELECT to_regclass(%s)", [name])
    if cursor.fetchone()[0] is not None:
        return False
    bounds = [f"{start} 00:00+00", f"{end} 00:00+00"]
    cursor.execute(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING DEFAULTS INCLUDING INDEXES)")
    cursor.execute(
        f"WITH moved AS (DELETE FROM {TABLE}_rest WHERE happened_at >= %s AND happened_at < %s RETURNING *)"  # noqa: S608  # names of our own
        f" INSERT INTO {name} SELECT * FROM moved",
        bounds,
    )
    cursor.execute(f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)", bounds)
    return True


def drop_before(day: dt.date) -> int:
    """Drop the months that lie wholly before a day; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [TABLE]
        )
        names = [row[0].strip('"') for row in cursor.fetchall()]
        past = [name for name in names if _ends(name) and _ends(name) <= day]  # type: ignore[operator]  # checked before
        for name in past:
            cursor.execute(f"DROP TABLE {name}")
    return len(past)


def _ends(name: str) -> dt.date | None:
    """Return the first day after a partition's month; None for the default one."""
    try:
        year, month = map(int, name.removeprefix(f"{TABLE}_").split("_"))
    except ValueError:
        return None
    return (dt.date(year, month, 1) + dt.timedelta(days=32)).replace(day=1)
