"""Scores: points per condition and per event, with caps and decay, and thresholds to enter and to leave. PURE.

In: ``{"points": [{"when": RULE, "points": 10}, {"event": "Product Viewed", "where": …, "within": "P30D", "points": 2,
"cap": 20, "decay": "P7D"}], "enter": 50, "leave": 40}``. Out: `Score`, whose value is the fact `scores.KEY`. Points of an
event are halved with every whole period of `decay` (periods count from 1970, so that all points fall at one moment),
and are gone after ten; `cap` bounds what one entry gives. Between entering and leaving lies what keeps people from
flapping. A score that needs something withheld is unknown.
"""

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from hashlib import blake2s
from typing import Any, Final

import orjson

from cms.language import moments
from cms.language.behaviour import Behaviour, Happened, Span, Timeline, timeline_at
from cms.language.behaviour.counting import plain
from cms.language.behaviour.durations import duration
from cms.language.behaviour.events import meant
from cms.language.behaviour.spans import joined
from cms.language.check import check
from cms.language.evaluate import WITHHELD, Program, compile_rule
from cms.language.nodes import Condition, Did, Problem, RuleError
from cms.language.parse import parse
from cms.language.vocabulary import Vocabulary
from personalization.stored_rules import ERROR, compile_stored, judge

HALVINGS: Final = 10
MAX_ENTRIES: Final = 50
_ENTRY: Final = frozenset({"when", "points", "event", "where", "within", "cap", "decay"})


@dataclass(frozen=True)
class Points(Behaviour):
    """An entry that counts events; its timeline holds points where a behaviour's holds truths."""


@dataclass(frozen=True, slots=True)
class _Level:
    """How many points the events of one entry give as time goes on."""

    did: Did
    points: Decimal
    cap: Decimal | None
    window: int | None
    decay: int | None

    def timeline(self, events: Sequence[Happened], moment: int) -> Timeline:
        test = meant(self.did.event, self.did.where)
        at = [event.at for event in events if test(event)]
        edges = sorted(self._edges(at, moment))
        spans = [
            Span(until, self._sum(at, edge))  # type: ignore[arg-type]  # points stand where truths do
            for edge, until in zip(edges, [*edges[1:], None], strict=True)
        ]
        return joined(spans)

    def _edges(self, at: Sequence[int], moment: int) -> Iterator[int]:
        yield moment
        for one in at:
            if one > moment:
                yield one
            if self.window is not None and one + self.window > moment:
                yield one + self.window
        if self.decay is not None and at:
            now = moment // self.decay
            yield from ((now + k) * self.decay for k in range(1, HALVINGS + 1))

    def _sum(self, at: Sequence[int], moment: int) -> int | float:
        low = 0 if self.window is None else bisect_right(at, moment - self.window)
        high = bisect_right(at, moment)
        total = self.points * (high - low) if self.decay is None else self._decayed(at, low, high, moment)
        return plain(total if self.cap is None else min(total, self.cap))

    def _decayed(self, at: Sequence[int], low: int, high: int, moment: int) -> Decimal:
        period, decay, total = moment // int(self.decay or 1), int(self.decay or 1), Decimal(0)
        for k in range(HALVINGS):
            begin = max(low, bisect_right(at, (period - k) * decay - 1))
            total += self.points * (high - begin) / 2**k
            high = max(low, min(high, begin))
        return total


@dataclass(frozen=True)
class Score:
    """A compiled score: conditions with their points, counted events, and the thresholds."""

    key: str
    conditions: tuple[tuple[Program, Decimal], ...]
    behaviours: tuple[Points, ...]
    enter: Decimal
    leave: Decimal

    @property
    def timed(self) -> bool:
        """Time alone may change it."""
        return True

    @cached_property
    def reads(self) -> frozenset[str]:
        return frozenset(name for program, _ in self.conditions for name in program.reads.facts)

    @cached_property
    def segments(self) -> frozenset[str]:
        """The segments that give points."""
        return frozenset(key for program, _ in self.conditions for key in program.reads.segments)

    def value(self, facts: Mapping[str, Any]) -> int | float | None:
        """Return the points; None when something that gives points is withheld."""
        total = Decimal(0)
        for program, points in self.conditions:
            truth = judge(program, facts)
            if truth is None or truth == ERROR:
                return None
            total += points if truth else 0
        for one in self.behaviours:
            level = _level(one, facts)
            if level is None:
                return None
            total += Decimal(str(level.truth))
        return plain(total)

    def entered(self, facts: Mapping[str, Any], *, was_in: bool) -> bool | None:
        """Say whether the points suffice: to enter, or to stay for somebody who was in."""
        points = self.value(facts)
        return None if points is None else points >= (self.leave if was_in else self.enter)

    def valid_until(self, facts: Mapping[str, Any]) -> dt.datetime | None:
        """Return when the points next change while nothing new happens."""
        found = [program.valid_until(facts) for program, _ in self.conditions]
        for one in self.behaviours:
            level = _level(one, facts)
            if level is not None and level.until is not None:
                found.append(moments.EPOCH + dt.timedelta(microseconds=level.until))
        return min((moment for moment in found if moment is not None), default=None)


