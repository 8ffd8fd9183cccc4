"""Typed fields of a block: what a block type declares, and whether a block's data keeps to it.

In: the declaration of a block type (`parse_fields`) and a block's data (`clean`). Out: the data in its one
spelling, the blocks and media it names, and problems with a code, a JSON pointer and a sentence. Pure: what
exists is passed in as `Known`.

A localized field is stored as `{locale: value}`, any other as the value itself. Text is stored as written,
rich text cleaned. An optional field may be null.
"""

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cms.keys import KEY_PATTERN
from cms.language.nodes import Problem
from cms.language.text import TextError, normalise_rich, parse_text

KINDS = ("text", "rich_text", "number", "boolean", "date", "choice", "link", "media", "block", "list")
_ATTRIBUTES = {
    "key", "kind", "title", "help", "localized", "required", "of", "types", "options", "min", "max", "multiline",
}  # fmt: skip
_SAFE_SCHEMES = ("", "http", "https", "mailto", "tel")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a block type; `types` limits which blocks it may name, empty means any."""

    key: str
    kind: str
    title: str
    help: str = ""
    localized: bool = False
    required: bool = False
    of: str = ""
    types: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    min: float | None = None
    max: float | None = None
    multiline: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What a block may refer to: block key → type key, media keys, and the site's locales (default first)."""

    blocks: Mapping[str, str]
    media: frozenset[str]
    locales: Sequence[str]


@dataclass(slots=True)
class Cleaned:
    data: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    blocks: set[str] = field(default_factory=set)

    def problem(self, code: str, pointer: str, message: str) -> None:
        self.problems.append(Problem(code, pointer, message))


def parse_fields(declared: object) -> tuple[tuple[Field, ...], list[Problem]]:
    """Read the fields of a block type; a field with a problem is left out."""
    if not isinstance(declared, list):
        return (), [Problem("wrong_type", "", "The fields of a block type are a list.")]
    problems: list[Problem] = []
    fields: list[Field] = []
    for index, item in enumerate(declared):
        found = list(_field_problems(item, f"/{index}", {f.key for f in fields}))
        problems += found
        if not found:
            fields.append(_field(item))
    return tuple(fields), problems


def _field(item: Mapping[str, Any]) -> Field:
    options = tuple((o["key"], o.get("title") or o["key"]) for o in item.get("options") or ())
    return Field(
        key=item["key"],
        kind=item["kind"],
        title=item.get("title") or item["key"].replace("_", " ").capitalize(),
        help=item.get("help", ""),
        localized=bool(item.get("localized")),
        required=bool(item.get("required")),
        of=item.get("of", "block"),
        types=tuple(item.get("types") or ()),
        options=options,
        min=item.get("min"),
        max=item.get("max"),
        multiline=bool(item.get("multiline")),
    )


def _field_problems(item: Any, pointer: str, taken: set[str]) -> list[Problem]:
    if not isinstance(item, Mapping):
        return [Problem("wrong_type", pointer, "A field is an object with key and kind.")]
    key, kind = item.get("key"), item.get("kind")
    problems = [
        Problem("unknown_attribute", f"{pointer}/{name}", f"A field has no '{name}'.")
        for name in item.keys() - _ATTRIBUTES
    ]
    if not isinstance(key, str) or not KEY_PATTERN.match(key):
        problems.append(
            Problem("invalid_key", f"{pointer}/key", "A field needs a key of small letters, digits, - and _.")
        )
    elif key in taken:
        problems.append(Problem("duplicate_key", f"{pointer}/key", f"There are two fields '{key}'."))
    if kind not in KINDS:
        problems.append(
            Problem(
                "unknown_kind", f"{pointer}/kind", f"'{kind}' is not a kind of field: {', '.join(KINDS)}."
            )
        )
    if kind == "choice" and not _options_are_fine(item.get("options")):
        problems.append(
            Problem("options_missing", f"{pointer}/options", "A choice needs options with key and title.")
        )
    if kind == "list" and item.get("of", "block") not in KINDS[:-1]:
        problems.append(Problem("unknown_kind", f"{pointer}/of", f"A list cannot be of '{item.get('of')}'."))
    return problems


def _options_are_fine(options: Any) -> bool:
    return bool(options) and isinstance(options, list) and all(
        isinstance(o, Mapping) and isinstance(o.get("key"), str) for o in options
    )  # fmt: skip


