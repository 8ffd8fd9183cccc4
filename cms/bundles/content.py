"""Content from a bundle: blocks, then pages, and their publication.

In: a bundle (CONTRACT §5). Out: rows, added and updated by key; what it does not name is left alone, and the same
bundle twice changes nothing.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cms.bundles.parts import Report, listed
from cms.content import checked, known_to, save_block
from cms.errors import ContentError, errors_among
from cms.fields import clean, parse_fields
from cms.language.nodes import Problem
from cms.models import Block, BlockType, Page, Site
from cms.page_checks import PAGE_ATTRIBUTES
from cms.pages import write_page
from cms.publishing import publish_blocks, publish_page, recompile_all

_HARMLESS = {"required", "unknown_field", "too_few", "too_many", "too_small", "too_large", "unknown_locale"}


def load_content(
    bundle: Mapping[str, Any],
    site: Site,
    report: Report,
    *,
    now: dt.datetime,
    retyped: Mapping[str, int] | None = None,
    author: Any = None,
) -> tuple[list[Block], list[tuple[int, Page]]]:
    """Load blocks, then pages; return all that the bundle names, pages with their indexes.

    Stored blocks of the types in `retyped` (key → index in the bundle) must still fit.
    """
    blocks = _load_blocks(bundle, site, report, now, author)
    _recheck_blocks(retyped or {}, site, report)
    known = known_to(site)
    pages: list[tuple[int, Page]] = []
    for index, entry in listed(bundle, "pages", report, known=PAGE_ATTRIBUTES):
        try:
            page, changed = write_page(_normalised(entry), site=site, known=known)
        except ContentError as error:
            report.add(f"/pages/{index}", error.problems)
            continue
        report.count("pages", changed)
        pages.append((index, page))
    return blocks, pages


def _normalised(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in entry.items() if value is not None}


def _load_blocks(
    bundle: Mapping[str, Any], site: Site, report: Report, now: dt.datetime, author: Any
) -> list[Block]:
    types = {t.key: t for t in BlockType.objects.filter(site=site)}
    entries = []
    rows = {b.key: b for b in Block.objects.filter(site=site).select_related("type", "site", "published")}
    for index, entry in listed(bundle, "blocks", report, known={"key", "type", "fields"}):
        type_ = types.get(str(entry.get("type")))
        if type_ is None:
            report.problems.append(
                Problem(
                    "unknown_type", f"/blocks/{index}/type", f"There is no block type '{entry.get('type')}'."
                )
            )
            continue
        row = rows.get(entry["key"]) or Block(site=site, key=entry["key"], type=type_)
        if row.type_id != type_.pk:
            report.problems.append(
                Problem("type_fixed", f"/blocks/{index}/type", f"'{row.key}' is a {row.type.key} already.")
            )
            continue
        entries.append((index, entry, row))
    known = known_to(site)
    known = replace(known, blocks={**known.blocks, **{row.key: row.type.key for _, _, row in entries}})
    good = []
    for index, entry, row in entries:  # all are checked before any is stored: they may name each other
        try:
            checked(row, entry.get("fields") or {}, known=known)
            good.append((index, entry, row, row._state.adding))
        except ContentError as error:
            report.add(f"/blocks/{index}/fields", error.problems)
    Block.objects.bulk_create([row for _, _, row, new in good if new])
    for index, entry, row, new in good:
        before = row.data
        try:
            save_block(row, entry.get("fields") or {}, now=now, known=known, author=author)
        except ContentError as error:
            report.add(f"/blocks/{index}/fields", error.problems)
        report.count("blocks", new or before != row.data)
    return [row for _, _, row, _ in good]


def _recheck_blocks(retyped: Mapping[str, int], site: Site, report: Report) -> None:
    """Refuse a change of a block type that stored blocks do not fit; what is merely missing is left to editors."""
    known = known_to(site)
    for block in Block.objects.filter(site=site, type__key__in=retyped).select_related("type"):
        found = errors_among(clean(parse_fields(block.type.fields)[0], block.data, known=known).problems)
        for problem in (one for one in found if one.code not in _HARMLESS):
            sentence = f"The block '{block.key}' does not fit: {problem.message}"
            place = f"/block_types/{retyped[block.type.key]}/fields"
            report.problems.append(Problem("block_does_not_fit", place, sentence))


def publish_loaded(
    blocks: Sequence[Block],
    pages: Sequence[tuple[int, Page]],
    site: Site,
    report: Report,
    *,
    now: dt.datetime,
    author: Any = None,
) -> None:
    """Publish what a bundle named, and renew every other page that shows what it changed."""
    publish_blocks(blocks, now=now, author=author)
    for index, page in pages:
        try:
            report.count("published", publish_page(page, now=now, author=author, cause="Bundle") is not None)
        except ContentError as error:
            report.add(f"/pages/{index}", errors_among(error.problems))
    if any(report.changed.get(kind) for kind in ("media", "block_types", "templates")):
        recompile_all(site, now=now, cause="Bundle", author=author)
