"""``$did`` as SQL, over everybody at once. PURE text.

In: counts that can share one reading of the events, by the names of their columns. Out: a query that gives
`subject_key` and the truth of each; who is not in it did nothing that any of them asks for.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from cms.language.behaviour.counting import SESSION_GAP
from cms.language.nodes import Did
from cms.language.sql import Column
from personalization.segments.behaviour_sql import NOW, Events, has_type, property_of, spelled

Counts = Mapping[str, Did]

_BY_TIME: Final = "e.happened_at, e.message_id"
_LATEST: Final = "e.happened_at DESC, e.message_id DESC"


def plain(events: Events, counts: Counts) -> str:
    """Return one query for counts, sums, extremes and ends."""
    truths = [f"{_test(events, one, _only(_meant(events, one)))} AS {name}" for name, one in counts.items()]
    return f"SELECT e.subject_key, {', '.join(truths)} {_wanted(events, counts)} GROUP BY e.subject_key"


def by_value(events: Events, counts: Counts) -> str:
    """Return one query for counts that hold for one and the same value of a property."""
    path = _path(counts.values(), lambda one: one.by)
    truths = []
    for name, one in counts.items():
        only = _only(_meant(events, one))
        # of a value that only another count asks for, this one says nothing
        truths.append(f"CASE WHEN count(*){only} > 0 THEN {_test(events, one, only)} END AS {name}")
    values = (
        f"SELECT e.subject_key, {', '.join(truths)} {_wanted(events, counts)}{has_type(path, 'string', 'number')}"
        f" GROUP BY e.subject_key, {spelled(path)}"
    )
    held = ", ".join(f"bool_or({name}) AS {name}" for name in counts)
    return f"SELECT subject_key, {held} FROM ({values}) v GROUP BY subject_key"


def different(events: Events, counts: Counts) -> str:
    """Return one query for how many different values of a property there are: its values first, then their number."""
    path = _path(counts.values(), lambda one: one.of)
    there = ", ".join(f"bool_or({_meant(events, one)}) AS {name}" for name, one in counts.items())
    values = (
        f"SELECT e.subject_key, {there} {_wanted(events, counts)} GROUP BY e.subject_key, {property_of(path)}"
    )
    truths = [
        f"{events.tested(_number(f'count(*) FILTER (WHERE {name})'), one.test)} AS {name}"
        for name, one in counts.items()
    ]
    return f"SELECT subject_key, {', '.join(truths)} FROM ({values}) v GROUP BY subject_key"


def in_session(events: Events, counts: Counts) -> str:
    """Return the query of a count in the running session."""
    ((name, one),) = counts.items()
    meant = f"{events.meant(one.event, one.where)}{_valued(one)}"
    if one.by:
        meant += has_type(one.by, "string", "number")
    source = events.read(
        f"{meant} AND e.happened_at >= s.began", join=f" JOIN ({_sessions(events)}) s USING (subject_key)"
    )
    grouped = f"SELECT e.subject_key, {_test(events, one)} AS {name} {source} GROUP BY e.subject_key"
    if not one.by:
        return grouped
    return f"SELECT subject_key, bool_or({name}) AS {name} FROM ({grouped}, {spelled(one.by)}) v GROUP BY subject_key"


def _sessions(events: Events) -> str:
    """Return when the running session of everybody who has one began."""
    gap = f"make_interval(secs => {SESSION_GAP // 1_000_000})"
    return (
        "SELECT subject_key, max(happened_at) FILTER (WHERE before IS NULL OR happened_at - before > "
        f"{gap}) AS began FROM (SELECT e.subject_key, e.happened_at, lag(e.happened_at) OVER"
        f" (PARTITION BY e.subject_key ORDER BY e.happened_at) AS before {events.read('TRUE')}) r"
        f" GROUP BY subject_key HAVING max(happened_at) > {NOW} - {gap}"
    )


def _wanted(events: Events, counts: Counts) -> str:
    """Return the events that any of them may count, by name and window."""
    some = (f"({events.meant(one.event, None)}{events.since(one.within)})" for one in counts.values())
    return events.read(f"({' OR '.join(dict.fromkeys(some))})")


def _meant(events: Events, one: Did) -> str:
    return f"{events.meant(one.event, one.where)}{events.since(one.within)}{_valued(one)}"


def _valued(one: Did) -> str:
    """Leave out the events that say nothing about what is asked."""
    if one.of is None:
        return ""
    if one.aggregate in ("sum", "min", "max"):
        return has_type(one.of, "number")
    return has_type(one.of, "number", "string", "boolean")


def _only(meant: str) -> str:
    return f" FILTER (WHERE {meant})"


def _path(counts: Iterable[Did], of: Callable[[Did], str | None]) -> str:
    """Return the property that all of them name."""
    (path,) = {of(one) for one in counts}
    return str(path)


def _number(amount: str) -> Column:
    return Column(f"({amount})::double precision", "number")


def _test(events: Events, one: Did, only: str = "") -> str:
    if one.aggregate in ("first", "last"):
        order = _BY_TIME if one.aggregate == "first" else _LATEST
        value = f"(array_agg({property_of(str(one.of))} ORDER BY {order}){only})[1]"
        return events.tested(Column(value, "json"), one.test)
    amount = f"{_amount(one)}{only}"
    return events.tested(_number(f"coalesce({amount}, 0)" if one.aggregate == "sum" else amount), one.test)


def _amount(one: Did) -> str:
    if one.aggregate == "count":
        return "count(*)"
    value = property_of(str(one.of))
    if one.aggregate == "distinct":
        return f"count(DISTINCT {value})"
    return f"{one.aggregate}(({value})::numeric)"
