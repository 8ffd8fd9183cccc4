"""Where a profile stands: which stored segments it is in now, and when that can next change by itself. PURE.

In: the directory, the facts of one profile and what consent lets through. Out: `Standing`. Context counts as unknown:
a mixed segment is kept by its personal part, and who is not plainly out is in. A segment's size does not decide who
is in it.
"""

import datetime as dt
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cms.language.behaviour.spans import decode
from cms.language.evaluate import WITHHELD
from cms.language.vocabulary import CONTEXT
from personalization.directory import CompiledSegment, Directory, holds, is_excluded
from personalization.visitor import Visitor

_PAGES: Final = "personalization"


@dataclass(frozen=True, slots=True)
class Standing:
    segments: tuple[str, ...]
    due_at: dt.datetime | None


@lru_cache(maxsize=64)
def _zone(name: str) -> zoneinfo.ZoneInfo:
    return zoneinfo.ZoneInfo(name)


def stand(
    directory: Directory, facts: Mapping[str, Any], visitor: Visitor, *, now: dt.datetime, time_zone: str
) -> Standing:
    """Decide every stored segment for one profile."""
    known = {**dict.fromkeys(CONTEXT, WITHHELD), **facts, **_timelines(directory, visitor)}
    known["$now"] = now.astimezone(_zone(time_zone))
    inside: dict[str, bool | None] = {}
    known["segments"] = inside
    entered, due = [], []
    for segment in directory.stored:
        truth = _truth(segment, known, visitor)
        inside[segment.key] = truth
        if truth or (truth is None and is_mixed(segment, directory) and may(segment, visitor)):
            entered.append(segment.key)
        if segment.timed and may(segment, visitor):
            due += [m for one in (*segment.rules, segment.score) if one and (m := one.valid_until(known))]
    return Standing(tuple(entered), min(due, default=None))


def may(segment: CompiledSegment, visitor: Visitor) -> bool:
    """Say whether all that a segment reads is granted, and nothing of it excluded."""
    return segment.purposes <= visitor.gates.granted and not is_excluded(segment, visitor)


def _truth(segment: CompiledSegment, facts: Mapping[str, Any], visitor: Visitor) -> bool | None:
    if not may(segment, visitor):
        return None
    was_in = visitor.snapshot is not None and segment.key in visitor.snapshot.inside
    return holds(segment, facts, was_in=was_in)


def is_mixed(segment: CompiledSegment, directory: Directory) -> bool:
    """Say whether a segment, or one that it needs, reads the context of a request."""
    return any(name in CONTEXT for one in directory.closure([segment.key]) for name in one.reads)


def _timelines(directory: Directory, visitor: Visitor) -> dict[str, Any]:
    """Return the profile's behaviour among the facts; none of it without consent for pages."""
    if visitor.snapshot is None or _PAGES not in visitor.gates.granted:
        return {one.key: WITHHELD for one in directory.behaviours}
    return {key: decode(spelled) for key, spelled in visitor.snapshot.timelines.items()}
