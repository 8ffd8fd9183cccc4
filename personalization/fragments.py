"""Compiled blocks as bytes: everything static serialised once, holes where a request fills something in. PURE.

In: a BLOCK of a plan (`cms/compiler.py`). Out: `Fragment`s, tuples of bytes and holes; joining them with the holes
filled gives the block's JSON. The same holes fill the values of the rendered page, so that JSON and HTML agree.
"""

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import orjson
from markupsafe import Markup

from cms.language import moments
from cms.language.behaviour import Behaviour, timeline_at
from cms.language.evaluate import WITHHELD
from cms.language.text import Component, Placeholder, Text, fill, parse_text

Item: TypeAlias = Mapping[str, Any]  # {"type", "block", "fields"} of an item of a catalogue


@dataclass(frozen=True, slots=True)
class Scene:
    """What the holes of one compilation may use: the locale, the catalogue's items, and the values of attributes."""

    locale: str
    items: Mapping[str, Item]
    declared_default: Callable[[Placeholder], str]
    attribute: Callable[[str, Sequence[str]], Sequence[tuple[str, Any]]]
    recommend: Callable[[Component, Mapping[str, Any]], tuple[Item | None, str]]
    by: Callable[[str], Behaviour | None]  # the behaviour whose value a segment is about


@dataclass(frozen=True, slots=True)
class TextHole:
    """One placeholder inside a JSON string."""

    placeholder: Placeholder
    fact: str | None  # None for an attribute of segments
    default: str
    locale: str
    rich: bool
    candidates: tuple[
        tuple[str, Any], ...
    ]  # (segment key, value) of an attribute, in the order in which they count
    by: Behaviour | None = None  # whose value is shown, to somebody in the segment that the placeholder names

    def text(self, facts: Mapping[str, Any]) -> str:
        """Return the placeholder's text for these facts."""
        inside = facts.get("segments") or {}
        if self.placeholder.root == "by":
            value = value_of(self.by, facts) if inside.get(self.placeholder.name) is True else None
        elif self.fact is None:
            value = next((value for key, value in self.candidates if inside.get(key) is True), None)
        else:
            value = facts.get(self.fact)
        shown = fill(self.placeholder, value, locale=self.locale, declared_default=self.default)
        return html.escape(shown) if self.rich else shown

    def default_text(self) -> str:
        return self.text({})

    def json(self, facts: Mapping[str, Any]) -> bytes:
        return orjson.dumps(self.text(facts))[1:-1]


def value_of(behaviour: Behaviour | None, facts: Mapping[str, Any]) -> str | None:
    """Return the value for which a behaviour holds now, such as the category that somebody keeps looking at."""
    timeline = facts.get(behaviour.key) if behaviour is not None else None
    moment = moments.micros(facts)
    if timeline is None or timeline is WITHHELD or moment is None:
        return None
    return timeline_at(timeline, moment).by


@dataclass(frozen=True, slots=True)
class ComponentHole:
    """The items of a component in rich text: chosen per request, serialised per catalogue version."""

    component: Component
    scene: Scene

    def chosen(self, facts: Mapping[str, Any]) -> tuple[list[Item], str]:
        item, reason = self.scene.recommend(self.component, facts)
        return ([item] if item else []), reason

    def json(self, facts: Mapping[str, Any]) -> bytes:
        items, reason = self.chosen(facts)
        return orjson.dumps({"name": self.component.name, "reason": reason, "items": items})


Hole: TypeAlias = TextHole | ComponentHole
Part: TypeAlias = bytes | Hole
Fragment: TypeAlias = tuple[Part, ...]


@lru_cache(maxsize=50_000)
def parsed(source: str, rich: bool) -> Text:
    return parse_text(source, rich=rich)


class Writer:
    """Collects bytes and holes, merging neighbours."""

    def __init__(self, scene: Scene, named: Sequence[str]) -> None:
        self.scene = scene
        self.named = named  # segments that the variant's rule names: their attributes come first
        self.parts: list[bytes | Hole] = []
        self.holes: list[Hole] = []

    def raw(self, data: bytes) -> None:
        if self.parts and isinstance(self.parts[-1], bytes):
            self.parts[-1] += data
        else:
            self.parts.append(data)

    def hole(self, hole: Hole) -> None:
        self.parts.append(hole)
        self.holes.append(hole)

    def value(self, value: Any) -> None:
        """Write a VALUE of a plan as JSON."""
        if isinstance(value, Mapping):
            if "$text" in value:
                return self.text(value["$text"], rich=False)
            if "$rich" in value:
                return self.rich(value["$rich"])
            if "$item" in value:
                return self.value(resolve(value, self.scene.items))
            return self.object(value)
        if isinstance(value, list):
            return self.array([v for v in value if not missing(v, self.scene.items)])
        return self.raw(orjson.dumps(value))

    def object(self, value: Mapping[str, Any]) -> None:
        self.raw(b"{")
        for index, (key, item) in enumerate(value.items()):
            self.raw((b"," if index else b"") + orjson.dumps(key) + b":")
            self.value(item)
        self.raw(b"}")

    def array(self, value: Sequence[Any]) -> None:
        self.raw(b"[")
        for index, item in enumerate(value):
            self.raw(b"," if index else b"")
            self.value(item)
        self.raw(b"]")

    def text(self, source: str, *, rich: bool) -> None:
        self.raw(b'"')
        number = 0
        for part in parsed(source, rich).parts:
            if isinstance(part, str):
                self.raw(orjson.dumps(part)[1:-1])
            elif isinstance(part, Placeholder):
                self.hole(text_hole(part, self.scene, self.named, rich=rich))
            else:
                number += 1
                self.raw(orjson.dumps(f'<tessera-product data-ref="{number}"></tessera-product>')[1:-1])
        self.raw(b'"')

    def rich(self, source: str) -> None:
        self.raw(b'{"html":')
        self.text(source, rich=True)
        self.raw(b',"components":{')
        for number, component in enumerate(parsed(source, True).components, start=1):
            self.raw((b"," if number > 1 else b"") + f'"{number}":'.encode())
            self.hole(ComponentHole(component, self.scene))
        self.raw(b"}}")


