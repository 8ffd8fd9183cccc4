"""Render an assembled page to HTML. PURE but for the compiled sources it keeps.

In: the page, its slots as plain values, the sources of its template and block types. Out: HTML. A block type without
a source, or one whose source fails, gets a plain rendering: a page is shown whatever an editor wrote.
"""

import html
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from cms.language.source import ROOTS_BLOCK, ROOTS_PAGE, SourceError, compile_source

log = logging.getLogger(__name__)
Block = Mapping[str, Any]
Render = Callable[[Block], Markup]


def render_page(
    page: Mapping[str, Any],
    slots: Mapping[str, Sequence[Block]],
    *,
    source: str,
    types: Mapping[str, str],
    site: Mapping[str, Any],
) -> str:
    """Return the page's HTML; `types` maps block types to their sources."""

    def render(block: Block) -> Markup:
        return render_block(block, types=types, locale=page["locale"], render=render)

    shown = {
        key: [{**_shown(block, render), "html": render(block)} for block in blocks]
        for key, blocks in slots.items()
    }
    if source:
        try:
            context = {"page": page, "slots": shown, "site": site}
            return compile_source(source, roots=ROOTS_PAGE).render(context, locale=page["locale"])
        except SourceError as error:
            log.warning("template %s failed: %s", page["template"], error)
    return _plain_page(page, shown)


def render_block(block: Block, *, types: Mapping[str, str], locale: str, render: Render) -> Markup:
    """Return one block's HTML, its nested blocks rendered in place."""
    prepared = _shown(block, render)
    source = types.get(block["type"])
    if source:
        try:
            text = compile_source(source, roots=ROOTS_BLOCK).render(
                {"fields": prepared["fields"], "block": prepared}, locale=locale
            )
            return Markup(text)  # noqa: S704  # rendered with autoescape from a source held to the allow-list
        except SourceError as error:
            log.warning("block type %s failed: %s", block["type"], error)
    return _plain_block(prepared)


def _shown(block: Block, render: Render) -> dict[str, Any]:
    return {**block, "fields": {key: _value(value, render) for key, value in block["fields"].items()}}


def _value(value: Any, render: Render) -> Any:
    """Prepare a field for a source: nested blocks get `.html`, rich text becomes markup."""
    if hasattr(value, "placed"):
        return value.placed(render)
    if isinstance(value, list):
        return [_value(one, render) for one in value]
    if isinstance(value, Mapping) and "fields" in value and "type" in value:
        return {**_shown(value, render), "html": render(value)}
    return value


def _plain_page(page: Mapping[str, Any], slots: Mapping[str, Sequence[Block]]) -> str:
    sections = "".join(
        f'<section data-slot="{html.escape(key)}">{"".join(_placed(block) for block in blocks)}</section>'
        for key, blocks in slots.items()
    )
    title = html.escape(str(page["title"]))
    return (
        f'<!doctype html><html lang="{html.escape(page["locale"])}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title></head>'
        f"<body><main><h1>{title}</h1>{sections}</main></body></html>"
    )


def _placed(block: Block) -> str:
    """Return a block where it stands, named for whoever asks what was seen and clicked."""
    named = "".join(
        f' data-{name}="{html.escape(str(block[name]))}"'
        for name in ("placement", "variant")
        if block.get(name)
    )
    return f"<div{named}>{block['html']}</div>" if named else str(block["html"])


def _plain_block(block: Block) -> Markup:
    fields = Markup("").join(_plain_field(key, value) for key, value in block["fields"].items())
    return Markup('<article class="block block-{}">{}</article>').format(block["type"], fields)


def _plain_field(key: str, value: Any) -> Markup:
    if isinstance(value, Markup):
        return Markup("<div>{}</div>").format(value)
    if isinstance(value, list):
        return Markup("").join(_plain_field(key, one) for one in value)
    if isinstance(value, Mapping):
        if "html" in value:
            return Markup(value["html"])  # noqa: S704  # a nested block, rendered above
        if "href" in value:
            return Markup('<p><a href="{}">{}</a></p>').format(
                value["href"], value.get("label") or value["href"]
            )
        if "url" in value:
            return Markup('<img src="{}" alt="{}">').format(value["url"], value.get("alt") or "")
        return Markup("")
    return Markup("<p>{}</p>").format(value)
