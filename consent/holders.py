"""Who keeps personal data: every store registers what it holds, how to show it, how to erase it, and how to steer it.

Wired in `personalization/apps.py`. A holder's `erase` is idempotent, because it may be run again after any kill.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db.models import QuerySet


class About(StrEnum):
    """In which part of the dashboard an item stands."""

    FACT = "fact"
    SEGMENT = "segment"
    TOPIC = "topic"
    PAGE = "page"


class Wish(StrEnum):
    """What somebody may want of an item: use it no more, use it again, forget it, have it right, or say it is wrong."""

    HIDE = "hide"
    SHOW = "show"
    DELETE = "delete"
    CORRECT = "correct"
    DISPUTE = "dispute"


class Impossible(ValueError):
    """A wish that cannot be fulfilled, with a sentence for the person."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is known of somebody, in words for them, in the active language.

    `source` says where it comes from, `inferred` that it was worked out rather than told. `kind` is the type in which it
    can be corrected: text, number, boolean, date or list; empty where it cannot be. `raw` is its value in a form field.
    `rests_on` says what else is deleted with it. What one cannot correct oneself is `disputable`: the site is asked to, and
    uses it no more until the person shows it again. `link` leads to more about it, and `steerable` says whether it can be
    hidden.
    """

    about: About
    name: str
    title: str
    value: str = ""
    why: str = ""
    source: str = ""
    inferred: bool = False
    purposes: tuple[str, ...] = ()
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    hidden: bool = False
    kind: str = ""
    raw: str = ""
    deletable: bool = False
    rests_on: str = ""
    disputable: bool = False
    link: str = ""
    steerable: bool = True


@dataclass(frozen=True, slots=True)
class Holder:
    """One store of personal data.

    `erase(subject, purposes)` deletes what these purposes alone allowed and returns the number of things deleted, which
    `units(number)` puts into words. `held(purpose)` are the subjects of whom something is kept for the purpose, as a
    queryset of subject keys, so that one statement can compare it with what is granted; None for a cache that follows
    another holder. `join(source, target)` gives what is kept of one subject to another, who turned out to be the same
    person, in the caller's transaction; None where there is nothing to give.

    `forget(subject, now)` deletes what was observed and leaves what was declared and decided; `shorten(subject, before,
    now)` deletes what was observed before a moment; both return how many things. `known(subject, now)` is what one may read
    about oneself, and `steer(subject, name, wish, value, now)` fulfils a wish about one of these items and returns how
    many things it deleted; it raises `Impossible`.

    A transaction locks in one order: consent, claims to be folded, the profile, the rest of what is the person's alone, then
    what all people share. `last` marks the holders whose erasure comes to that; `in_turn` puts them behind the others.
    """

    name: str
    title: str
    export: Callable[[uuid.UUID], dict[str, Any]]
    erase: Callable[[uuid.UUID, Collection[str]], int]
    held: Callable[[str], "QuerySet[Any, uuid.UUID]"] | None = None
    join: Callable[[uuid.UUID, uuid.UUID], object] | None = None
    units: Callable[[int], str] | None = None
    forget: Callable[[uuid.UUID, dt.datetime], int] | None = None
    shorten: Callable[[uuid.UUID, dt.datetime, dt.datetime], int] | None = None
    known: Callable[[uuid.UUID, dt.datetime], Sequence[Item]] | None = None
    steer: Callable[[uuid.UUID, str, Wish, str, dt.datetime], int] | None = None
    last: bool = False


_holders: dict[str, Holder] = {}


def register_holder(holder: Holder) -> None:
    """Add a holder; a second one of the same name is a mistake."""
    if _holders.get(holder.name, holder) != holder:
        raise ValueError(f"There are two holders named '{holder.name}'.")
    _holders[holder.name] = holder


def holders() -> Iterable[Holder]:
    """Return every registered holder."""
    return tuple(_holders.values())


def in_turn() -> tuple[Holder, ...]:
    """Return every registered holder in the order in which they erase."""
    return tuple(sorted(holders(), key=lambda one: one.last))


def holder(name: str) -> Holder:
    """Return one holder; KeyError when there is none."""
    return _holders[name]
