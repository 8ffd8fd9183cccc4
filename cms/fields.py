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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from cms.keys import is_key
from cms.language.nodes import Problem
from cms.language.parse import step
from cms.language.text import TextError, normalise_rich, parse_text

MAX_DEPTH = 8  # of blocks in blocks
KINDS = ("text", "rich_text", "number", "boolean", "date", "choice", "link", "media", "block", "list")
_ATTRIBUTES = {
    "key", "kind", "title", "help", "localized", "required", "of", "types", "options", "min", "max", "multiline",
}  # fmt: skip
_LOCALE = re.compile(r"[a-z]{2}(-[A-Za-z0-9]{2,8})*")
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
        Problem("unknown_attribute", step(pointer, name), f"A field has no '{name}'.")
        for name in item.keys() - _ATTRIBUTES
    ]
    if not is_key(key):
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
    if "choice" in (kind, item.get("of")) and not _options_are_fine(item.get("options")):
        problems.append(
            Problem("options_missing", f"{pointer}/options", "A choice needs options with key and title.")
        )
    if kind == "list" and item.get("of", "block") not in KINDS[:-1]:
        problems.append(Problem("unknown_kind", f"{pointer}/of", f"A list cannot be of '{item.get('of')}'."))
    return problems + list(_attribute_problems(item, pointer))


def _attribute_problems(item: Mapping[str, Any], pointer: str) -> Iterator[Problem]:
    """Yield what has the wrong type among the attributes that say more about a field."""
    for name in ("title", "help"):
        if not isinstance(item.get(name, ""), str):
            yield Problem("wrong_type", f"{pointer}/{name}", f"The {name} of a field is text.")
    for name in ("min", "max"):
        if item.get(name) is not None and not _is_number(item[name]):
            yield Problem("wrong_type", f"{pointer}/{name}", f"The {name} of a field is a number.")
    types = item.get("types") or []
    if not isinstance(types, list) or not all(is_key(one) for one in types):
        yield Problem("wrong_type", f"{pointer}/types", "types is a list of keys of block types.")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _options_are_fine(options: Any) -> bool:
    return bool(options) and isinstance(options, list) and all(
        isinstance(o, Mapping) and isinstance(o.get("key"), str) and isinstance(o.get("title", ""), str)
        for o in options
    )  # fmt: skip


def clean(fields: Sequence[Field], data: object, *, known: Known, pointer: str = "") -> Cleaned:
    """Check a block's data against its fields and bring it into its one spelling."""
    result = Cleaned()
    if not isinstance(data, Mapping):
        result.problem("wrong_type", pointer, "The fields of a block are an object.")
        return result
    by_key = {f.key: f for f in fields}
    for key in data.keys() - by_key.keys():
        result.problem("unknown_field", step(pointer, key), f"This block type has no field '{key}'.")
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
    named = [replace(f, required=False) for f in fields if f.key in data]
    result = clean(named, data, known=known, pointer=pointer)
    for emptied in (f for f in fields if f.key in data and data[f.key] in (None, "", [])):
        result.data[emptied.key] = None
        if emptied.required:
            result.problem("required", f"{pointer}/{emptied.key}", f"{emptied.title} is required.")
    return result


def _clean_field(definition: Field, value: Any, result: Cleaned, known: Known, pointer: str) -> Any:
    if not definition.localized:
        return _clean_value(definition, value, result, known, pointer, required=definition.required)
    cleaned = {}
    default = known.locales[0]
    localized = per_locale(value, known.locales)
    for locale, one in localized.items():
        if locale not in known.locales:
            result.problem("unknown_locale", step(pointer, locale), f"This site has no locale '{locale}'.")
            continue
        required = definition.required and locale == default
        cleaned[locale] = _clean_value(
            definition, one, result, known, f"{pointer}/{locale}", required=required
        )
    if definition.required and default not in localized:
        result.problem("required", f"{pointer}/{default}", f"{definition.title} is required in {default}.")
    return {locale: one for locale, one in cleaned.items() if one is not None} or None


def per_locale(value: Any, locales: Sequence[str]) -> dict[str, Any]:
    """Read a localized value: `{locale: value}`, or a bare value, which is the default locale's.

    Locales that the site does not have (any more) are in it, as long as one that it has stands beside them.
    """
    if isinstance(value, Mapping) and (not value or not value.keys().isdisjoint(locales)):
        return dict(value)
    if isinstance(value, Mapping) and all(_LOCALE.fullmatch(key) for key in value):
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
    if not _is_number(value):
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
        utc = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):  # not a date, or one before the calendar begins
        return None
    return utc.strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(value: object) -> dt.datetime | None:
    """Return a date as a moment, or None when it is not a date."""
    spelled = as_date(value)
    return dt.datetime.fromisoformat(spelled) if spelled else None


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
    label = _text(
        replace(definition, title="The label of a link"),
        value.get("label") or "",
        result,
        known,
        f"{pointer}/label",
    )
    return {**value, "label": label} if label else {k: v for k, v in value.items() if k != "label"}


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
        if not _picture_facts_are_fine(value):
            return _wrong(
                result, pointer, definition, "a picture with alt as text, width and height as numbers"
            )
        if not safe_url(value["url"]):
            return result.problem(
                "unsafe_url", f"{pointer}/url", "An image lies at a path or an http(s) address."
            )
        return dict(value)
    if not isinstance(value, str) or value not in known.media:
        return result.problem("unknown_media", pointer, f"There is no media '{value}'.")
    return value


def _picture_facts_are_fine(value: Mapping[str, Any]) -> bool:
    sizes = (value.get("width"), value.get("height"))
    return isinstance(value.get("alt") or "", str) and all(s is None or _is_number(s) for s in sizes)


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
    single = replace(definition, kind=definition.of, min=None, max=None)
    return [clean_one(single, one, result, known, f"{pointer}/{index}") for index, one in enumerate(value)]


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