def clean(fields: Sequence[Field], data: object, *, known: Known, pointer: str = "") -> Cleaned:
    """Check a block's data against its fields and bring it into its one spelling."""
    result = Cleaned()
    if not isinstance(data, Mapping):
        result.problem("wrong_type", pointer, "The fields of a block are an object.")
        return result
    by_key = {f.key: f for f in fields}
    for key in data.keys() - by_key.keys():
        result.problem("unknown_field", f"{pointer}/{key}", f"This block type has no field '{key}'.")
    for definition in fields:
        value = _clean_field(
            definition, data.get(definition.key), result, known, f"{pointer}/{definition.key}"
        )
        if value is not None:
            result.data[definition.key] = value
    return result


def clean_overrides(fields: Sequence[Field], data: object, *, known: Known, pointer: str = "") -> Cleaned:
    """Check a variant's overrides: like `clean`, but only what is named, and null empties an optional field."""
    if not isinstance(data, Mapping):
        result = Cleaned()
        result.problem("wrong_type", pointer, "Overrides are an object of fields.")
        return result
    named = [f for f in fields if f.key in data]
    result = clean(
        [_optional(f) for f in named],
        {k: v for k, v in data.items() if v is not None},
        known=known,
        pointer=pointer,
    )
    for key in data.keys() - {f.key for f in named}:
        if data[key] is None:
            result.problem("unknown_field", f"{pointer}/{key}", f"This block type has no field '{key}'.")
    for definition in named:
        if data[definition.key] is None and definition.required:
            result.problem("required", f"{pointer}/{definition.key}", f"{definition.title} is required.")
        elif data[definition.key] is None:
            result.data[definition.key] = None
    return result


def _optional(definition: Field) -> Field:
    from dataclasses import replace

    return replace(definition, required=False)


def _clean_field(definition: Field, value: Any, result: Cleaned, known: Known, pointer: str) -> Any:
    if not definition.localized:
        return _clean_value(definition, value, result, known, pointer, required=definition.required)
    cleaned = {}
    default = known.locales[0]
    localized = per_locale(value, known.locales)
    for locale, one in localized.items():
        required = definition.required and locale == default
        cleaned[locale] = _clean_value(
            definition, one, result, known, f"{pointer}/{locale}", required=required
        )
    if definition.required and default not in localized:
        result.problem("required", f"{pointer}/{default}", f"{definition.title} is required in {default}.")
    return {locale: one for locale, one in cleaned.items() if one is not None} or None


def per_locale(value: Any, locales: Sequence[str]) -> dict[str, Any]:
    """Read a localized value: `{locale: value}`, or a bare value, which is the default locale's."""
    if isinstance(value, Mapping) and value and value.keys() <= set(locales):
        return dict(value)
    return {} if value is None else {locales[0]: value}


def _clean_value(
    definition: Field, value: Any, result: Cleaned, known: Known, pointer: str, *, required: bool
) -> Any:
    if value is None or value == "" or (value == [] and definition.kind == "list"):
        if required:
            result.problem("required", pointer, f"{definition.title} is required.")
        return None
    return _CLEANERS[definition.kind](definition, value, result, known, pointer)


def _wrong(result: Cleaned, pointer: str, definition: Field, wanted: str) -> None:
    result.problem("wrong_type", pointer, f"{definition.title} must be {wanted}.")


def _text(definition: Field, value: Any, result: Cleaned, known: Known, pointer: str) -> Any:
    if not isinstance(value, str):
        return _wrong(result, pointer, definition, "text")
    if "\x00" in value:
        return result.problem("nul_character", pointer, f"{definition.title} contains a NUL character.")
    try:
        parse_text(value)
    except TextError as error:
        result.problems += [Problem(p.code, pointer, p.message, p.severity) for p in error.problems]
    return value


def _rich_text(definition: Field, value: Any, result: Cleaned, known: Known, pointer: str) -> Any:
    if not isinstance(value, str):
        return _wrong(result, pointer, definition, "text")
    try:
        cleaned = normalise_rich(value)
        parsed = parse_text(cleaned, rich=True)
    except TextError as error:
        result.problems += [Problem(p.code, pointer, p.message, p.severity) for p in error.problems]
        return None
    result.blocks |= {c.default for c in parsed.components if c.default}
    for component in parsed.components:
        if component.default and component.default not in known.blocks:
            result.problem("unknown_block", pointer, f"There is no block '{component.default}'.")
    return cleaned


