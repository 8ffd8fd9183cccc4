"""Text with placeholders: ``{{ user.first_name | default("there") }}``.

Goes in: a text field, plain or rich. Comes out: its parts in order, each a piece of text, a ``Placeholder`` or (in rich
text) a ``Component``; or ``TextError``. Rules: every placeholder has a default, inline or declared, and the inline one
wins; a placeholder never stands in a tag. The pieces of a rich text are HTML; what ``fill`` returns, a default too,
never is: whoever joins them escapes it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cms.language import formats
from cms.language.nodes import Problem, TextError
from cms.language.operators import WITHHELD
from cms.language.placeholders import CASES, Filter, Placeholder, split
from cms.language.rich import normalise_rich, spell_components, within_size
from cms.language.tags import Component, split_components, tagged_placeholder, unescape_placeholders
from cms.language.vocabulary import Vocabulary

__all__ = [
    "Component",
    "Placeholder",
    "Text",
    "TextError",
    "check_text",
    "fill",
    "normalise_rich",
    "parse_text",
]

_SUITABLE: Final[Mapping[str, frozenset[str]]] = {
    "number": frozenset({"number"}),
    "currency": frozenset({"number"}),
    "date": frozenset({"date"}),
}


@dataclass(frozen=True, slots=True)
class Text:
    """The parts of a text in order."""

    parts: tuple[str | Placeholder | Component, ...]

    @property
    def static(self) -> bool:
        """Say whether it is the same for everybody."""
        return all(isinstance(part, str) for part in self.parts)

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        """Return its placeholders in order."""
        return tuple(part for part in self.parts if isinstance(part, Placeholder))

    @property
    def components(self) -> tuple[Component, ...]:
        """Return its components in order."""
        return tuple(part for part in self.parts if isinstance(part, Component))


def parse_text(source: str, *, rich: bool = False) -> Text:
    """Read a text; raise ``TextError`` on anything but text, placeholders and (``rich``) components."""
    within_size(source)
    pieces = split(_prepared(source)) if rich else split(source)
    parts = (part for piece in pieces for part in _components(piece, rich=rich))
    return Text(tuple(_joined(parts)))


def _prepared(source: str) -> str:
    spelled = spell_components(source)
    tag = tagged_placeholder(spelled)
    if tag is not None:
        raise TextError.of("placeholder_in_tag", f"A placeholder cannot stand inside a tag: {tag[:80]}")
    return unescape_placeholders(spelled)


def _components(piece: str | Placeholder, *, rich: bool) -> Iterator[str | Placeholder | Component]:
    if rich and isinstance(piece, str):
        yield from split_components(piece)
    else:
        yield piece


def _joined(parts: Iterator[str | Placeholder | Component]) -> Iterator[str | Placeholder | Component]:
    """Join neighbouring pieces of text and leave out empty ones."""
    held = ""
    for part in parts:
        if isinstance(part, str):
            held += part
            continue
        if held:
            yield held
        held = ""
        yield part
    if held:
        yield held


def check_text(
    text: Text, vocabulary: Vocabulary, *, locales: Sequence[str], rich: bool = False
) -> tuple[Problem, ...]:
    """Return what is wrong with a text; a declared default must exist in the first of ``locales``, the default one."""
    problems = [problem for item in text.placeholders for problem in _check(item, vocabulary, locales)]
    components = text.components if rich else ()
    return (*problems, *(problem for item in components for problem in _check_component(item, vocabulary)))


def _check(item: Placeholder, vocabulary: Vocabulary, locales: Sequence[str]) -> Iterator[Problem]:
    if item.fact is None:
        yield from _check_default(item, vocabulary.attributes.get(item.name, {}), locales)
        return
    fact = vocabulary.find(item.fact)
    if fact is None:
        yield Problem(
            "unknown_fact", "", f"{item.source}: there is no '{item.name}'.{_hint(item.fact, vocabulary)}"
        )
        return
    yield from _check_default(item, fact.defaults, locales)
    yield from (_misfit(item, name, fact.type) for name, _ in item.filters if not _suits(name, fact.type))


def _check_default(
    item: Placeholder, declared: Mapping[str, str], locales: Sequence[str]
) -> Iterator[Problem]:
    needed = locales[0] if locales else ""
    if item.default is None and needed not in declared and needed.split("-")[0] not in declared:
        hint = 'declare one, or write | default("…")'
        yield Problem("placeholder_without_default", "", f"{item.source} has no default: {hint}.")


def _check_component(item: Component, vocabulary: Vocabulary) -> Iterator[Problem]:
    if item.type == "":
        yield Problem("component_without_type", "", f"<{item.name}> needs a type: which blocks it may show.")
    segment = vocabulary.segments.get(item.of or "")
    if item.of is not None and segment is None:
        yield Problem("unknown_segment", "", f'<{item.name}> is of "{item.of}": there is no such segment.')
    elif segment is not None and not segment.has_by:
        message = (
            f"<{item.name}> is of {segment.title}, whose rule counts by no value: no item is meant by it."
        )
        yield Problem("segment_without_by", "", message)
    if item.default is None:
        message = f"<{item.name}> has no default block: where nothing fits it shows nothing."
        yield Problem("component_without_default", "", message, "warning")


def _suits(name: str, kind: str) -> bool:
    return kind in _SUITABLE.get(name, (kind,))


def _misfit(item: Placeholder, name: str, kind: str) -> Problem:
    return Problem("filter_type", "", f"{item.source}: the filter '{name}' does not fit a {kind}.")


def _hint(name: str, vocabulary: Vocabulary) -> str:
    close = difflib.get_close_matches(name, vocabulary.names(), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


def fill(placeholder: Placeholder, value: object, *, locale: str, declared_default: str) -> str:
    """Return the text for a value; its default when it is absent, withheld, empty or of the wrong type."""
    written = None if value is WITHHELD or value is None else _written(placeholder.filters, value, locale)
    if written:
        return written
    return declared_default if placeholder.default is None else placeholder.default


def _written(filters: tuple[Filter, ...], value: Any, locale: str) -> str | None:
    for name, arguments in filters:
        value = _apply(name, arguments, value, locale)
    return formats.plain(value)


def _apply(name: str, arguments: tuple[Any, ...], value: Any, locale: str) -> str | None:
    if name == "number":
        return formats.number(value, locale=locale)
    if name == "currency":
        return formats.currency(value, code=arguments[0], locale=locale)
    if name == "date":
        return formats.date(value, style=arguments[0] if arguments else "short", locale=locale)
    words = formats.plain(value)
    return None if words is None else CASES[name](words)
