"""Feed catalogues: items by the thousand, without revisions, live at once, written as a set."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from cms.content import known_to
from cms.errors import ContentError, below, errors_among
from cms.fields import clean, parse_fields
from cms.keys import is_key
from cms.language.nodes import Problem
from cms.models import Block, BlockType
from cms.publishing import recompile_with


@transaction.atomic
def feed(type_: BlockType, items: Sequence[Mapping[str, Any]], *, now: dt.datetime) -> int:
    """Add and update items; all or nothing. Returns how many changed; raises ContentError with places."""
    data = _cleaned(type_, items)
    existing = {b.key: b for b in Block.objects.select_for_update().filter(site=type_.site, key__in=data)}
    foreign = [key for key, block in existing.items() if block.type_id != type_.pk]
    if foreign:
        raise ContentError([Problem("key_taken", "/items", f"'{foreign[0]}' is a block of another type.")])
    new = [
        Block(site=type_.site, key=k, type=type_, data=d, live=True)
        for k, d in data.items()
        if k not in existing
    ]
    revived = [b for b in existing.values() if not b.live]
    changed = [b for key, b in existing.items() if b.data != data[key] or not b.live]
    for block in changed:
        block.data, block.live, block.updated_at = data[block.key], True, now
    Block.objects.bulk_create(new, batch_size=500)
    Block.objects.bulk_update(changed, ["data", "live", "updated_at"], batch_size=500)
    if new or changed:
        type_.site.advance(catalogue=True)
    if revived:
        recompile_with(revived, now=now, cause=f"Items of {type_.key} are back")
    return len(new) + len(changed)


def _cleaned(type_: BlockType, items: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    fields, _ = parse_fields(type_.fields)
    known = known_to(type_.site)
    problems: list[Problem] = []
    data: dict[str, dict[str, Any]] = {}
    for index, item in enumerate(items):
        place = f"/items/{index}"
        key = item.get("key") if isinstance(item, Mapping) else None
        if not is_key(key):
            problems.append(Problem("invalid_key", f"{place}/key", f"'{key}' is not a key."))
            continue
        result = clean(fields, item.get("fields"), known=known)
        problems += below(f"{place}/fields", errors_among(result.problems))
        data[key] = result.data
    if problems:
        raise ContentError(problems)
    return data
