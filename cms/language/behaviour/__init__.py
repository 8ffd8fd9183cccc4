"""What people did, as rules ask for it: ``$did`` and ``$seq``, compiled once.

``compile_behaviour`` makes of a node an object that turns the events of one profile into a timeline: the answer now,
and how it goes on while nothing new happens. PURE.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cms.language.behaviour.counting import Counting
from cms.language.behaviour.durations import duration
from cms.language.behaviour.events import ANY, Happened
from cms.language.behaviour.following import Following
from cms.language.behaviour.reading import SESSION
from cms.language.behaviour.spans import Span, Timeline, timeline_at
from cms.language.nodes import Did
from cms.language.nodes import Sequence as SequenceNode

__all__ = ["Behaviour", "Happened", "Span", "Timeline", "compile_behaviour", "timeline_at"]
SESSIONS: Final = (
    "$sessions"  # a behaviour that must see every event, because sessions are made of all of them
)


@dataclass(frozen=True)
class Behaviour:
    """A compiled behaviour.

    ``wants`` are the names of the events it looks at, ``None`` for all; ``reach`` is how far it looks back in
    microseconds, ``None`` for as far as events are kept; ``empty`` is the timeline of somebody who did nothing.
    """

    key: str
    node: Did | SequenceNode
    wants: frozenset[str] | None
    reach: int | None
    empty: Timeline
    _program: Counting | Following

    def timeline(self, events: Sequence[Happened], moment: int) -> Timeline:
        """Return the timeline from a moment on; the events are those of one profile, in order."""
        return self._program.timeline(events, moment)


@lru_cache(maxsize=2048)
def compile_behaviour(node: Did | SequenceNode) -> Behaviour:
    """Compile a behaviour; the same one is compiled once."""
    program = Counting(node) if isinstance(node, Did) else Following(node)
    return Behaviour(node.key, node, _wants(node), _reach(node), program.timeline((), 0), program)


def _wants(node: Did | SequenceNode) -> frozenset[str] | None:
    if isinstance(node, Did):
        names: Iterable[str] = (node.event,)
        if node.within == SESSION:
            return None
    else:
        names = (step.event for step in node.steps)
    found = frozenset(names)
    return None if ANY in found else found


def _reach(node: Did | SequenceNode) -> int | None:
    if isinstance(node, Did):
        return None if node.within == SESSION else duration(node.within)
    return duration(node.since)
