"""Follow markup the way a browser reads it: where in the page does an output stand?

Goes in a place and text; comes out the place behind it. A state machine with one step per state.
"""

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from jinja2 import nodes

URL_ATTRIBUTES: Final = frozenset(
    {
        "href",
        "src",
        "action",
        "formaction",
        "poster",
        "data",
        "cite",
        "background",
        "xlink:href",
        "ping",
        "manifest",
    }
)
# A browser reads what lies in these as text: an output there is escaped as text, or refused.
RAW_ELEMENTS: Final = frozenset(
    {"script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "noscript", "plaintext"}
)
TEXT_ELEMENTS: Final = frozenset({"title", "textarea"})
LOADING_ELEMENTS: Final = frozenset({"script", "base", "object", "embed"})
ANIMATING_ELEMENTS: Final = frozenset({"animate", "animatetransform", "animatemotion", "set"})
SCHEME: Final = re.compile(r"(https?|mailto|tel):", re.IGNORECASE)
SETTLED: Final = "/"
UNSETTLED: Final = ":"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in HTML, as the tokenizer of the HTML standard would name it.

    `kind` is ``text``, ``open`` (after <), ``bang`` (after <!), ``name``, ``tag``, ``before`` (after =),
    ``value``, ``raw``, ``comment``, or ``lost``: the template's own tags cut the markup so that
    branches disagree. `quote` is empty in an unquoted value; `value` is what it holds so far.
    """

    kind: str = "text"
    element: str = ""
    attribute: str = ""
    spaced: bool = True
    quote: str = ""
    value: str = ""

    def after(self, text: str) -> "Place":
        """Read on through `text`."""
        place, at = self, 0
        while at < len(text):
            place, at = STEPS[place.kind](place, text, at)
        return place

    def joined(self, other: "Place") -> "Place":
        """Meet another branch here."""
        if self == other:
            return self
        if (self.kind, self.element, self.quote) != (other.kind, other.element, other.quote):
            return LOST
        if self.kind == "tag":
            return replace(self, attribute="?", spaced=False)
        if self.kind == "value" and self.attribute == other.attribute:
            settled = is_settled(self.value) and is_settled(other.value)
            return replace(self, value=SETTLED if settled else UNSETTLED)
        return LOST


LOST: Final = Place("lost")


def is_settled(start: str) -> bool:
    """Tell whether no continuation of `start` could give an address another scheme."""
    plain = re.sub(r"[\x00-\x20]", "", html.unescape(re.sub(r"&#?\w*$", "", start)))
    head = re.match(r"[^/?#]*", plain)
    first = head[0] if head else ""
    return bool(SCHEME.match(first)) if ":" in first else len(first) < len(plain)


def _in_text(place: Place, text: str, at: int) -> tuple[Place, int]:
    found = text.find("<", at)
    return (place, len(text)) if found < 0 else (Place("open"), found + 1)


def _in_open(place: Place, text: str, at: int) -> tuple[Place, int]:
    if text[at] == "!":
        return Place("bang"), at + 1
    if text[at] in "/?":
        return Place("name", element=text[at]), at + 1
    is_name = text[at].isascii() and text[at].isalpha()
    return (Place("name") if is_name else Place()), at


def _in_bang(place: Place, text: str, at: int) -> tuple[Place, int]:
    if text[at:] in {"-", "--", "---"}:
        return LOST, len(text)
    if text.startswith("--", at):
        empty = re.compile("--(-?>)").match(text, at)
        return (Place(), empty.end()) if empty else _in_comment(Place("comment"), text, at + 2)
    return Place("tag", element="!"), at


def _in_name(place: Place, text: str, at: int) -> tuple[Place, int]:
    end = _span(r"[^ \t\n\f\r/>]*", text, at)
    named = replace(place, element=place.element + text[at:end].lower())
    return (replace(named, kind="tag") if end < len(text) else named), end


def _in_tag(place: Place, text: str, at: int) -> tuple[Place, int]:
    if text[at] == ">":
        return (Place("raw", place.element) if place.element in RAW_ELEMENTS else Place()), at + 1
    if text[at] == "=" and place.attribute:
        return replace(place, kind="before"), at + 1
    if text[at] == "/":
        return replace(place, attribute="", spaced=True), at + 1
    if text[at] in " \t\n\f\r":
        return replace(place, spaced=True), _span(r"[ \t\n\f\r]*", text, at)
    end = _span(r"=?[^ \t\n\f\r/>=]*", text, at)
    start = "" if place.spaced else place.attribute
    return replace(place, attribute=start + text[at:end].lower(), spaced=False), end


def _in_before(place: Place, text: str, at: int) -> tuple[Place, int]:
    if text[at] in " \t\n\f\r":
        return place, at + 1
    if text[at] == ">":
        return _in_tag(place, text, at)
    quote = text[at] if text[at] in "\"'" else ""
    return replace(place, kind="value", quote=quote, value=""), at + len(quote)


def _in_value(place: Place, text: str, at: int) -> tuple[Place, int]:
    end = _span(r"[^ \t\n\f\r>]*" if not place.quote else f"[^{place.quote}]*", text, at)
    if end == len(text):
        return replace(place, value=place.value + text[at:]), end
    return Place("tag", place.element), end + len(place.quote)


def _in_raw(place: Place, text: str, at: int) -> tuple[Place, int]:
    closing = re.compile(rf"</{re.escape(place.element)}(?=[ \t\n\f\r/>])", re.IGNORECASE).search(text, at)
    inner = text[at : closing.start() if closing else len(text)]
    if place.element == "script" and "<!--" in inner:
        return LOST, len(text)
    if closing:
        return Place("tag", element=f"/{place.element}"), closing.end()
    return (LOST if _is_cut(inner, f"</{place.element}") else place), len(text)


def _is_cut(text: str, word: str) -> bool:
    tail = text[max(text.rfind("<"), 0) :].lower()
    return tail.startswith("<") and word.startswith(tail)


def _in_comment(place: Place, text: str, at: int) -> tuple[Place, int]:
    closing = re.compile("--!?>").search(text, at)
    if closing:
        return Place(), closing.end()
    return (LOST if text.endswith(("-", "-!")) else place), len(text)


def _in_lost(place: Place, text: str, at: int) -> tuple[Place, int]:
    return place, len(text)


def _span(pattern: str, text: str, at: int) -> int:
    found = re.compile(pattern).match(text, at)
    return found.end() if found else at


STEPS: Final[Mapping[str, Callable[[Place, str, int], tuple[Place, int]]]] = {
    "text": _in_text,
    "open": _in_open,
    "bang": _in_bang,
    "name": _in_name,
    "tag": _in_tag,
    "before": _in_before,
    "value": _in_value,
    "raw": _in_raw,
    "comment": _in_comment,
    "lost": _in_lost,
}
# An output by its node and position, and the place where it stands.
Places = dict[tuple[int, int], tuple[nodes.Output, Place]]
