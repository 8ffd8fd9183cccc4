"""Small typed builders: a site, types, templates, blocks, pages, people. Real rows through the real flows.

`NOW` is the moment at which tests publish unless they say otherwise. Keys default to what a sentence needs, so
that a test names only what it is about.
"""

import datetime as dt
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import orjson
from django.db import connection
from django.test import Client, TestCase
from PIL import Image

from cms.content import save_block
from cms.media import set_picture
from cms.models import Block, BlockType, Media, Page, PageRevision, Site, Template
from cms.pages import write_page
from cms.publishing import publish_block, publish_page
from personalization.models import Attribute, Segment, Trait
from personalization.segments.directory import rebuild

NOW = dt.datetime(2026, 11, 22, 8, 0, tzinfo=dt.UTC)
TEXT = {"key": "headline", "kind": "text", "localized": True, "required": True}
HERO_FIELDS = (
    TEXT,
    {"key": "body", "kind": "rich_text", "localized": True},
    {"key": "image", "kind": "media"},
    {"key": "cta", "kind": "link", "localized": True},
    {"key": "items", "kind": "list", "of": "block"},
)


def make_site(**values: Any) -> Site:
    """Return the one site, with its values set; it has the id that the built-in purposes belong to."""
    defaults = {"key": "main", "title": "Main site", "host": "testserver", "locales": ["en", "de"]}
    site, _ = Site.objects.update_or_create(pk=1, defaults=defaults | values)
    return site


def the_site() -> Site:
    return Site.objects.get(pk=1)


def make_type(
    key: str = "hero", fields: Sequence[Mapping[str, Any]] = HERO_FIELDS, **values: Any
) -> BlockType:
    """Make a block type; the usual one has a headline, rich text, an image, a link and a list of blocks."""
    return BlockType.objects.create(
        site=the_site(), key=key, title=key.capitalize(), fields=list(fields), **values
    )


def make_template(key: str = "landing", slots: Sequence[Any] = ("hero",), **values: Any) -> Template:
    """Make a template; a slot is a key, or an object with its types, min and max."""
    spelled = [{"key": slot} if isinstance(slot, str) else slot for slot in slots]
    return Template.objects.create(site=the_site(), key=key, title=key, slots=spelled, **values)


def make_block(
    key: str, data: Mapping[str, Any] | str, *, type_: str = "hero", published: bool = True
) -> Block:
    """Make a block, published unless told otherwise; a text is its headline."""
    fields = {"headline": data} if isinstance(data, str) else data
    block = Block(site=the_site(), key=key, type=BlockType.objects.get(key=type_))
    save_block(block, fields, now=NOW)
    if published:
        publish_block(block, now=NOW)
    block.refresh_from_db()
    return block


def default(block: str) -> dict[str, Any]:
    """Spell a default variant."""
    return {"key": "default", "default": True, "block": block}


def placement(*variants: Mapping[str, Any] | str, key: str = "home-hero") -> dict[str, Any]:
    """Spell a placement; a text is the default's block."""
    return {"placement": key, "variants": [default(v) if isinstance(v, str) else dict(v) for v in variants]}


def page_content(*placements: Mapping[str, Any], path: str = "/", **more: Any) -> dict[str, Any]:
    """Spell a page with these placements in its slot `hero`."""
    content = {
        "path": path,
        "template": "landing",
        "title": {"en": "Home"},
        "slots": {"hero": list(placements)},
    }
    return content | more


def make_page(*placements: Mapping[str, Any], path: str = "/", **more: Any) -> Page:
    """Write the working copy of a page."""
    return write_page(page_content(*placements, path=path, **more), site=the_site())[0]


def publish(page: Page, *, now: dt.datetime = NOW) -> PageRevision | None:
    """Publish a page, and let every process know of it, as a commit does."""
    with committing():
        return publish_page(page, now=now)


def make_home(*variants: Mapping[str, Any] | str, **more: Any) -> Page:
    """Make type, template and a published home page of one placement; its blocks must not exist yet."""
    if not BlockType.objects.filter(key="hero").exists():
        make_type()
    if not Template.objects.filter(key="landing").exists():
        make_template()
    named = [v if isinstance(v, str) else v.get("block") for v in variants]
    for key in named:
        if key and not Block.objects.filter(key=key).exists():
            make_block(key, f"This is {key}")
    page = make_page(placement(*variants), **more)
    publish(page)
    return page


def make_trait(key: str, type_: str = "text", **values: Any) -> Trait:
    """Declare a trait for the purpose `personalization`."""
    return Trait.objects.create(
        site=the_site(), key=key, type=type_, **({"purpose": "personalization"} | values)
    )


def make_attribute(key: str, **default_: str) -> Attribute:
    """Declare an attribute of segments with a default per locale."""
    return Attribute.objects.create(site=the_site(), key=key, default=default_)


def make_segment(key: str, rule: Mapping[str, Any], **values: Any) -> Segment:
    """Make a segment that personalises from the first person on."""
    return Segment.objects.create(
        site=the_site(), key=key, title=key, rule=rule, **({"min_size": 0} | values)
    )


def build_directory() -> None:
    """Compile traits, attributes and segments, and let every process know."""
    with committing():
        rebuild(the_site())


def picture(kind: str = "PNG", size: tuple[int, int] = (4, 3)) -> bytes:
    """Return the bytes of a small picture."""
    out = io.BytesIO()
    Image.new("RGB", size, (200, 90, 30)).save(out, format=kind)
    return out.getvalue()


def make_media(key: str, **alt: str) -> Media:
    """Store a small picture."""
    row = Media(site=the_site(), key=key, alt=alt)
    set_picture(row, picture())
    row.save()
    return row


def committing() -> AbstractContextManager[Any]:
    """Run what waits for a commit when the block ends, as a commit would."""
    return TestCase.captureOnCommitCallbacks(execute=True)


def get_page(path: str = "/", **query: str) -> dict[str, Any]:
    """Ask for a page as JSON, as nobody; the page must be there."""
    response = Client().get(f"/api/v1/pages{path}", query)
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = orjson.loads(response.content)
    return answer


def get_html(path: str = "/", **query: str) -> str:
    """Ask for a page as HTML, as nobody."""
    response = Client().get(f"/api/v1/pages{path}", query, headers={"Accept": "text/html"})
    assert response.status_code == 200, response.content
    return response.content.decode()


def headlines(path: str = "/", slot: str = "hero", **query: str) -> list[Any]:
    """Return the headlines that nobody sees in a slot."""
    return [item["fields"].get("headline") for item in get_page(path, **query)["slots"][slot]]


@contextmanager
def unprotected() -> Iterator[None]:
    """Switch off what protects the ledger, as only somebody who owns the database could."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE consent_consentevent DISABLE TRIGGER USER")
        yield
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE consent_consentevent ENABLE TRIGGER USER")
