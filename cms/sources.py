"""What compiling reads: the blocks, types, templates and media that pages name, loaded as sets.

In: the contents of pages as bundles spell them. Out: frozen `Sources`, one query per level of nesting.
With `draft` the working copies are taken, otherwise what is published: an unpublished block is not in it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from cms.fields import MAX_DEPTH, Field, parse_fields
from cms.language.text import parse_text
from cms.models import Block, BlockType, Experience, Media, Site, Template


@dataclass(frozen=True, slots=True)
class SourceType:
    key: str
    fields: tuple[Field, ...]
    catalogue: bool
    source: str


@dataclass(frozen=True, slots=True)
class SourceBlock:
    """A block as it will stand in a plan; `data` is empty for an item of a catalogue."""

    id: int
    key: str
    type: SourceType
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SourceTemplate:
    key: str
    slots: tuple[Mapping[str, Any], ...]
    source: str


@dataclass(frozen=True, slots=True)
class Sources:
    blocks: Mapping[str, SourceBlock]
    exists: Mapping[str, int]  # every block key that exists, published or not → its id
    templates: Mapping[str, SourceTemplate]
    media: Mapping[str, Mapping[str, Any]]
    types: Mapping[str, SourceType]
    locales: tuple[str, ...]
    experiences: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # key → cap, min_interval
    offer_cap: Any = None


def load_sources(site: Site, contents: Iterable[Mapping[str, Any]], *, draft: bool = False) -> Sources:
    """Load everything that the contents of these pages name, at whatever depth."""
    contents = list(contents)
    types = {t.pk: _source_type(t) for t in BlockType.objects.filter(site=site)}
    blocks: dict[str, SourceBlock] = {}
    exists: dict[str, int] = {}
    wanted = {key for content in contents for key in named_blocks(content, types.values())}
    for _depth in range(MAX_DEPTH + 1):
        rows = list(_rows(site, wanted - exists.keys()))
        if not rows:
            break
        exists |= {row.key: row.pk for row in rows}
        blocks |= {b.key: b for row in rows if (b := _source_block(row, types[row.type_id], draft=draft))}
        wanted = {
            key
            for row in rows
            if row.key in blocks
            for key in keys_in(blocks[row.key].type.fields, blocks[row.key].data)
        }
    return Sources(
        blocks=blocks,
        exists=exists,
        templates={
            t.key: SourceTemplate(t.key, tuple(t.slots), t.source) for t in Template.objects.filter(site=site)
        },
        media={m.key: _source_media(m) for m in Media.objects.filter(site=site)},
        types={t.key: t for t in types.values()},
        locales=tuple(site.locales),
        experiences={
            e["key"]: e for e in Experience.objects.filter(site=site).values("key", "cap", "min_interval")
        },
        offer_cap=site.offer_cap,
    )


def _rows(site: Site, keys: set[str]) -> "QuerySet[Block]":
    return Block.objects.filter(site=site, key__in=keys).select_related("published")


def _source_type(row: BlockType) -> SourceType:
    return SourceType(row.key, parse_fields(row.fields)[0], row.catalogue, row.source)


def _source_block(row: Block, type_: SourceType, *, draft: bool) -> SourceBlock | None:
    if type_.catalogue:
        return SourceBlock(row.pk, row.key, type_, {}) if row.live or draft else None
    if draft:
        return SourceBlock(row.pk, row.key, type_, row.data)
    return SourceBlock(row.pk, row.key, type_, row.published.data) if row.published else None


def _source_media(row: Media) -> Mapping[str, Any]:
    return {"url": row.file.url, "alt": row.alt, "width": row.width, "height": row.height}


def named_blocks(content: Mapping[str, Any], types: Iterable[SourceType]) -> Iterator[str]:
    """Yield the keys of the blocks that a page's variants name."""
    fields = [f for t in types for f in t.fields]
    for placements in content.get("slots", {}).values():
        for placement in placements:
            for variant in placement.get("variants", ()):
                if variant.get("block"):
                    yield variant["block"]
                if variant.get("override"):
                    yield from keys_in(fields, variant["override"])


def keys_in(fields: Iterable[Field], data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of the blocks that a block's data names."""
    for definition in fields:
        value = data.get(definition.key)
        if value is None:
            continue
        for one in value.values() if definition.localized and isinstance(value, Mapping) else (value,):
            yield from _keys_of(definition, one)


def _keys_of(definition: Field, value: Any) -> Iterator[str]:
    if definition.kind == "block" and isinstance(value, str):
        yield value
    elif definition.kind == "list" and definition.of == "block" and isinstance(value, list):
        yield from (one for one in value if isinstance(one, str))
    elif definition.kind == "rich_text" and isinstance(value, str):
        yield from (c.default for c in parse_text(value, rich=True).components if c.default)
