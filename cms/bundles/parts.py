"""What every part of a bundle has in common: entries by key, problems by JSON pointer, and the report of a load.

Errors carry JSON pointers; the caller's transaction makes a load all or nothing.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import JSONField, Model

from cms.errors import below, errors_among
from cms.keys import is_key
from cms.language.nodes import Problem
from cms.language.parse import step
from cms.models import Media
from cms.paths import normalise

PARTS = ("site", "media", "block_types", "templates", "experiences", "blocks", "pages")


@dataclass(slots=True)
class Report:
    """What a load changed, by kind, and every problem; any error means that nothing was kept."""

    changed: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    pictures: list[Media] = field(default_factory=list)  # whose files were written, and go if nothing is kept

    def count(self, kind: str, changed: bool) -> None:
        self.changed[kind] = self.changed.get(kind, 0) + int(changed)

    def add(self, pointer: str, problems: Sequence[Problem]) -> None:
        self.problems += below(pointer, problems)


def listed(
    bundle: Mapping[str, Any], part: str, report: Report, *, known: Collection[str]
) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the entries of one part with their indexes; what is not an object with a key is a problem.

    An attribute that is not `known` is ignored, with a warning.
    """
    entries = bundle.get(part, [])
    if not isinstance(entries, list):
        report.problems.append(Problem("wrong_type", f"/{part}", f"{part} is a list."))
        return []
    good = []
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        found = list(_entry_problems(entry, part, f"/{part}/{index}", seen, known))
        report.problems += found
        if not errors_among(found):
            good.append((index, entry))
    return good


def _entry_problems(
    entry: object, part: str, place: str, seen: set[str], known: Collection[str]
) -> Iterator[Problem]:
    name = "path" if part == "pages" else "key"
    key = entry.get(name) if isinstance(entry, Mapping) else None
    free = part in ("pages", "events")  # paths, and names as clients send them
    if not isinstance(entry, Mapping) or not isinstance(key, str) or not (free or is_key(key)):
        yield Problem("invalid_key", f"{place}/{name}", f"'{key}' is not a {name}.")
        return
    key = normalise(key) if name == "path" else key
    if key in seen:
        yield Problem("duplicate_key", f"{place}/{name}", f"'{key}' stands here twice.")
    seen.add(key)
    for attribute in entry.keys() - known:
        sentence = f"'{attribute}' is not known here and was left out."
        yield Problem("unknown_attribute", step(place, attribute), sentence, "warning")


def written(row: Model, values: Mapping[str, Any], report: Report, pointer: str) -> bool | None:
    """Add or update one row; return whether that changed anything, or None when the values do not fit."""
    changed = row.pk is None or any(getattr(row, name) != value for name, value in values.items())
    if not changed:
        return False
    for name, value in values.items():
        setattr(row, name, value)
    stated = {name for name, value in values.items() if not _empty_json(row, name, value)}
    try:
        row.clean_fields(exclude={f.name for f in row._meta.fields} - stated)
    except ValidationError as error:
        report.problems += [
            Problem("invalid", f"{pointer}/{name}", sentences[0])
            for name, sentences in error.message_dict.items()
        ]
        return None
    row.save()
    return True


def _empty_json(row: Model, name: str, value: object) -> bool:
    """Say whether a value is an empty list or object where one may stand; forms alone demand more."""
    return value in ([], {}) and isinstance(row._meta.get_field(name), JSONField)


def texts(value: object, default_locale: str) -> Any:
    """Return words per locale; bare words are the default locale's."""
    return {default_locale: value} if isinstance(value, str) and value else value or {}


def text_problems(value: object, locales: Sequence[str], pointer: str) -> Iterator[Problem]:
    """Yield what is wrong with words per locale."""
    if not isinstance(value, Mapping) or not all(isinstance(one, str) for one in value.values()):
        yield Problem("wrong_type", pointer, "Send text, or text per locale.")
        return
    for locale in value.keys() - set(locales):
        yield Problem("unknown_locale", step(pointer, locale), f"This site has no locale '{locale}'.")


def picture_name(row: Media) -> str:
    """Return where a dump keeps a picture, seen from the bundle."""
    return f"media/{row.key}.{str(row.file.name).rsplit('.', 1)[-1]}"
