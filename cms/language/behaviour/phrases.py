"""Behaviour in English: short phrases for the people who write and read rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cms.language.behaviour.durations import duration, words
from cms.language.behaviour.events import ANY
from cms.language.behaviour.reading import SESSION
from cms.language.nodes import Comparison, Condition, Constant, Did, Operators, Sequence, Step

NodePhrase = Callable[[Condition], str]
_TIMES: Final = {
    "$gte": "at least {n}",
    "$gt": "more than {n}",
    "$lte": "at most {n}",
    "$lt": "fewer than {n}",
    "$eq": "exactly {n}",
    "$ne": "not {n}",
}
_AGGREGATES: Final = {
    "sum": "the sum of",
    "min": "the least",
    "max": "the greatest",
    "distinct": "the number of different values of",
    "first": "the first",
    "last": "the last",
}


def did_phrase(node: Did, of_condition: NodePhrase, of_value: Callable[[str, Did], str]) -> str:
    """Return a ``$did`` in words."""
    what = _event(node.event) + _where(node.where, of_condition)
    by = f" for one and the same {_name(node.by)}" if node.by else ""
    if node.aggregate == "count":
        return f"{_counted(node, what)}{_within(node.within)}{by}"
    subject = f"{_AGGREGATES[node.aggregate]} {_name(node.of)} of {what}{_within(node.within)}"
    return of_value(subject, node) + by


def _counted(node: Did, what: str) -> str:
    if _is(node, "$gte", 1):
        return f"did {what}"
    if _is(node, "$eq", 0):
        return "did nothing but view pages" if node.event == ANY and node.where is None else f"did not {what}"
    tests = node.test.tests if isinstance(node.test, Operators) else ()
    said = [phrase for phrase in map(_times, tests) if phrase]
    return f"did {what} {' and '.join(said) or 'a number of'} times"


def _is(node: Did, operator: str, number: int) -> bool:
    match node.test:
        case Operators((Comparison(found, Constant(value)),)):
            return found == operator and value == number
    return False


def _times(test: Comparison) -> str | None:
    if test.operator not in _TIMES or not isinstance(test.operand, Constant):
        return None
    return _TIMES[test.operator].format(n=test.operand.value)


def sequence_phrase(node: Sequence, of_condition: NodePhrase) -> str:
    """Return a ``$seq`` in words."""
    steps = ", then ".join(_step(step, of_condition) for step in node.steps)
    gap = f", at most {_length(node.gap)} apart" if node.gap and len(node.steps) > 1 else ""
    last = node.steps[-1]
    if last.absent and node.gap:
        gap = f" for {_length(node.gap)}"
    since = f", within {_length(node.since)}" if node.since else ""
    by = f", all with the same {_name(node.by)}" if node.by else ""
    return f"did {steps}{gap}{since}{by}"


def _step(step: Step, of_condition: NodePhrase) -> str:
    return f"{'not ' if step.absent else ''}{_event(step.event)}{_where(step.where, of_condition)}"


def _event(name: str) -> str:
    return "anything but page views" if name == ANY else f"'{name}'"


def _where(where: Condition | None, of_condition: NodePhrase) -> str:
    return f" (where {of_condition(where)})" if where is not None and where.parts else ""


def _name(path: str | None) -> str:
    return str(path).removeprefix("properties.").replace("_", " ")


def _length(text: str) -> str:
    return words(duration(text) or 0)


def _within(within: str | None) -> str:
    if within is None:
        return ""
    return " in this session" if within == SESSION else f" within {_length(within)}"
