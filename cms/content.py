"""Write blocks: the one home of saving, publishing and withdrawing a block.

Saving keeps the working copy and adds a revision; publishing lets pages show it. Published pages that contain
the block are compiled again: the first 50 in the same transaction, the rest by the worker.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from cms.errors import ContentError, errors_among
from cms.fields import Cleaned, Known, clean, parse_fields
from cms.language.nodes import Problem
from cms.models import Block, BlockReference, BlockRevision, Media, Site

MAX_DEPTH = 8


def known_to(site: Site) -> Known:
    """Return what blocks of the site may refer to."""
    return Known(
        blocks=dict(Block.objects.filter(site=site).values_list("key", "type__key")),
        media=frozenset(Media.objects.filter(site=site).values_list("key", flat=True)),
        locales=site.locales,
    )


def checked(block: Block, data: object, *, known: Known) -> Cleaned:
    """Clean the data of a block; raise ContentError with every problem at its field."""
    fields, _ = parse_fields(block.type.fields)
    result = clean(fields, data, known=known)
    if errors := errors_among(result.problems):
        raise ContentError(errors)
    return result


@transaction.atomic
def save_block(
    block: Block, data: object, *, now: dt.datetime, known: Known | None = None, author: Any = None
) -> BlockRevision | None:
    """Keep the data as the working copy; return the new revision, or None when nothing changed."""
    result = checked(block, data, known=known or known_to(block.site))
    unchanged = block.pk is not None and block.data == result.data
    block.data = result.data
    if not unchanged or block._state.adding:
        block.save()
        _refer(block, result.blocks)
    if block.type.catalogue:
        if not unchanged and block.live:
            block.site.advance(catalogue=True)
        return None
    latest = block.revisions.first()
    if latest is not None and latest.data == result.data:
        return None
    return BlockRevision.objects.create(
        block=block, n=latest.n + 1 if latest else 1, data=result.data, created_at=now, created_by=author
    )


def _refer(block: Block, keys: set[str]) -> None:
    """Store whom the block names; raise ContentError when it would contain itself."""
    targets = list(Block.objects.filter(site=block.site, key__in=keys))
    block.references.exclude(target__in=targets).delete()
    BlockReference.objects.bulk_create(
        [BlockReference(source=block, target=target) for target in targets], ignore_conflicts=True
    )
    refuse_cycles(block)


def refuse_cycles(block: Block) -> None:
    """Raise ContentError when the block contains itself, at whatever depth, or nests deeper than 8."""
    level, seen = {block.pk}, set[int]()
    for _depth in range(MAX_DEPTH - 1):
        level = set(BlockReference.objects.filter(source_id__in=level).values_list("target_id", flat=True))
        if block.pk in level:
            raise ContentError([Problem("cycle", "", f"'{block.key}' would contain itself.")])
        if not level - seen:
            return
        seen |= level
    if BlockReference.objects.filter(source_id__in=level).exists():
        raise ContentError(
            [Problem("too_deep", "", f"Blocks in '{block.key}' nest deeper than {MAX_DEPTH}.")]
        )


def publish_block(block: Block, *, now: dt.datetime, author: Any = None) -> bool:
    """Let pages show the working copy; return whether that changed anything."""
    return publish_blocks([block], now=now, author=author) == 1


@transaction.atomic
def publish_blocks(blocks: Sequence[Block], *, now: dt.datetime, author: Any = None) -> int:
    """Let pages show the working copies, each page compiled once; return how many blocks changed."""
    from cms.publishing import recompile_with  # publishing reads blocks: the two flows call each other

    rows = Block.objects.select_for_update(of=("self",)).select_related("type", "site").order_by("pk")
    changed = [b for b in rows.filter(pk__in=[b.pk for b in blocks]) if _show(b, now=now, author=author)]
    if changed:
        changed[0].site.advance(catalogue=any(block.type.catalogue for block in changed))
        names = f"{changed[0].key} and {len(changed) - 1} more" if len(changed) > 1 else changed[0].key
        recompile_with(changed, now=now, cause=f"Block {names} published", author=author)
    return len(changed)


def _show(block: Block, *, now: dt.datetime, author: Any) -> bool:
    """Point a block at what is to be shown of it; return whether that changed anything."""
    before = (block.live, block.published_id)
    if block.type.catalogue:
        block.live = True
    else:
        block.published = block.revisions.first() or save_block(block, block.data, now=now, author=author)
    changed = before != (block.live, block.published_id)
    if changed:
        block.save()
    return changed


@transaction.atomic
def unpublish_block(block: Block, *, now: dt.datetime, author: Any = None) -> None:
    """Take a block off every page; refused while a published page has it as a default."""
    from cms.publishing import recompile_with

    block = Block.objects.select_for_update(of=("self",)).select_related("type", "site").get(pk=block.pk)
    if paths := _default_on(block, now):
        sentence = f"'{block.key}' is the default on {', '.join(paths)}. Change those pages first."
        raise ContentError([Problem("block_in_use", "", sentence)])
    block.live, block.published = False, None
    block.save()
    block.site.advance(catalogue=block.type.catalogue)
    recompile_with([block], now=now, cause=f"Block {block.key} unpublished", author=author)


def _default_on(block: Block, now: dt.datetime) -> list[str]:
    """Return the paths of the pages that show the block as a default, now or as scheduled."""
    from cms.publishing import live_revisions, published_pages_with

    return [
        page.path
        for page in published_pages_with([block]).order_by("path")
        if any(
            variant.get("default") and variant.get("block") == block.key
            for revision in live_revisions(page, now=now)
            for variant in _variants(revision.content)
        )
    ]


def _variants(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [v for placements in content["slots"].values() for p in placements for v in p["variants"]]


def revert_block(
    block: Block, *, to: BlockRevision, now: dt.datetime, author: Any = None
) -> BlockRevision | None:
    """Make an older revision the working copy again, as a new revision."""
    return save_block(block, to.data, now=now, author=author)
