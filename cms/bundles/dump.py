"""The content of a site as a bundle, with its pictures beside it."""

from pathlib import Path
from typing import Any

from cms.bundles.parts import picture_name
from cms.media import stored_bytes
from cms.models import Block, BlockType, Experience, Media, Page, Site, Template
from cms.pages import content_of


def write_pictures(site: Site, folder: Path) -> int:
    """Write every picture of the site beside a bundle in this folder; return how many."""
    rows = list(Media.objects.filter(site=site))
    for row in rows:
        path = folder / picture_name(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored_bytes(row))
    return len(rows)


def dump_content(site: Site) -> dict[str, Any]:
    """Return the content of a site as a bundle's parts; pictures are named as `write_pictures` writes them."""
    return {
        "site": _dump_site(site),
        "media": [
            {"key": m.key, "file": picture_name(m), "alt": m.alt} for m in Media.objects.filter(site=site)
        ],
        "block_types": [_dump_type(t) for t in BlockType.objects.filter(site=site).order_by("key")],
        "templates": [
            {"key": t.key, "title": t.title, "slots": t.slots, "source": t.source}
            for t in Template.objects.filter(site=site).order_by("key")
        ],
        "experiences": [
            {"key": e.key, "title": e.title, "cap": e.cap, "min_interval": e.min_interval or None}
            for e in Experience.objects.filter(site=site)
        ],
        "blocks": [
            {"key": b.key, "type": b.type.key, "fields": b.data}
            for b in Block.objects.filter(site=site).select_related("type").order_by("key")
        ],
        "pages": [content_of(page) for page in Page.objects.filter(site=site).select_related("site")],
    }


def _dump_site(site: Site) -> dict[str, Any]:
    said = {name: getattr(site, name) for name in ("offer_cap", "counts_when_seen", "strict_events")}
    return said | {"recalculated_at": site.recalculated_at.isoformat(timespec="minutes")}


def _dump_type(row: BlockType) -> dict[str, Any]:
    dumped = {"key": row.key, "title": row.title, "fields": row.fields, "source": row.source}
    return dumped | ({"catalogue": True} if row.catalogue else {})
