"""Write blocks: the one home of saving, publishing and withdrawing a block.

Saving keeps the working copy and adds a revision; publishing lets pages show it. Published pages that contain
the block are compiled again: the first 50 in the same transaction, the rest by the worker.
"""

import datetime as dt
from typing import Any

from django.db import transaction

from cms.errors import ContentError, errors_among
from cms.fields import MAX_DEPTH, Cleaned, Known, clean, parse_fields
from cms.language.nodes import Problem
from cms.models import Block, BlockReference, BlockRevision, Media, Site


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


def revert_block(
    block: Block, *, to: BlockRevision, now: dt.datetime, author: Any = None
) -> BlockRevision | None:
    """Make an older revision the working copy again, as a new revision."""
    return save_block(block, to.data, now=now, author=author)