def _level(one: Points, facts: Mapping[str, Any]) -> Span | None:
    timeline, moment = facts.get(one.key), moments.micros(facts)
    if timeline is WITHHELD or moment is None:
        return None
    return timeline_at(one.empty if timeline is None else timeline, moment)


def compile_score(key: str, stored: Mapping[str, Any]) -> Score:
    """Compile a stored score; what was saved was checked."""
    entries = stored.get("points", ())
    conditions = tuple(
        (compile_stored(entry["when"]), Decimal(str(entry["points"]))) for entry in entries if "when" in entry
    )
    counted = tuple(_points(entry) for entry in entries if "event" in entry)
    enter = Decimal(str(stored.get("enter", 0)))
    return Score(key, conditions, counted, enter, Decimal(str(stored.get("leave", enter))))


def _points(entry: Mapping[str, Any]) -> Points:
    asked = {name: entry[name] for name in ("event", "where", "within") if entry.get(name) is not None}
    (did,) = parse({"$did": asked}).parts
    assert isinstance(did, Did)  # noqa: S101  # what `$did` parses to
    level = _Level(
        did,
        Decimal(str(entry["points"])),
        None if entry.get("cap") is None else Decimal(str(entry["cap"])),
        duration(entry.get("within")),
        duration(entry.get("decay")),
    )
    text = orjson.dumps(dict(entry), option=orjson.OPT_SORT_KEYS)
    key = f"$points:{blake2s(text, digest_size=8).hexdigest()}"
    reach = level.window
    if level.decay is not None:
        reach = min(reach or HALVINGS * level.decay + level.decay, (HALVINGS + 1) * level.decay)
    wants = None if did.event == "*" else frozenset({did.event})
    return Points(key, did, wants, reach, level.timeline((), 0), level)  # type: ignore[arg-type]  # answers as a program does


def score_problems(score: Any, vocabulary: Vocabulary, place: str = "/score") -> list[Problem]:
    """Say what is wrong with a score as written."""
    if not isinstance(score, Mapping) or not isinstance(score.get("points"), list) or not score["points"]:
        return [Problem("required", f"{place}/points", "A score needs at least one entry with points.")]
    if len(score["points"]) > MAX_ENTRIES:
        return [Problem("too_many_nodes", f"{place}/points", f"A score has at most {MAX_ENTRIES} entries.")]
    found: list[Problem] = []
    for index, entry in enumerate(score["points"]):
        found += _entry_problems(entry, f"{place}/points/{index}", vocabulary)
    enter, leave = score.get("enter"), score.get("leave", score.get("enter"))
    if not _is_number(enter):
        found.append(Problem("required", f"{place}/enter", "Say from how many points on somebody is in."))
    elif not _is_number(leave) or leave > enter:
        found.append(
            Problem("wrong_type", f"{place}/leave", "One leaves at as many points as one enters, or fewer.")
        )
    for name in score.keys() - {"points", "enter", "leave"}:
        found.append(Problem("unknown_attribute", f"{place}/{name}", f"A score has no '{name}'."))
    return found


def _entry_problems(entry: Any, place: str, vocabulary: Vocabulary) -> Iterator[Problem]:
    if not isinstance(entry, Mapping):
        yield Problem("wrong_type", place, "An entry is an object with points.")
        return
    for name in entry.keys() - _ENTRY:
        yield Problem("unknown_attribute", f"{place}/{name}", f"An entry has no '{name}'.")
    if not _is_number(entry.get("points")):
        yield Problem("wrong_type", f"{place}/points", "points is a number.")
    if ("when" in entry) == ("event" in entry):
        yield Problem("required", place, "An entry has either a condition (when) or an event.")
    elif "when" in entry:
        yield from _rule_problems(entry["when"], vocabulary, f"{place}/when")
    else:
        yield from _event_problems(entry, vocabulary, place)


def _event_problems(entry: Mapping[str, Any], vocabulary: Vocabulary, place: str) -> Iterator[Problem]:
    asked = {name: entry[name] for name in ("event", "where", "within") if name in entry}
    for problem in _rule_problems({"$did": asked}, vocabulary, ""):
        yield Problem(
            problem.code, place + problem.pointer.removeprefix("/$did"), problem.message, problem.severity
        )
    if "decay" in entry and not duration(entry["decay"]):
        yield Problem("wrong_type", f"{place}/decay", "decay is a duration such as P7D.")
    if "cap" in entry and not _is_number(entry["cap"]):
        yield Problem("wrong_type", f"{place}/cap", "cap is a number.")


def _rule_problems(rule: Any, vocabulary: Vocabulary, place: str) -> Iterator[Problem]:
    try:
        node: Condition = parse(rule)
    except RuleError as error:
        found = error.problems
    else:
        compile_rule(node)
        found = check(node, vocabulary)
    for problem in found:
        yield Problem(problem.code, place + problem.pointer, problem.message, problem.severity)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
