"""One placeholder: from ``{{ user.orders | number | default("none") }}`` to a frozen value.

Goes in: a text, or the expression between two pairs of braces. Comes out: its pieces, or a ``Placeholder``; or
``TextError``. Rules: Jinja2 lexes and parses, nothing renders; what is not on the allow-list below is refused. A
default is a finished text, except that ``upper``, ``lower`` and ``title`` behind it change it here and now.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from jinja2 import Environment, TemplateSyntaxError, nodes

from cms.language import coercion, formats
from cms.language.nodes import TextError
from cms.language.vocabulary import SEGMENT_BY

Root: TypeAlias = Literal["user", "context", "attribute", "by"]
Filter: TypeAlias = tuple[str, tuple[Any, ...]]
MAX_EXPRESSION: Final = 400
MAX_TOKENS: Final = 60
STYLES: Final = ("short", "long")

_GRAMMAR: Final = Environment(keep_trailing_newline=True, autoescape=True)
_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_REFUSED: Final[Mapping[str, str]] = {
    "block_begin": "Statements ({% … %}) are not available in a text.",
    "raw_begin": "Statements ({% … %}) are not available in a text.",
    "comment_begin": "Comments ({# … #}) are not available in a text.",
}


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A value to fill in: where it comes from, its filters in order, and its inline default."""

    root: Root
    name: str
    filters: tuple[Filter, ...] = ()
    default: str | None = None
    source: str = ""

    @property
    def fact(self) -> str | None:
        """Return its name in the vocabulary; an attribute of a segment has none."""
        if self.root == "attribute":
            return None
        if self.root == "by":
            return self.name.join(SEGMENT_BY)
        return f"context.{self.name}" if self.root == "context" else self.name


def title_case(value: str) -> str:
    """Write each word with a capital."""
    return _WORD.sub(lambda word: word[0][0].upper() + word[0][1:].lower(), value)


CASES: Final[Mapping[str, Callable[[str], str]]] = {
    "upper": str.upper,
    "lower": str.lower,
    "title": title_case,
}
FILTERS: Final = (*CASES, "number", "currency", "date", "default")


def split(source: str) -> Iterator[str | Placeholder]:
    """Yield the pieces of a text in order; raise ``TextError`` at the first that cannot be one."""
    try:
        yield from _pieces(source)
    except TemplateSyntaxError as error:
        raise TextError.of("syntax", f"This placeholder cannot be read: {error.message}.") from error


def _pieces(source: str) -> Iterator[str | Placeholder]:
    expression: list[str] | None = None
    for _, kind, value in _GRAMMAR.lex(source):
        if kind in _REFUSED:
            raise TextError.of("statement", _REFUSED[kind])
        if kind == "variable_begin":
            expression = []
        elif kind == "variable_end" and expression is not None:
            yield read_placeholder(expression)
            expression = None
        elif expression is None:
            yield value
        else:
            expression.append(value)
    if expression is not None:
        raise TextError.of("syntax", "A placeholder is opened with {{ and never closed with }}.")


def read_placeholder(tokens: list[str]) -> Placeholder:
    """Read the tokens between the braces."""
    source = "".join(tokens).strip()
    if len(source) > MAX_EXPRESSION or len(tokens) > MAX_TOKENS:
        raise TextError.of("placeholder_too_long", f"A placeholder has at most {MAX_EXPRESSION} characters.")
    output = _GRAMMAR.parse("{{ " + source + " }}").body[0]
    expression = output.nodes[0] if isinstance(output, nodes.Output) else output
    target, calls = _unwind(expression, source)
    root, name = _target(target, source)
    filters, default = _filters(calls, source)
    return Placeholder(root, name, filters, default, "{{ " + source + " }}")


def _unwind(node: nodes.Node | None, source: str) -> tuple[nodes.Node | None, list[nodes.Filter]]:
    """Return what the filters are applied to, and the filters in the order they are applied."""
    calls: list[nodes.Filter] = []
    while isinstance(node, nodes.Filter):
        calls.append(node)
        node = node.node
    return node, calls[::-1]


def _target(node: nodes.Node | None, source: str) -> tuple[Root, str]:
    names: list[str] = []
    while isinstance(node, nodes.Getattr):
        names.append(node.attr)
        node = node.node
    if not isinstance(node, nodes.Name):
        raise TextError.of(
            "expression", f"A placeholder names one value; {_quoted(source)} does more than that."
        )
    return _root(node.name, names[::-1], source)


def _root(root: str, names: list[str], source: str) -> tuple[Root, str]:
    if root == "user" and len(names) == 2 and names[0] == "segment":
        return "attribute", names[1]
    if root == "user" and names and names[0] != "segment":
        return "user", ".".join(names)
    if root == "context" and len(names) == 1:
        return "context", names[0]
    if root == "segment" and len(names) == 2 and names[1] == "by":
        return "by", names[0]
    wanted = "user.NAME, user.segment.NAME, segment.KEY.by or context.NAME"
    raise TextError.of("unknown_root", f"A placeholder names {wanted}; {_quoted(source)} is none of these.")


def _filters(calls: list[nodes.Filter], source: str) -> tuple[tuple[Filter, ...], str | None]:
    filters: list[Filter] = []
    default: str | None = None
    for call in calls:
        arguments = _arguments(call, source)
        if call.name == "default":
            default = coercion.text(arguments[0]) if default is None else default
            continue
        filters.append((call.name, arguments))
        default = CASES.get(call.name, str)(default) if default is not None else None
    return tuple(filters), default


def _arguments(call: nodes.Filter, source: str) -> tuple[Any, ...]:
    if call.name not in FILTERS:
        raise TextError.of(
            "unknown_filter", f"There is no filter '{call.name}'; there are {', '.join(FILTERS)}."
        )
    constants = [node.value for node in call.args if isinstance(node, nodes.Const)]
    if call.kwargs or call.dyn_args or call.dyn_kwargs or len(constants) != len(call.args):
        raise TextError.of("filter_argument", f"The filters of {_quoted(source)} take constants only.")
    if not _suits(call.name, constants):
        raise TextError.of(
            "filter_argument", _NEEDS.get(call.name, f"The filter '{call.name}' takes no argument.")
        )
    return tuple(constants)


_NEEDS: Final[Mapping[str, str]] = {
    "default": "The filter 'default' takes one text or number.",
    "currency": "The filter 'currency' takes the code of a currency, such as 'EUR'.",
    "date": "The filter 'date' takes 'short' or 'long', or nothing.",
}


def _suits(name: str, constants: list[Any]) -> bool:
    if name == "default":
        return len(constants) == 1 and formats.plain(constants[0]) is not None
    if name == "currency":
        return len(constants) == 1 and formats.is_currency(constants[0])
    if name == "date":
        return not constants or (len(constants) == 1 and constants[0] in STYLES)
    return not constants


def _quoted(source: str) -> str:
    return f"'{{{{ {source} }}}}'"
