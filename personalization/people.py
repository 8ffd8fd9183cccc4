"""Example people that an editor can see a page as. Whoever ships some registers a provider; there may be none."""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from consent.models import ConsentState
from consent.state import gates_of
from personalization.models import Profile
from personalization.profiles import facts_of


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody made up; without a visitor id they refused everything and nothing is known."""

    key: str
    title: str
    description: str
    visitor_id: uuid.UUID | None


Provider = Callable[[], Iterable[Person]]
_providers: list[Provider] = []


def register_people(provider: Provider) -> None:
    """Add a provider of example people."""
    if provider not in _providers:
        _providers.append(provider)


def people() -> list[Person]:
    """Return the example people there are."""
    return [person for provider in _providers for person in provider()]


def traits_of(person: Person) -> dict[str, Any]:
    """Return what is known about an example person, by the names of facts."""
    profile = Profile.objects.filter(pk=person.visitor_id).first() if person.visitor_id else None
    return facts_of(profile) if profile else {}


def consent_of(person: Person, *, at: float) -> dict[str, bool]:
    """Return what an example person has allowed."""
    row = ConsentState.objects.filter(subject_id=person.visitor_id).first() if person.visitor_id else None
    return dict.fromkeys(gates_of(row, now=at).granted, True) if row else {}
