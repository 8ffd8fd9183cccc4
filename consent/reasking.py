"""Whether somebody is to be asked, and why. PURE.

In: what they answered, what is asked today, and when. Out: `Asking`. A refusal is left in peace until the notice changes
or the pause is over; a grant until the notice changes or it runs out; what nobody asked about before is asked.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Asking:
    """Whether to ask, and why: `unset`, `new_purpose`, `notice_changed`, `expired`, `pause_over`, or nothing."""

    needed: bool
    why: str | None = None


def asking(
    states: Mapping[str, str],
    asked: Collection[str],
    *,
    decided_at: dt.datetime | None,
    now: dt.datetime,
    pause_days: int,
    changed: bool = False,
) -> Asking:
    """Say whether a person whom the ledger knows is asked again; `states` are those that hold now.

    `changed`: something that is asked is said in other words than those that they answered.
    """
    found = {states.get(purpose, "unset") for purpose in asked}
    if "unset" in found:
        return Asking(True, "unset" if found == {"unset"} else "new_purpose")
    if "expired" in found:
        return Asking(True, "expired")
    if changed and found:
        return Asking(True, "notice_changed")
    if not found - {"granted"}:
        return Asking(False)
    paused = decided_at is not None and now - decided_at < dt.timedelta(days=pause_days)
    return Asking(False) if paused else Asking(True, "pause_over")


def says_otherwise(
    answered: Mapping[str, Mapping[str, Any]], today: Mapping[str, Mapping[str, Any]], purpose: str
) -> bool:
    """Say whether two notices' texts put a purpose into other words, in a language that both have."""
    return any(
        _of(answered[locale], purpose) != _of(today[locale], purpose) for locale in answered.keys() & today
    )


def _of(texts: Mapping[str, Any], purpose: str) -> Any:
    return next((one for one in texts["purposes"] if one["key"] == purpose), None)


def asking_nobody(refused_version: int | None, version: int, asked: Collection[str]) -> Asking:
    """Say whether somebody unknown is asked, whose browser may remember the version that it refused."""
    if not asked:
        return Asking(False)
    if refused_version is None:
        return Asking(True, "unset")
    return Asking(False) if refused_version == version else Asking(True, "notice_changed")
