"""Rules compiled once, evaluated per request.

Goes in: a rule, then a mapping of facts (name → value; ``segments`` a mapping key → truth; ``$now`` an aware datetime
in the visitor's zone). Comes out: true, false or unknown (``None``), and when the answer can next change by itself.
Rules: a missing fact is null; a ``WITHHELD`` one makes its operand unknown, whatever the operator; conditions join by
Kleene's tables; evaluating never raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from cms.language import moments
from cms.language.behaviour import Behaviour, compile_behaviour, timeline_at
from cms.language.horizon import Horizon, behaviour_horizon, horizon
from cms.language.kleene import Truth
from cms.language.matchers import Matcher, matcher
from cms.language.membership import compile_membership, members
from cms.language.nodes import (
    SEGMENTS,
    Condition,
    Did,
    Field,
    Junction,
    Negation,
    Node,
    Reads,
    Sequence,
    behaviours,
    fields,
    reads,
)
from cms.language.operators import WITHHELD, Groups

__all__ = ["WITHHELD", "Program", "Truth", "compile_rule"]

Facts: TypeAlias = Mapping[str, Any]
Evaluate: TypeAlias = Callable[[Facts], Truth]
_NO_GROUPS: Final[Groups] = {}


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled rule. ``timed``: time alone can change the truth of one of its operands."""

    node: Node
    reads: Reads
    timed: bool
    evaluate: Evaluate
    horizons: tuple[Horizon, ...]

    @property
    def behaviours(self) -> tuple[Behaviour, ...]:
        """Return what people did, as far as this rule asks, compiled; in a stable order."""
        return tuple(sorted(map(compile_behaviour, self.reads.behaviours), key=lambda one: one.key))

    def valid_until(self, facts: Facts) -> datetime | None:
        """Return the first instant (UTC) when the truth of an operand whose fact is open changes by itself."""
        instants = (until(facts) for until in self.horizons)
        return min((instant for instant in instants if instant is not None), default=None)


def compile_rule(node: Node, groups: Groups | None = None) -> Program:
    """Compile a rule to closures; ``groups`` are the saved lists that ``$inGroup`` names."""
    known = groups or _NO_GROUPS
    untils = [horizon(field, matcher(field.value, known)) for field in fields(node)]
    untils += [behaviour_horizon(compile_behaviour(one)) for one in behaviours(node)]
    horizons = tuple(until for until in untils if until is not None)
    return Program(node, reads(node), bool(horizons), _compile(node, known), horizons)


def _compile(node: Node, groups: Groups) -> Evaluate:
    match node:
        case Condition(parts):
            return _every(tuple(_compile(part, groups) for part in parts))
        case Junction("$and", conditions):
            return _every(tuple(_compile(part, groups) for part in conditions))
        case Junction(operator, conditions):
            some = _some(tuple(_compile(part, groups) for part in conditions))
            return some if operator == "$or" else _opposite(some)
        case Negation(condition):
            return _opposite(_compile(condition, groups))
        case Field():
            return _field(node, groups)
        case Did() | Sequence():
            return _behaviour(compile_behaviour(node))


def _behaviour(behaviour: Behaviour) -> Evaluate:
    key, empty = behaviour.key, behaviour.empty

    def run(facts: Facts) -> Truth:
        timeline = facts.get(key)
        if timeline is WITHHELD:
            return None
        moment = moments.micros(facts)
        return None if moment is None else timeline_at(empty if timeline is None else timeline, moment).truth

    return run


def _field(field: Field, groups: Groups) -> Evaluate:
    if field.name == SEGMENTS:
        inside = compile_membership(field.value)
        return lambda facts: inside(members(facts))
    check = matcher(field.value, groups)
    return _dotted(field.name, check) if "." in field.name else _flat(field.name, check)


def _flat(name: str, check: Matcher) -> Evaluate:
    def run(facts: Facts) -> Truth:
        value = facts.get(name)
        return None if value is WITHHELD else check(value)

    return run


def _dotted(name: str, check: Matcher) -> Evaluate:
    """Read the full name first; only what is not there is looked for along the dots."""

    def run(facts: Facts) -> Truth:
        value = facts.get(name)
        if value is None:
            value = moments.value(facts, name)
        return None if value is WITHHELD else check(value)

    return run


def _every(parts: tuple[Evaluate, ...]) -> Evaluate:
    if len(parts) == 1:
        return parts[0]

    def run(facts: Facts) -> Truth:
        answer: Truth = True
        for part in parts:
            truth = part(facts)
            if truth is False:
                return False
            if truth is None:
                answer = None
        return answer

    return run


def _some(parts: tuple[Evaluate, ...]) -> Evaluate:
    """Join by or; of nothing it is true, as the grammar's own cases say."""
    if len(parts) < 2:
        return parts[0] if parts else lambda facts: True

    def run(facts: Facts) -> Truth:
        answer: Truth = False
        for part in parts:
            truth = part(facts)
            if truth:
                return True
            if truth is None:
                answer = None
        return answer

    return run


def _opposite(part: Evaluate) -> Evaluate:
    def run(facts: Facts) -> Truth:
        truth = part(facts)
        return None if truth is None else not truth

    return run
