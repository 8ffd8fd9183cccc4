"""Read ``$did`` and ``$seq`` from JSON.

Goes in: what stands below the operator, and the reader of the rule, which counts nodes and gathers problems. Comes
out: a node, or ``None`` when something is wrong with it, told with its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from cms.language.behaviour.durations import duration
from cms.language.nodes import Comparison, Condition, Constant, Did, Operators, Sequence, Step, Value

SESSION: Final = "session"
AGGREGATES: Final = ("count", "sum", "min", "max", "distinct", "first", "last")
MAX_STEPS: Final = 10
MAX_NAME: Final = 200
_DID: Final = frozenset({"event", "where", "within", "by", *AGGREGATES})
_SEQ: Final = frozenset({"steps", "gap", "since", "by"})
_STEP: Final = frozenset({"event", "where", "absent"})


class Reader(Protocol):
    """What the reader of rules lends to this one."""

    def condition(self, source: object, pointer: str, depth: int) -> Condition: ...
    def value(self, source: object, pointer: str, depth: int) -> Value: ...
    def enter(self, pointer: str, depth: int) -> None: ...
    def report(self, code: str, pointer: str, message: str) -> None: ...


def read_did(source: object, pointer: str, depth: int, reader: Reader) -> Did | None:
    """Read what stands below ``$did``."""
    members = _members(source, _DID, "$did", pointer, reader)
    if members is None:
        return None
    named = [name for name in AGGREGATES if name in members]
    if len(named) > 1:
        reader.report("operand_type", f"{pointer}/{named[1]}", f"Ask one thing: {named[0]} or {named[1]}.")
    event, where = _event(members, pointer, reader), _where(members, pointer, depth, reader)
    aggregate = named[0] if named else "count"
    of, test = _aggregate(members, aggregate, pointer, depth, reader)
    within, by = _within(members, pointer, reader), _by(members, pointer, reader)
    return Did(event, where, within, by, aggregate, of, test, pointer)


def read_sequence(source: object, pointer: str, depth: int, reader: Reader) -> Sequence | None:
    """Read what stands below ``$seq``."""
    members = _members(source, _SEQ, "$seq", pointer, reader)
    if members is None:
        return None
    listed = members.get("steps")
    if not isinstance(listed, list) or not listed:
        reader.report("empty_sequence", f"{pointer}/steps", "A sequence has at least one step.")
        return None
    if len(listed) > MAX_STEPS:
        reader.report("too_many_nodes", f"{pointer}/steps", f"A sequence has at most {MAX_STEPS} steps.")
        return None
    steps = tuple(_step(one, f"{pointer}/steps/{i}", depth + 1, reader) for i, one in enumerate(listed))
    if steps[0] is not None and steps[0].absent:
        reader.report("absent_first", f"{pointer}/steps/0", "A sequence begins with something that happens.")
    gap = _duration(members, "gap", pointer, reader)
    since, by = _duration(members, "since", pointer, reader), _by(members, pointer, reader)
    return Sequence(tuple(step for step in steps if step is not None), gap, since, by, pointer)


def _step(source: object, pointer: str, depth: int, reader: Reader) -> Step | None:
    reader.enter(pointer, depth)
    members = _members(source, _STEP, "A step", pointer, reader)
    if members is None:
        return None
    absent = members.get("absent", False)
    if not isinstance(absent, bool):
        reader.report("operand_type", f"{pointer}/absent", "absent is true or false.")
    return Step(
        _event(members, pointer, reader), _where(members, pointer, depth, reader), absent is True, pointer
    )


def _members(
    source: object, known: frozenset[str], what: str, pointer: str, reader: Reader
) -> Mapping[str, Any] | None:
    if not isinstance(source, dict):
        reader.report("operand_type", pointer, f"{what} needs an object.")
        return None
    for name in source:
        if name not in known:
            reader.report(
                "unknown_member",
                f"{pointer}/{name}",
                f"{what} has no '{name}'; it has {', '.join(sorted(known))}.",
            )
    return source


def _event(members: Mapping[str, Any], pointer: str, reader: Reader) -> str:
    name = members.get("event")
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or "\0" in name:
        reader.report("operand_type", f"{pointer}/event", "Name the event, or write * for any.")
        return ""
    return name


def _where(members: Mapping[str, Any], pointer: str, depth: int, reader: Reader) -> Condition | None:
    if "where" not in members:
        return None
    return reader.condition(members["where"], f"{pointer}/where", depth + 1)


def _aggregate(
    members: Mapping[str, Any], name: str, pointer: str, depth: int, reader: Reader
) -> tuple[str | None, Value]:
    """Return the property that is summed up, and the test of the result."""
    at_least_one = Operators((Comparison("$gte", Constant(1)),))
    if name not in members:
        return None, at_least_one
    source, place = members[name], f"{pointer}/{name}"
    if not isinstance(source, dict):
        reader.report("operand_type", place, f'{name} needs a test, such as {{"$gt": 2}}.')
        return None, at_least_one
    of = source.get("of")
    rest = {key: value for key, value in source.items() if key != "of"}
    if name == "count":
        if "of" in source:
            reader.report("unknown_member", f"{place}/of", "A count counts events: it has no 'of'.")
    elif not _is_path(of):
        reader.report("operand_type", f"{place}/of", f"{name} needs 'of': properties.NAME.")
    if not rest:
        reader.report("operand_type", place, f'{name} needs a test, such as {{"$gt": 2}}.')
        return None, at_least_one
    return (of if name != "count" else None), reader.value(rest, place, depth + 1)


def _is_path(path: object) -> bool:
    return isinstance(path, str) and path.startswith("properties.") and all(path.split("."))


def _by(members: Mapping[str, Any], pointer: str, reader: Reader) -> str | None:
    by = members.get("by")
    if by is None:
        return None
    if not _is_path(by):
        reader.report("operand_type", f"{pointer}/by", "'by' names a property: properties.NAME.")
    return str(by)


def _within(members: Mapping[str, Any], pointer: str, reader: Reader) -> str | None:
    return SESSION if members.get("within") == SESSION else _duration(members, "within", pointer, reader)


def _duration(members: Mapping[str, Any], name: str, pointer: str, reader: Reader) -> str | None:
    text = members.get(name)
    if text is None:
        return None
    length = duration(text)
    if length is None:
        reader.report(
            "operand_type",
            f"{pointer}/{name}",
            f"{name} is a duration such as PT30M or P7D, without months and years.",
        )
    elif length == 0:
        reader.report("empty_window", f"{pointer}/{name}", f"{name} must be longer than 0.")
    return str(text)
