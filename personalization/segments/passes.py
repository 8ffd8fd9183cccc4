"""What everybody did, in as few readings of the events as there are kinds of question. PURE text.

Plain counts share one pass, counts by the values of a property another, and so do sequences; what is asked of a running
session has a table of its own. In: behaviours, one after the other. Out: where the truth of each stands, and the tables
to join.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from cms.language.behaviour import compile_behaviour
from cms.language.behaviour.reading import SESSION
from cms.language.nodes import Did, Sequence
from personalization.segments import counting_sql, following_sql
from personalization.segments.behaviour_sql import Events

# Counts and steps in a pass. A step needs up to eight columns, and a query of PostgreSQL has at most 1,664.
MOST: Final = 100

_Writer = Callable[[Events, dict[str, Any]], str]


@dataclass(slots=True)
class _Pass:
    name: str
    write: _Writer
    asked: dict[str, Did | Sequence] = field(default_factory=dict)  # by column
    walks: dict[Hashable, int] = field(default_factory=dict)  # what each costs in columns

    def has_room(self, walk: Hashable, size: int) -> bool:
        return walk in self.walks or sum(self.walks.values()) + size <= MOST


class Passes:
    """Behaviours, and the passes that answer them."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self._truths: dict[str, str] = {}  # behaviour key → its expression
        self._open: dict[Hashable, _Pass] = {}
        self._passes: list[_Pass] = []

    def truth(self, node: Did | Sequence) -> str:
        """Return the expression of a behaviour; who is in no table did nothing that counts. Raises NotInSql."""
        known = self._truths.get(node.key)
        if known is None:
            group, write = _kind(node)
            column = f"t{len(self._truths)}"
            write(
                self.events, {column: node}
            )  # what SQL cannot say is refused here, before others depend on it
            walk, size = _walk(node)
            shared = self._open.get(group)
            if shared is None or not shared.has_room(walk, size):
                shared = self._open[group] = _Pass(f"b{len(self._passes)}", write)
                self._passes.append(shared)
            shared.asked[column] = node
            shared.walks[walk] = size
            nothing = "TRUE" if compile_behaviour(node).empty[0].truth else "FALSE"
            known = self._truths[node.key] = f"coalesce({shared.name}.{column}, {nothing})"
        return known

    def tables(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the query of every pass."""
        for one in self._passes:
            yield one.name, one.write(self.events, one.asked)


def _walk(node: Did | Sequence) -> tuple[Hashable, int]:
    """Return what a behaviour walks over, which equal ones do once, and for how many columns' worth."""
    if isinstance(node, Sequence):
        return following_sql.course_of(node), len(node.steps)
    return node.key, 1


def _kind(node: Did | Sequence) -> tuple[Hashable, _Writer]:
    """Return with which others a behaviour shares a pass, and what writes it."""
    if isinstance(node, Sequence):
        return ("follows", node.by), following_sql.following
    if node.within == SESSION:
        return node.key, counting_sql.in_session
    if node.by:
        return ("by", node.by), counting_sql.by_value
    if node.aggregate == "distinct":
        return ("different", node.of), counting_sql.different
    return "plain", counting_sql.plain
