"""What somebody wishes beside yes and no: a pause, a shorter memory, a reminder; and how personal the site feels.

Each is part of the person's consent state, so that it holds on every device, and ends with an erasure.
"""

import datetime as dt
import uuid
from typing import Final

from django.db import connection, transaction

from consent.holders import holders
from consent.ledger import Entry, append
from consent.models import ConsentState
from consent.state import announce_after_commit, gates_of, lock

PAUSES: Final = (1, 7, 30, 90)  # days
PERIODS: Final = (90, 180, 540, 1095)  # days for which what one did may be kept: 3, 6, 18 and 36 months
REMINDERS: Final = (30, 180, 365)  # days
LEVELS: Final = (1, 2, 3, 4, 5)  # far too personal … just right … could be more personal


@transaction.atomic
def pause(subject: uuid.UUID, *, days: int, now: dt.datetime) -> dt.datetime | None:
    """Read, store and delete nothing for some days; return until when, or None for nobody. Raises ValueError."""
    if days not in PAUSES:
        raise ValueError(days)
    return _set_pause(subject, now + dt.timedelta(days=days), "paused", now)


@transaction.atomic
def resume(subject: uuid.UUID, *, now: dt.datetime) -> bool:
    """End a pause before its time; return False when there is none."""
    if not ConsentState.objects.filter(pk=subject, paused_until__gt=now).exists():
        return False
    _set_pause(subject, None, "resumed", now)
    return True


def _set_pause(
    subject: uuid.UUID, until: dt.datetime | None, action: str, now: dt.datetime
) -> dt.datetime | None:
    row = lock(subject)
    if row is None:
        return None
    row.paused_until, row.updated_at = until, now
    row.version += 1
    row.save()
    payload = {"until": until.isoformat()} if until else {}
    append(
        subject,
        [Entry(purpose="*", action=action, method="privacy_page")],
        site_id=row.site_id,
        payload=payload,
        now=now,
    )
    announce_after_commit(subject, gates_of(row, now=now.timestamp()), wait=until is not None)
    return until


@transaction.atomic
def keep_for(subject: uuid.UUID, *, days: int | None, now: dt.datetime) -> int:
    """Keep what somebody did no longer than this, from now on; return how many things were deleted. Raises ValueError."""
    if days is not None and days not in PERIODS:
        raise ValueError(days)
    if not ConsentState.objects.filter(pk=subject).update(keep_days=days) or days is None:
        return 0
    return _shorten(subject, days, now)


def _shorten(subject: uuid.UUID, days: int, now: dt.datetime) -> int:
    before = now - dt.timedelta(days=days)
    return sum(one.shorten(subject, before, now) for one in holders() if one.shorten is not None)


def shorten_all(*, now: dt.datetime) -> int:
    """Delete, for everybody who chose a time of their own, what is older; return how many things were deleted."""
    rows = ConsentState.objects.filter(keep_days__isnull=False).values_list("pk", "keep_days")
    return sum(_shorten_one(subject, days or 0, now) for subject, days in rows.iterator())


@transaction.atomic
def _shorten_one(subject: uuid.UUID, days: int, now: dt.datetime) -> int:
    lock(subject)
    return _shorten(subject, days, now)


# -- reminders ----------------------------------------------------------------------------------------


def remind_every(subject: uuid.UUID, *, days: int | None, now: dt.datetime) -> bool:
    """Remind somebody of what they allow, every so many days, or never; return False for nobody. Raises ValueError."""
    if days is not None and days not in REMINDERS:
        raise ValueError(days)
    return bool(ConsentState.objects.filter(pk=subject).update(remind_days=days, reminded_at=now))


def is_reminder_due(row: ConsentState, *, now: dt.datetime) -> bool:
    """Say whether it is time to remind: counted from the last reminder, or from the last decision."""
    if row.remind_days is None or "granted" not in row.state.values():
        return False
    return (row.reminded_at or row.updated_at) + dt.timedelta(days=row.remind_days) <= now


def seen(subject: uuid.UUID, *, now: dt.datetime) -> None:
    """Note that somebody looked at what they allow: the next reminder counts from here."""
    ConsentState.objects.filter(pk=subject, remind_days__isnull=False).update(reminded_at=now)


# -- how it feels ---------------------------------------------------------------------------------------


def feel(level: int, *, site_id: int, now: dt.datetime) -> None:
    """Count how personal the site feels to somebody, without saying to whom. Raises ValueError."""
    if level not in LEVELS:
        raise ValueError(level)
    with connection.cursor() as cursor:
        cursor.execute(_ONE_MORE, [site_id, now.date(), level])


_ONE_MORE: Final = """
INSERT INTO consent_feeling (site_id, day, level, count) VALUES (%s, %s, %s, 1)
ON CONFLICT (site_id, day, level) DO UPDATE SET count = consent_feeling.count + 1
"""