def _number(definition: Field, value: Any, result: Cleaned, known: Known, pointer: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return _wrong(result, pointer, definition, "a number")
    if definition.min is not None and value < definition.min:
        return result.problem(
            "too_small", pointer, f"{definition.title} must be at least {definition.min:g}."
        )
    if definition.max is not None and value > definition.max:
        return result.problem("too_large", pointer, f"{definition.title} must be at most {definition.max:g}.")
    return value


def _boolean(definition: Field, value: Any, result: Cleaned, known: Known, pointer: str) -> Any:
    return value if isinstance(value, bool) else _wrong(result, pointer, definition, "true or false")


def _date(definition: Field, value: Any, result: Cleaned, known: Known, pointer: str) -> Any:
    moment = as_date(value)
    if moment is None:
        _wrong(result, pointer, definition, "a date such as 2026-11-22 or 2026-11-22T08:00:00Z")
    return moment


def as_date(value: object) -> str | None:
    """Return a date in its one spelling, `YYYY-MM-DDTHH:MM:SSZ`, or None when it is not a date."""
    if not isinstance(value, str) or len(value) > 40 or not re.match(r"^\d{4}-\d{2}-\d{2}", value):
        return None
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        return None
    utc = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%SZ")


def _choice(definition: Field, value: Any, result: Cleaned, known: Known, pointer: str) -> Any:
    keys = [key for key, _ in definition.options]
    if value not in keys:
        return result.problem(
            "unknown_option", pointer, f"{definition.title} must be one of {', '.join(keys)}."
        )
    return value


def _link(definition: Field, value: Any, result: Cleaned, known: Known, pointer: str) -> Any:
    if isinstance(value, str):
        value = {"href": value}
    if (
        not isinstance(value, Mapping)
        or not value.keys() <= {"href", "label", "target"}
        or not value.get("href")
    ):
        return _wrong(result, pointer, definition, 'a link: {"href", "label", "target"}')
    href = value["href"]
    if isinstance(href, Mapping):
        if href.keys() != {"page"} or not isinstance(href["page"], str):
            return result.problem("wrong_type", f"{pointer}/href", 'A link to a page is {"page": "/path"}.')
    elif not isinstance(href, str) or not safe_url(href):
        return result.problem(
            "unsafe_url", f"{pointer}/href", "A link goes to a path, an http(s) address, mailto: or tel:."
        )
    if value.get("target") not in (None, "_blank", "_self"):
        return result.problem(
            "unknown_option", f"{pointer}/target", "The target of a link is _blank or _self."
        )
    if not isinstance(value.get("label", ""), str):
        return result.problem("wrong_type", f"{pointer}/label", "The label of a link is text.")
    return dict(value)


def safe_url(url: str) -> bool:
    """Say whether a browser can open the URL without running it."""
    if any(ord(c) < 33 for c in url) or "{{" in url:
        return False
    try:
        return urlsplit(url).scheme.lower() in _SAFE_SCHEMES
    except ValueError:
        return False


def _media(definition: Field, value: Any, result: Cleaned, known: Known, pointer: str) -> Any:
    if isinstance(value, Mapping):  # an image that lies elsewhere: {"url", "alt", "width", "height"}
        if not value.keys() <= {"url", "alt", "width", "height"} or not isinstance(value.get("url"), str):
            return _wrong(result, pointer, definition, 'a media key or {"url", "alt", "width", "height"}')
        if not safe_url(value["url"]):
            return result.problem(
                "unsafe_url", f"{pointer}/url", "An image lies at a path or an http(s) address."
            )
        return dict(value)
    if value not in known.media:
        return result.problem("unknown_media", pointer, f"There is no media '{value}'.")
    return value


def _block(definition: Field, value: Any, result: Cleaned, known: Known, pointer: str) -> Any:
    if not isinstance(value, str) or value not in known.blocks:
        return result.problem("unknown_block", pointer, f"There is no block '{value}'.")
    if definition.types and known.blocks[value] not in definition.types:
        return result.problem(
            "type_not_allowed",
            pointer,
            f"'{value}' is a {known.blocks[value]}; {definition.title} takes {', '.join(definition.types)}.",
        )
    result.blocks.add(value)
    return value


def _list(definition: Field, value: Any, result: Cleaned, known: Known, pointer: str) -> Any:
    if not isinstance(value, list):
        return _wrong(result, pointer, definition, "a list")
    if definition.max is not None and len(value) > definition.max:
        result.problem("too_many", pointer, f"{definition.title} takes at most {definition.max:g}.")
    if definition.min is not None and len(value) < definition.min:
        result.problem("too_few", pointer, f"{definition.title} needs at least {definition.min:g}.")
    clean_one = _CLEANERS[definition.of]
    return [
        clean_one(definition, one, result, known, f"{pointer}/{index}") for index, one in enumerate(value)
    ]


_CLEANERS: Mapping[str, Callable[[Field, Any, Cleaned, Known, str], Any]] = {
    "text": _text,
    "rich_text": _rich_text,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "choice": _choice,
    "link": _link,
    "media": _media,
    "block": _block,
    "list": _list,
}