def text_hole(placeholder: Placeholder, scene: Scene, named: Sequence[str], *, rich: bool) -> TextHole:
    """Return the hole of a placeholder."""
    attribute = placeholder.root == "attribute"
    candidates = scene.attribute(placeholder.name, named) if attribute else ()
    return TextHole(
        placeholder,
        placeholder.fact,
        scene.declared_default(placeholder),
        scene.locale,
        rich,
        tuple(candidates),
        scene.by(placeholder.name) if placeholder.root == "by" else None,
    )


def resolve(reference: Mapping[str, Any], items: Mapping[str, Item]) -> Item:
    """Return an item of the catalogue with the fields that a variant overrides."""
    item = items[reference["$item"]]
    overrides = reference.get("fields")
    return {**item, "fields": {**item["fields"], **overrides}} if overrides else item


def missing(value: Any, items: Mapping[str, Item]) -> bool:
    """Say whether a VALUE is an item that is no longer in the catalogue."""
    return isinstance(value, Mapping) and "$item" in value and value["$item"] not in items


def materialise(value: Any, facts: Mapping[str, Any], writer: Writer, *, markup: bool) -> Any:
    """Return a VALUE as plain Python with its holes filled: for HTML (`markup`) or as JSON would read it."""
    if isinstance(value, list):
        kept = [v for v in value if not missing(v, writer.scene.items)]
        return [materialise(v, facts, writer, markup=markup) for v in kept]
    if not isinstance(value, Mapping) or isinstance(value, RichText):
        return value
    if "$text" in value:
        return _filled(value["$text"], facts, writer, rich=False)
    if "$rich" in value:
        return _rich(value["$rich"], facts, writer, markup=markup)
    if "$item" in value:
        value = resolve(value, writer.scene.items)
    return {key: materialise(v, facts, writer, markup=markup) for key, v in value.items()}


def _filled(source: str, facts: Mapping[str, Any], writer: Writer, *, rich: bool) -> str:
    out = []
    for part in parsed(source, rich).parts:
        if isinstance(part, str):
            out.append(part)
        elif isinstance(part, Placeholder):
            out.append(text_hole(part, writer.scene, writer.named, rich=rich).text(facts))
        else:
            number = sum(1 for one in out if one.startswith("<tessera-product data-ref")) + 1
            out.append(f'<tessera-product data-ref="{number}"></tessera-product>')
    return "".join(out)


def _rich(source: str, facts: Mapping[str, Any], writer: Writer, *, markup: bool) -> Any:
    text = _filled(source, facts, writer, rich=True)
    components: dict[str, dict[str, Any]] = {}
    for number, component in enumerate(parsed(source, True).components, start=1):
        items, reason = ComponentHole(component, writer.scene).chosen(facts)
        components[str(number)] = {"name": component.name, "reason": reason, "items": items}
    return RichText(text, components) if markup else {"html": text, "components": components}


class RichText(dict[str, Any]):
    """Rich text on its way to HTML: prints as markup, once its components are put in place."""

    def __init__(self, text: str, components: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(html=text, components=components)

    def placed(self, render: Callable[[Item], Markup]) -> Markup:
        """Return the markup with each component's items rendered in place."""
        text: str = self["html"]
        for number, component in self["components"].items():
            items = Markup("").join(render(item) for item in component["items"])
            text = text.replace(f'<tessera-product data-ref="{number}"></tessera-product>', str(items))
        return Markup(text)  # noqa: S704  # cleaned by nh3 at save, values escaped, items rendered with autoescape


def merged(parts: Iterable[Part]) -> Fragment:
    """Return the parts with neighbouring bytes joined."""
    out: list[Part] = []
    for part in parts:
        if out and isinstance(part, bytes) and isinstance(out[-1], bytes):
            out[-1] += part
        else:
            out.append(part)
    return tuple(out)
