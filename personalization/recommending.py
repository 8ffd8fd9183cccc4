"""Which item a personalised product shows. PURE.

In: a component, and the facts of a request. Out: the item, and the reason. A component is either of a segment, and
shows the very item that the segment is about ("the product that you left in the cart"), or it shows what sells best
in one's favourite category. Its default stands in for everything that is not known.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cms.language.evaluate import WITHHELD
from cms.language.tags import Component
from personalization.directory import Directory
from personalization.fragments import Item, value_of

FAVOURITE_CATEGORY: Final = "features.favourite_category"
COMPONENT_PURPOSE: Final = "personalization"

Find = Callable[[str, str], Item | None]  # the live item of a catalogue, by the key of its type and its own


@dataclass(frozen=True, slots=True)
class Recommender:
    """Chooses items; `items` are those that a plan may always show, others are found when somebody needs them."""

    directory: Directory
    items: Mapping[str, Item]
    find: Find

    def choose(self, component: Component, facts: Mapping[str, Any]) -> tuple[Item | None, str]:
        """Return the item for a component, or None, and the reason."""
        key, item, reason = component.default, None, "default"
        if self.withheld(component, facts):
            reason = "no_consent"
        elif component.of:
            about = self.about(component.of, facts)
            item = self.find(component.type, about) if about else None
        else:
            key, reason = self.best(component, facts)
        if item is not None:
            return item, "matched"
        return self.items.get(key or ""), reason

    def withheld(self, component: Component, facts: Mapping[str, Any]) -> bool:
        """Say whether what a component rests on may not be used."""
        if component.of is None:
            return facts.get(FAVOURITE_CATEGORY, WITHHELD) is WITHHELD
        segment = self.directory.segments.get(component.of)
        if segment is None or segment.by is None:
            return False
        return facts.get(segment.by.key, WITHHELD) is WITHHELD

    def about(self, key: str, facts: Mapping[str, Any]) -> str | None:
        """Return the value for which somebody is in a segment."""
        segment = self.directory.segments.get(key)
        if segment is None or (facts.get("segments") or {}).get(key) is not True:
            return None
        return value_of(segment.by, facts)

    def best(self, component: Component, facts: Mapping[str, Any]) -> tuple[str | None, str]:
        """Return the most bought item of the favourite category, else the most bought, else the default."""
        found = self.directory.bestsellers.get(component.type)
        favourite: str = facts.get(FAVOURITE_CATEGORY) or ""
        if found and favourite in found.by_category:
            return found.by_category[favourite], "matched"
        if found and found.overall:
            return found.overall, "matched"
        return component.default, "default"
