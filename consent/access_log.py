"""Who looked at personal data, or worked on it: written by whoever shows, sends or computes, read in the admin.

In: what happened (`AccessLog.Kind`), who did it, about whom or about how many, where and why. Out: one row. The log
names a subject by key alone; erasing somebody takes their key out and leaves that something was looked at. Withdrawing
a purpose takes nothing out: what was looked at while it was allowed stays provable.
"""

import datetime as dt
import uuid
from collections.abc import Collection, Iterable
from typing import Any, Final

from django.utils.translation import gettext_noop as N_

from consent.gates import NECESSARY
from consent.holders import Holder
from consent.models import AccessLog

Kind = AccessLog.Kind
VISITOR: Final = "visitor"
SHOWN: Final = 500  # rows of one person's export


def staff(user: Any) -> str:
    """Spell somebody of the office."""
    return f"staff:{user.get_username()}"


def api_key(name: str) -> str:
    """Spell a back end by the name of its key."""
    return f"key:{name}"


def task(name: str) -> str:
    """Spell work that nobody asked for in person."""
    return f"task:{name}"


def note(
    kind: str,
    *,
    actor: str,
    now: dt.datetime,
    subject: uuid.UUID | None = None,
    people: int | None = None,
    purposes: Iterable[str] = (),
    place: str = "",
    reason: str = "",
    site_id: int = 1,
) -> None:
    """Write down one access; `people` is how many it was about, 1 for one subject. Raises when it cannot be kept.

    Call it before the data are shown: what is not on record is not shown.
    """
    if kind not in Kind.values:
        raise ValueError(f"There is no kind of access '{kind}'.")
    if people is None and subject is None:
        raise ValueError("Say about whom, or about how many.")
    AccessLog.objects.create(
        site_id=site_id,
        at=now,
        kind=kind,
        actor=actor[:150],
        subject_key=subject,
        people=1 if people is None else people,
        purposes=sorted(purposes),
        place=place[:200],
        reason=reason[:300],
    )


def expire(*, now: dt.datetime, days: int) -> int:
    """Delete what is older than `days` (30 at least: the database refuses less); return how many rows were."""
    return AccessLog.objects.filter(at__lt=now - dt.timedelta(days=max(days, 30))).delete()[0]


def forget(subject: uuid.UUID) -> int:
    """Take an erased subject's key out of the log; return of how many rows."""
    return AccessLog.objects.filter(subject_key=subject).update(subject_key=None)


def export(subject: uuid.UUID) -> dict[str, Any]:
    """Return who looked at this person's data; names of the office are not theirs to have, its kinds are."""
    rows = AccessLog.objects.filter(subject_key=subject)[:SHOWN]
    return {
        "accesses": [
            {
                "at": row.at.astimezone(dt.UTC).isoformat(),
                "what": row.get_kind_display(),
                "by": row.actor.split(":")[0],
                "purposes": row.purposes,
                "reason": row.reason,
            }
            for row in rows
        ]
    }


def _erase(subject: uuid.UUID, purposes: Collection[str]) -> int:
    """Keep the log when a purpose is closed: that undoes no look. What is necessary ends with an erasure alone."""
    return forget(subject) if NECESSARY in purposes else 0


HOLDER = Holder("access_log", N_("Who looked at one's data"), export, _erase)
