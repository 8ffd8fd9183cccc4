"""What a profile's behaviour amounts to, as it is kept: behaviour key → timeline as JSON. PURE.

In: the behaviours that segments ask for, and one profile's events in order. Out: only the timelines that differ from
that of somebody who did nothing, so that most profiles keep few.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from cms.language.behaviour import Behaviour, Happened
from cms.language.behaviour.spans import encode


def timelines_of(
    behaviours: Iterable[Behaviour], events: Sequence[Happened], *, moment: int
) -> dict[str, Any]:
    """Return the timelines from a moment on."""
    if not events:
        return {}
    found = {}
    for behaviour in behaviours:
        timeline = behaviour.timeline(events, moment)
        if timeline != behaviour.empty:
            found[behaviour.key] = encode(timeline)
    return found
