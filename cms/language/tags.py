"""Where the tags of a rich text are.

Goes in: HTML with placeholders. Comes out: the tag that holds a placeholder, if one does, and the components among the
rest. Rule: one pass, linear in the length, also over broken HTML (an open tag reaches to the end).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cms.language.rich import COMPONENTS, attributes

_PLACEHOLDER: Final = re.compile(r"\{\{[^{}]*\}\}", re.DOTALL)
_SCAN: Final = re.compile(
    r"""\{\{[^{}]*\}\}"""
    r"""|(?P<tag><!--.*?(?:-->|\Z)|<(?:script|style)\b.*?(?:</(?:script|style)|\Z)"""
    r"""|</?(?=\{\{)[^>]*>?"""
    r"""|<[a-zA-Z/!?](?:"[^"]*(?:"|\Z)|'[^']*(?:'|\Z)|[^>"'])*>?)""",
    re.DOTALL | re.IGNORECASE,
)
_COMPONENT: Final = re.compile(r"<(tessera-product)\b([^<>]*)></tessera-product>")


@dataclass(frozen=True, slots=True)
class Component:
    """A personalized element in a rich text.

    ``default`` is the key of the block shown when nothing is known; ``of`` is the key of a segment whose item is shown.
    """

    name: str
    type: str
    default: str | None = None
    of: str | None = None


def tagged_placeholder(source: str) -> str | None:
    """Return the first tag that has a placeholder in it, or ``None``."""
    tags = (found["tag"] for found in _SCAN.finditer(source))
    return next((tag for tag in tags if tag and "{{" in tag), None)


def unescape_placeholders(source: str) -> str:
    """Turn the entities that an editor leaves inside placeholders back into characters."""
    return _PLACEHOLDER.sub(lambda found: html.unescape(found[0]).replace("\N{NO-BREAK SPACE}", " "), source)


def split_components(source: str) -> Iterator[str | Component]:
    """Yield the pieces of HTML and the components between them, in order."""
    position = 0
    for found in _COMPONENT.finditer(source):
        if found.start() > position:
            yield source[position : found.start()]
        yield _component(found[1], found[2])
        position = found.end()
    if position < len(source):
        yield source[position:]


def _component(tag: str, source: str) -> Component:
    given = {name: html.unescape(value) for name, value in attributes(source).items()}
    return Component(
        COMPONENTS[tag], given.get("type", ""), given.get("default") or None, given.get("of") or None
    )
