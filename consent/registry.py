"""What every field of the project's models is: personal, with the holder that answers for it, or nothing of anybody.

In: declarations, registered at the start by whoever owns the models (`personalization/data_map.py`). Out: the fields
that nobody declared, so that CI fails over a new one; what is older than its time; and the records of processing.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.db import models

from consent.holders import holders

# Applications of others whose tables hold staff, or what the framework needs: declared as wholes.
OF_OTHERS: Final = frozenset(
    {
        "admin", "auth", "axes", "contenttypes", "django_celery_beat", "sessions", "rest_framework_api_key", "pgtrigger",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Declared:
    """One model: the holder that answers for its personal fields, and those that say nothing of anybody.

    `personal` fields are kept for `purposes` (a word, where each row names its own), for as long as `kept` says.
    """

    model: str
    holder: str = ""
    personal: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    purposes: str = ""
    kept: str = ""
    why: str = ""


Overdue = Callable[[dt.datetime], Iterable[str]]
_declared: dict[str, Declared] = {}
_overdue: dict[str, Overdue] = {}


def declare(*found: Declared) -> None:
    """Declare models; one is declared once."""
    for one in found:
        if _declared.get(one.model, one) != one:
            raise ValueError(f"'{one.model}' is declared twice.")
        _declared[one.model] = one


def watch_retention(name: str, overdue: Overdue) -> None:
    """Say how a store finds what is older than its time."""
    _overdue[name] = overdue


def declared() -> Mapping[str, Declared]:
    """Return every declaration by the model's label."""
    return dict(_declared)


def overdue(now: dt.datetime) -> Iterator[str]:
    """Yield what should have been deleted by now."""
    for found in _overdue.values():
        yield from found(now)


def undeclared() -> Iterator[str]:
    """Yield every field, and every holder, that a declaration misses or names wrongly."""
    known = {one.name for one in holders()}
    for model in _models():
        label = model._meta.label
        fields = {one.name for one in model._meta.get_fields() if _is_stored(one)}
        one = _declared.get(label)
        if one is None:
            yield f"{label}: nobody said whether it holds anything of a person."
            continue
        said = {*one.personal, *one.plain}
        yield from (f"{label}.{name}: nobody said whether it is personal." for name in sorted(fields - said))
        yield from (f"{label}.{name}: there is no such field." for name in sorted(said - fields))
        if one.personal and one.holder not in known:
            yield f"{label}: no holder answers for its personal fields."


def _models() -> Iterator[type[models.Model]]:
    ours = {path.split(".")[0] for path in settings.INSTALLED_APPS}
    for model in apps.get_models(include_auto_created=True):
        if model._meta.app_label in OF_OTHERS or model._meta.app_label not in ours:
            continue
        yield model


def _is_stored(one: Any) -> bool:
    return isinstance(one, models.Field) and one.column is not None
