"""Cut what is known to what may be used. PURE: this is where consent meets the decision.

In: a visitor, the context of the request, and the names that a page reads. Out: the only facts the decision sees.
A personal fact whose purposes are not all granted is WITHHELD, whatever the store holds; so is one that could not be
loaded. Context is never personal.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from cms.language.evaluate import WITHHELD
from cms.language.vocabulary import Fact
from personalization.visitor import Visitor


def cut(
    wanted: Iterable[Fact], *, visitor: Visitor, context: Mapping[str, Any], now: dt.datetime
) -> dict[str, Any]:
    """Return the facts that a decision for this visitor may read; `now` is in the visitor's time zone."""
    facts: dict[str, Any] = {"$now": now}
    known = visitor.snapshot.facts if visitor.snapshot is not None else None
    granted = visitor.gates.granted
    for fact in wanted:
        name = fact.name
        if not fact.purposes:
            facts[name] = context.get(name)
        elif known is None or not fact.purposes <= granted:
            facts[name] = WITHHELD
        else:
            facts[name] = known.get(name)
    return facts
