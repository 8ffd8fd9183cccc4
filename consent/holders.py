"""Who keeps personal data: every store registers what it holds, how to show it and how to erase it.

Wired in `personalization/apps.py`. A holder's `erase` is idempotent, because it may be run again after any kill.
"""

import uuid
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet


@dataclass(frozen=True, slots=True)
class Holder:
    """One store of personal data.

    `erase(subject, purposes)` deletes what these purposes alone allowed and returns the number of things deleted.
    `held(purpose)` are the subjects of whom something is kept for the purpose, as a queryset of subject keys, so
    that one statement can compare it with what is granted; None for a cache that follows another holder.
    `join(source, target)` gives what is kept of one subject to another, who turned out to be the same person, in the
    caller's transaction; None where there is nothing to give.
    """

    name: str
    title: str
    export: Callable[[uuid.UUID], dict[str, Any]]
    erase: Callable[[uuid.UUID, Collection[str]], int]
    held: Callable[[str], "QuerySet[Any, uuid.UUID]"] | None = None
    join: Callable[[uuid.UUID, uuid.UUID], object] | None = None


_holders: dict[str, Holder] = {}


def register_holder(holder: Holder) -> None:
    """Add a holder; a second one of the same name is a mistake."""
    if _holders.get(holder.name, holder) != holder:
        raise ValueError(f"There are two holders named '{holder.name}'.")
    _holders[holder.name] = holder


def holders() -> Iterable[Holder]:
    """Return every registered holder."""
    return tuple(_holders.values())


def holder(name: str) -> Holder:
    """Return one holder; KeyError when there is none."""
    return _holders[name]
