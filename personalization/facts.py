"""Cut what is known to what may be used. PURE: this is where consent meets the decision.

In: a visitor, the context of the request, and the names that a page reads. Out: the only facts the decision sees.
A personal fact whose purposes are not all granted is WITHHELD, whatever the store holds; so is one that could not be
loaded, and one that the person took out of use. Context is never personal.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cms.language.behaviour import Behaviour
from cms.language.behaviour.spans import decode
from cms.language.evaluate import WITHHELD
from cms.language.vocabulary import Fact
from personalization.scoring import Score
from personalization.visitor import BEHAVIOUR, Snapshot, Visitor

PAGES: Final = "personalization"
# this page's history: the fact, which counter it reads, and whether by item or by category
HERE: Final[Mapping[str, tuple[str, str]]] = {
    "here.views": ("views", "item"),
    "here.bought": ("bought", "item"),
    "here.category_views": ("category_views", "category"),
    "here.category_bought": ("categories", "category"),
}


@dataclass(frozen=True, slots=True)
class Here:
    """What a page shows: the item and the category that its history is about; empty when it has none."""

    item: str = ""
    category: str = ""


def cut(
    wanted: Iterable[Fact],
    behaviours: Iterable[Behaviour] = (),
    *,
    visitor: Visitor,
    context: Mapping[str, Any],
    now: dt.datetime,
    here: Here | None = None,
) -> dict[str, Any]:
    """Return the facts that a decision for this visitor may read; `now` is in the visitor's time zone.

    Scores rest on segments: they are counted once those are decided (`count_scores`).
    """
    facts: dict[str, Any] = {"$now": now}
    known = visitor.snapshot.facts if visitor.snapshot is not None else None
    excluded = visitor.snapshot.excluded if visitor.snapshot is not None else ()
    granted = visitor.gates.granted
    for fact in wanted:
        name = fact.name
        if not fact.purposes:
            facts[name] = context.get(name)
        elif known is None or not fact.purposes <= granted or (excluded and _is_excluded(name, excluded)):
            facts[name] = WITHHELD
        elif name in HERE:
            facts[name] = _history(name, visitor.snapshot, here)
        else:
            facts[name] = known.get(name)
    for behaviour in behaviours:
        facts[behaviour.key] = _timeline(behaviour, visitor)
    return facts


def count_scores(facts: dict[str, Any], scores: Mapping[str, Score]) -> None:
    """Count the points of the scores that may be used; `facts["segments"]` holds who is in which segment."""
    for name, score in scores.items():
        if facts.get(name) is not WITHHELD:
            points = score.value(facts)
            facts[name] = WITHHELD if points is None else points


def _is_excluded(name: str, excluded: Collection[str]) -> bool:
    """Say whether the person took a fact out of use."""
    return name in excluded or (name in HERE and BEHAVIOUR in excluded)


def _timeline(behaviour: Behaviour, visitor: Visitor) -> Any:
    """Return what is known of a behaviour: its timeline, None for that of nobody, or WITHHELD."""
    if visitor.snapshot is None or PAGES not in visitor.gates.granted:
        return WITHHELD
    if BEHAVIOUR in visitor.snapshot.excluded:
        return WITHHELD
    spelled = visitor.snapshot.timelines.get(behaviour.key)
    return None if spelled is None else decode(spelled)


def _history(name: str, snapshot: Snapshot | None, here: Here | None) -> int:
    """Return how often the page's item or category was seen or bought; a page without one has no history."""
    counter, about = HERE[name]
    subject = getattr(here, about) if here else ""
    return snapshot.count(counter, subject) if snapshot is not None and subject else 0
