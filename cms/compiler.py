"""Compile a page into a plan: everything that a request will need, resolved once.

In: a page's content as a bundle spells it, and `Sources`. Out: a JSON program per locale, and problems with
their places. Nothing is read or written here; preview compiles drafts through the same function.

    {"page": {"path", "title", "locale", "meta"},
     "layouts": [{"template", "rule", "slots", "source"}],
     "placements": [{"key", "slot", "variants": [{"key", "kind", "rule", "from", "to", "cap", "block": BLOCK}]}],
     "types": {type: source}, "tags": […]}
    BLOCK = {"type", "block", "fields": {field: VALUE}}

A VALUE is finished JSON, except `{"$text": source}` and `{"$rich": source}`, whose placeholders are filled per
request, and `{"$item": key, "fields": {…}}`, an item of a catalogue, which is looked up and may be overridden.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cms.fields import MAX_DEPTH, Field, as_date, per_locale
from cms.language.nodes import Problem
from cms.language.text import Component, parse_text
from cms.paths import normalise
from cms.sources import SourceBlock, Sources

_ABSENT: Any = object()


@dataclass(slots=True)
class Compiled:
    """One locale of a page; `blocks` are the ids of the blocks in it, `untranslated` the places that fall back."""

    program: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)
    blocks: set[int] = field(default_factory=set)
    untranslated: list[str] = field(default_factory=list)


def locale_chain(locale: str, locales: Sequence[str]) -> list[str]:
    """Return the locales to try: `de-AT → de → default`."""
    chain = [locale]
    while "-" in chain[-1]:
        chain.append(chain[-1].rsplit("-", 1)[0])
    return list(dict.fromkeys([*chain, locales[0]]))


def compile_page(
    content: Mapping[str, Any], *, sources: Sources, locale: str, lenient: bool = False
) -> Compiled:
    """Compile one page for one locale; `lenient` leaves out variants whose block is not published."""
    return _Compiler(sources, locale, lenient).compile(content)


class _Compiler:
    def __init__(self, sources: Sources, locale: str, lenient: bool) -> None:
        self.sources = sources
        self.locale = locale
        self.chain = locale_chain(locale, sources.locales)
        self.lenient = lenient
        self.result = Compiled(program={})
        self.types: dict[str, str] = {}

    def compile(self, content: Mapping[str, Any]) -> Compiled:
        layouts = [self.layout(item) for item in templates_of(content)]
        placements = [
            self.placement(placement, slot, f"/slots/{slot}/{index}")
            for slot, listed in sorted(
                content.get("slots", {}).items()
            )  # a stored content has lost its order
            for index, placement in enumerate(listed)
        ]
        path = normalise(content["path"])
        self.result.program = {
            "page": {
                "path": path,
                "title": self.translated(content.get("title") or {}, "/title") or "",
                "locale": self.locale,
                "meta": content.get("meta") or {},
            },
            "layouts": [layout for layout in layouts if layout],
            "placements": placements,
            "types": self.types,
            "offer_cap": self.sources.offer_cap,
            "tags": [f"page:{path}", *sorted(f"block:{b}" for b in self.result.blocks)],
        }
        return self.result

    def problem(self, code: str, pointer: str, message: str) -> None:
        self.result.problems.append(Problem(code, pointer, message))

    def layout(self, item: Mapping[str, Any]) -> dict[str, Any] | None:
        template = self.sources.templates.get(item["template"])
        if template is None:
            self.problem("unknown_template", "/template", f"There is no template '{item['template']}'.")
            return None
        return {
            "template": template.key,
            "rule": item.get("when") or None,
            "slots": [slot["key"] for slot in template.slots],
            "source": template.source,
        }

    def placement(self, placement: Mapping[str, Any], slot: str, pointer: str) -> dict[str, Any]:
        default = next((v for v in placement["variants"] if v.get("default")), None)
        base = self.sources.blocks.get(default["block"]) if default and default.get("block") else None
        variants = [
            compiled
            for index, variant in enumerate(placement["variants"])
            if (compiled := self.variant(variant, base, f"{pointer}/variants/{index}"))
        ]
        if default and not any(one["kind"] == "default" for one in variants):
            variants.append(_hidden(default["key"]))
        return {
            "key": placement["placement"],
            "slot": slot,
            "min_interval": placement.get("min_interval"),
            "rotation": placement.get("rotation"),
            "variants": variants,
        }

    def variant(
        self, variant: Mapping[str, Any], base: SourceBlock | None, pointer: str
    ) -> dict[str, Any] | None:
        kind = (
            "hide"
            if variant.get("hide")
            else "override"
            if variant.get("override") is not None
            else "replace"
        )
        block: dict[str, Any] | None = None
        if kind != "hide":
            override = variant.get("override") or {}
            source = base if kind == "override" else self.published(variant.get("block"), f"{pointer}/block")
            if source is None:
                return None
            block = self.block(source, override, f"{pointer}/{kind if override else 'block'}", depth=1)
        experience = self.sources.experiences.get(variant.get("experience") or "", {})
        return {
            "key": variant["key"],
            "kind": "default" if variant.get("default") else kind,
            "rule": variant.get("when") or None,
            "from": as_date(variant.get("starts_at")),
            "to": as_date(variant.get("ends_at")),
            "cap": variant.get("cap"),
            "offer": bool(variant.get("offer")),
            "weight": variant.get("weight") or 1,
            "experience": variant.get("experience"),
            "experience_cap": experience.get("cap"),
            "experience_min_interval": experience.get("min_interval"),
            "block": block,
        }

    def published(self, key: str | None, pointer: str) -> SourceBlock | None:
        """Return a block as it may be shown; one that may not is a problem, or left out."""
        source = self.sources.blocks.get(key or "")
        if source is None and self.lenient and key and key in self.sources.exists:
            self.result.blocks.add(
                self.sources.exists[key]
            )  # once it is published, the page is compiled again
        elif source is None and not self.lenient:
            if key in self.sources.exists:
                self.problem("not_published", pointer, f"The block '{key}' is not published.")
            else:
                self.problem("unknown_block", pointer, f"There is no block '{key}'.")
        return source

    def block(
        self, source: SourceBlock, override: Mapping[str, Any], pointer: str, depth: int
    ) -> dict[str, Any]:
        self.result.blocks.add(source.id)
        self.types[source.type.key] = source.type.source
        fields = {}
        for definition in source.type.fields:
            value = self.field(definition, source.data, override, f"{pointer}/{definition.key}")
            if value is not None:
                value = self.value(definition, value, f"{pointer}/{definition.key}", depth)
            if value is not None:
                fields[definition.key] = value
        if source.type.catalogue:
            return {"$item": source.key, "fields": fields}
        return {"type": source.type.key, "block": source.key, "fields": fields}

    def field(
        self, definition: Field, data: Mapping[str, Any], override: Mapping[str, Any], pointer: str
    ) -> Any:
        """Pick the value: per locale of the chain the override, then the base; null in an override empties."""
        over = override.get(definition.key, _ABSENT)
        base = data.get(definition.key)
        if over is None:
            return None
        if not definition.localized:
            return base if over is _ABSENT else over
        layers = [per_locale(layer, self.sources.locales) for layer in (over, base) if layer is not _ABSENT]
        for locale in self.chain:
            for layer in layers:
                if locale in layer:
                    if locale != self.locale and self.locale != self.sources.locales[0]:
                        self.result.untranslated.append(pointer)
                    return layer[locale]
        return None

    def translated(self, value: Mapping[str, Any], pointer: str) -> Any:
        if isinstance(value, str):
            return value
        found = next((locale for locale in self.chain if locale in value), None)
        if found != self.locale and value:
            self.result.untranslated.append(pointer)
        return value[found] if found else None

    def value(self, definition: Field, value: Any, pointer: str, depth: int) -> Any:
        if definition.kind == "list":
            one = [
                self.single(definition, definition.of, v, f"{pointer}/{i}", depth)
                for i, v in enumerate(value)
            ]
            return [v for v in one if v is not None]
        return self.single(definition, definition.kind, value, pointer, depth)

    def single(self, definition: Field, kind: str, value: Any, pointer: str, depth: int) -> Any:
        match kind:
            case "text":
                return value if parse_text(value).static else {"$text": value}
            case "rich_text":
                for component in parse_text(value, rich=True).components:
                    self.component(component, pointer)
                return {"$rich": value}
            case "media":
                return self.media(value)
            case "link":
                return self.link(value)
            case "block":
                return self.nested(value, pointer, depth)
            case _:
                return value

    def component(self, component: Component, pointer: str) -> None:
        """Take along what a component may show: its default, and the source of its items' type."""
        recommended = self.sources.types.get(component.type)
        if recommended:
            self.types[recommended.key] = recommended.source
        elif component.type and not self.lenient:
            self.problem("unknown_type", pointer, f"There is no block type '{component.type}'.")
        if component.default and (source := self.published(component.default, pointer)):
            self.result.blocks.add(source.id)
            self.types[source.type.key] = source.type.source

    def nested(self, key: str, pointer: str, depth: int) -> dict[str, Any] | None:
        if depth >= MAX_DEPTH:
            self.problem("too_deep", pointer, f"Blocks nest deeper than {MAX_DEPTH}.")
            return None
        source = self.published(key, pointer)
        return self.block(source, {}, pointer, depth + 1) if source else None

    def media(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return value
        found = self.sources.media.get(value)
        return {**found, "alt": self.translated(found["alt"], "") or ""} if found else None

    def link(self, value: Mapping[str, Any]) -> dict[str, Any]:
        href = value["href"]
        href = normalise(href["page"]) if isinstance(href, Mapping) else href
        label = value.get("label") or ""
        return {
            "href": href,
            "label": label if parse_text(label).static else {"$text": label},
            "target": value.get("target"),
        }


def _hidden(key: str) -> dict[str, Any]:
    """Stand in for a default whose block is gone: the placement shows nothing."""
    return {"key": key, "kind": "hide", "rule": None, "from": None, "to": None, "cap": None, "block": None}


def templates_of(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the ordered templates of a page, whichever way it names them; a draft may have none yet."""
    if content.get("template") is not None:
        return [{"template": content["template"], "default": True}]
    return content.get("templates") or []


def compile_block(
    fields: Sequence[Field], data: Mapping[str, Any], *, sources: Sources, locale: str
) -> dict[str, Any]:
    """Compile the fields of one block on its own, as items of a catalogue are."""
    compiler = _Compiler(sources, locale, lenient=True)
    compiled = {}
    for definition in fields:
        value = compiler.field(definition, data, {}, "")
        if value is not None:
            value = compiler.value(definition, value, "", MAX_DEPTH - 1)
        if value is not None:
            compiled[definition.key] = value
    return compiled
