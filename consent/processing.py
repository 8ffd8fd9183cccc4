"""The records of processing activities (GDPR, article 30), made from what every store declares.

In: `consent/registry.py` and the holders. Out: a `Record` per store of personal data, and the models that hold nothing
of anybody, with why. Nobody writes these records: a field that is not declared fails the audit.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models import Count

from consent.holders import Holder, holders
from consent.models import Purpose
from consent.registry import Declared, declared

_PEOPLE = ("subject_key", "subject", "id")  # how a store names people, the first it has


@dataclass(frozen=True, slots=True)
class Why:
    """A purpose with its words and its legal basis."""

    title: str
    basis: str


@dataclass(frozen=True, slots=True)
class Record:
    """One store: what is kept, why, for how long, who answers for it, and of how many people there is something now."""

    model: str
    title: str
    fields: tuple[str, ...]
    purposes: tuple[Why, ...]
    rule: str  # where each row has purposes of its own
    kept: str
    holder: str
    people: int


@dataclass(frozen=True, slots=True)
class Plain:
    """A model that holds nothing of anybody, and why that is so."""

    model: str
    title: str
    why: str


def records(*, site_id: int) -> list[Record]:
    """Return every store of personal data."""
    purposes = {one.key: one for one in Purpose.objects.filter(site_id=site_id)}
    keepers = {one.name: one for one in holders()}
    return [_record(one, keepers.get(one.holder), purposes) for one in declared().values() if one.personal]


def not_personal() -> list[Plain]:
    """Return the models that are declared as nobody's."""
    return [
        Plain(one.model, _title(apps.get_model(one.model)), one.why)
        for one in declared().values()
        if not one.personal
    ]


def _record(one: Declared, holder: Holder | None, purposes: Mapping[str, Purpose]) -> Record:
    model = apps.get_model(one.model)
    return Record(
        model=one.model,
        title=_title(model),
        fields=tuple(_in_words(str(_field(model, name).verbose_name)) for name in one.personal),
        purposes=tuple(_whys(one, holder, purposes)),
        rule="" if one.purposes in purposes else one.purposes,
        kept=_spelled(one.kept),
        holder=holder.title if holder else one.holder,
        people=_people_in(model),
    )


def _title(model: type[models.Model]) -> str:
    title = str(model._meta.verbose_name)
    return title[:1].upper() + title[1:]


def _in_words(name: str) -> str:
    """Return a field's name as people read it: what ends in `enc` is kept encrypted, a `dek` is somebody's own key."""
    name = name.removesuffix(" enc") + " (encrypted)" if name.endswith(" enc") else name
    return name.replace("wrapped dek", "own key (encrypted)")


def _field(model: type[models.Model], name: str) -> "models.Field[Any, Any]":
    field = model._meta.get_field(name)
    assert isinstance(field, models.Field)  # noqa: S101  # the registry declares stored fields alone
    return field


def _whys(one: Declared, holder: Holder | None, purposes: Mapping[str, Purpose]) -> Iterator[Why]:
    """Yield the purposes that a declaration names, and those for which something is kept now."""
    named = set(re.findall(r"\w+", one.purposes))
    of_rows = holder.held if holder and one.purposes not in purposes else None
    for key, purpose in purposes.items():
        if key in named or (of_rows is not None and of_rows(key).exists()):
            yield Why(str(purpose), purpose.get_legal_basis_display())


def _spelled(kept: str) -> str:
    """Return how long something is kept, with the settings that it names as what they are."""

    def days(found: re.Match[str]) -> str:
        return f"{getattr(settings, found[0])} days"

    return re.sub(r"\b[A-Z]+(?:_[A-Z]+)*_DAYS\b", days, kept)


def _people_in(model: type[models.Model]) -> int:
    names = {field.name for field in model._meta.concrete_fields}
    name = next(one for one in _PEOPLE if one in names)
    number: int = model._base_manager.aggregate(n=Count(name, distinct=True))["n"]
    return number
