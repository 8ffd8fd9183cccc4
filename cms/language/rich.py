"""Rich text: which HTML may be stored, and how components are spelled in it.

Goes in: HTML as an editor wrote it, at most 64 kB. Comes out: clean HTML in which every component is
``<tessera-product type="…" of="…" default="…"></tessera-product>``. Rules: the sanitizer has the last word; cleaning twice
changes nothing; a component that does not exist is an error, never dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import nh3

from cms.language.nodes import TextError

MAX_BYTES: Final = 64 * 1024  # the sanitizer takes more than linear time on deep nesting
COMPONENTS: Final[Mapping[str, str]] = {"tessera-product": "PersonalizedProduct"}
TAGS: Final = frozenset(
    [
        "a",
        "p",
        "br",
        "strong",
        "em",
        "ul",
        "ol",
        "li",
        "h2",
        "h3",
        "h4",
        "blockquote",
        "img",
        "code",
        "pre",
        "hr",
        "span",
        "tessera-product",
    ]
)
ATTRIBUTES: Final[Mapping[str, set[str]]] = {
    "a": {"href", "title", "target"},
    "img": {"src", "alt", "width", "height"},
    "tessera-product": {"type", "of", "default"},
}

_COMPONENT: Final = re.compile(
    r"""<(?P<end>/?)(?:PersonalizedProduct|tessera-product)\b(?P<attributes>(?:"[^"<]*"|'[^'<]*'|[^<>"'])*)>""",
    re.IGNORECASE,
)
_STRANGER: Final = re.compile(r"<(?!PersonalizedProduct\b)(?P<name>Personalized\w*)", re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(r"""([a-zA-Z-]{1,40})\s{0,4}=\s{0,4}(?:"([^"]*)"|'([^']*)'|([^\s"'>/]+))""")


def normalise_rich(html: str) -> str:
    """Return clean HTML with components in their stored spelling; raise ``TextError`` on what cannot be kept."""
    within_size(html)
    stranger = _STRANGER.search(html)
    if stranger:
        raise TextError.of("unknown_component", f"There is no component <{stranger['name']}>.")
    cleaned: str = nh3.clean(spell_components(html), tags=set(TAGS), attributes=dict(ATTRIBUTES))
    return spell_components(cleaned)


def within_size(source: str) -> None:
    """Raise ``TextError`` for a text over 64 kB."""
    if len(source.encode("utf-8", "replace")) > MAX_BYTES:
        raise TextError.of("text_too_long", "A text has at most 64 kB.")


def spell_components(html: str) -> str:
    """Write every component as an empty element with its closing tag; what stood inside follows it."""
    return _COMPONENT.sub(
        lambda tag: "" if tag["end"] else component_tag(attributes(tag["attributes"])), html
    )


def component_tag(given: Mapping[str, str]) -> str:
    """Return the stored spelling of a product component; attribute values stay escaped as they are."""
    quoted = "".join(f' {name}="{given[name]}"' for name in ("type", "of", "default") if name in given)
    return f"<tessera-product{quoted}></tessera-product>"


def attributes(source: str) -> dict[str, str]:
    """Read the attributes of a tag, names in lower case, values without their quotes."""
    found = _ATTRIBUTE.findall(source)
    return {
        name.lower(): (double or single or bare).replace('"', "&quot;")
        for name, double, single, bare in found
    }
