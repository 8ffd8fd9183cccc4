"""What may be told of one person: traits, features, segments and scores, cut by consent like a page.

In: a subject. Out: a `Portrait` that reflects every event acknowledged to them, or None when there is nobody. A segment
that reads the request as well is told apart: its personal part holds, and each request decides the rest.
"""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cms.language.evaluate import WITHHELD
from cms.language.vocabulary import CONTEXT
from cms.models import Site
from consent.gates import SENSITIVE, Gates
from personalization.directory import Directory, memberships
from personalization.facts import HERE, PAGES, count_scores, cut
from personalization.folding import gates_of_subjects
from personalization.models import Event
from personalization.profiles import current
from personalization.segments.directory import directory_of
from personalization.standing import is_mixed, may
from personalization.visitor import BEHAVIOUR, Visitor

MAX_EVENTS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Portrait:
    """What is known and allowed; `contextual` are segments of which the request decides a part."""

    subject: uuid.UUID
    gates: Gates
    traits: Mapping[str, Any]
    features: Mapping[str, Any]
    segments: tuple[str, ...]
    contextual: tuple[str, ...]
    scores: Mapping[str, int | float]
    excluded: frozenset[str]


def portrait_of(subject: uuid.UUID, *, site: Site, now: dt.datetime) -> Portrait | None:
    """Return what may be told of a subject; None for one whom the ledger does not know."""
    gates = gates_of_subjects([subject], now=now).get(subject)
    if gates is None:
        return None
    directory = directory_of(site)
    visitor = Visitor(subject, gates, current(subject, directory, now=now.timestamp()))
    facts = _facts(directory, visitor, now)
    inside = memberships([directory.segments[key] for key in directory.order], facts, visitor)
    count_scores(
        facts, {f"scores.{key}": s.score for key, s in directory.segments.items() if s.score is not None}
    )
    open_to_context = [
        s.key
        for s in directory.stored
        if inside[s.key] is None and s.open and may(s, visitor) and is_mixed(s, directory)
    ]
    told = {name: value for name, value in facts.items() if value is not WITHHELD and value is not None}
    return Portrait(
        subject=subject,
        gates=gates,
        traits={name: told[name] for name in directory.vocabulary.facts if name in told and "." not in name},
        features=_named("features.", told),
        segments=tuple(key for key in directory.segments if inside[key] and directory.segments[key].purposes),
        contextual=tuple(open_to_context),
        scores=_named("scores.", told),
        excluded=visitor.snapshot.excluded if visitor.snapshot else frozenset(),
    )


def _facts(directory: Directory, visitor: Visitor, now: dt.datetime) -> dict[str, Any]:
    wanted = [fact for name, fact in directory.vocabulary.facts.items() if name not in HERE]
    return cut(
        wanted,
        directory.behaviours,
        visitor=visitor,
        context=dict.fromkeys(CONTEXT, WITHHELD),
        now=now,
    )


def _named(prefix: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in facts.items() if name.startswith(prefix)}


def events_of(
    subject: uuid.UUID, portrait: Portrait, *, limit: int, before: int | None = None
) -> list[Event]:
    """Return somebody's newest events that pages may use, those before a number where one is given."""
    if PAGES not in portrait.gates.granted or BEHAVIOUR in portrait.excluded:
        return []
    rows = Event.objects.filter(subject_key=subject, purposes__contains=[PAGES])
    if SENSITIVE not in portrait.gates.granted:
        rows = rows.exclude(purposes__contains=[SENSITIVE])
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows.order_by("-pk")[: min(limit, MAX_EVENTS)])
