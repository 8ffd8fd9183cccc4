"""``$seq`` as SQL, over everybody at once. PURE text.

In: sequences that can share one reading of the events, by the names of their columns. Out: a query that gives
`subject_key` and the truth of each. Everybody's events stand in order once; each step adds columns to them, of which
the last chain before an event is the best to go on from, because it also began last. Sequences that differ only in how
far back they may begin are one course with several tests.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from cms.language.nodes import Sequence, Step
from personalization.segments.behaviour_sql import NOW, Events, has_type, spelled

_BEFORE: Final = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"


@dataclass(slots=True)
class _Course:
    """Steps that somebody may have gone, as columns: `m` of a step, `x` of what must not follow it, `b` where a chain began."""

    number: int
    gap: str | None
    steps: list[Step] = field(default_factory=list)
    never: list[list[Step]] = field(default_factory=list)  # after each step
    tests: dict[str, str | None] = field(default_factory=dict)  # column → since when a chain may have begun

    def column(self, kind: str, step: int) -> str:
        return f"{kind}{self.number}_{step}"

    @property
    def last(self) -> int:
        return len(self.steps) - 1


def following(events: Events, sequences: Mapping[str, Sequence]) -> str:
    """Return one query for sequences of the same `by`."""
    (by,) = {one.by for one in sequences.values()}
    courses = _courses(sequences)
    apart = "subject_key, v" if by else "subject_key"
    rows = _in_order(events, sequences.values(), courses, by)
    for step in range(1, max(len(course.steps) for course in courses)):
        rows = _lengthened(events, rows, [course for course in courses if step <= course.last], step, apart)
    ends = [
        f"max(o) FILTER (WHERE {course.column('x', course.last)}) OVER (PARTITION BY {apart}) AS {course.column('e', course.last)}"
        for course in courses
        if course.never[-1]
    ]
    if ends:
        rows = f"SELECT *, {', '.join(ends)} FROM ({rows}) z"
    truths = ", ".join(truth for course in courses for truth in _truths(events, course))
    return f"SELECT subject_key, {truths} FROM ({rows}) z GROUP BY subject_key"


def course_of(node: Sequence) -> tuple[object, ...]:
    """Return what makes sequences one course: their steps and their gap."""
    return tuple((step.event, step.where, step.absent) for step in node.steps), node.gap


def _courses(sequences: Mapping[str, Sequence]) -> list[_Course]:
    found: dict[tuple[object, ...], _Course] = {}
    for name, one in sequences.items():
        course = found.get(course_of(one))
        if course is None:
            course = found[course_of(one)] = _Course(len(found), one.gap)
            for step in one.steps:
                if step.absent:
                    course.never[-1].append(step)
                else:
                    course.steps.append(step)
                    course.never.append([])
        course.tests[name] = one.since
    return list(found.values())


def _in_order(
    events: Events, sequences: Iterable[Sequence], courses: Iterable[_Course], by: str | None
) -> str:
    """Return everybody's events that any of them asks for, in order, with what each of them is."""
    wanted = (
        # what came before the first step can begin nothing, and stands between no two steps
        f"(({' OR '.join(dict.fromkeys(events.meant(step.event, step.where) for step in one.steps))}){events.since(one.since)})"
        for one in sequences
    )
    source = events.read(f"({' OR '.join(dict.fromkeys(wanted))})")
    if by:
        source += has_type(by, "string", "number")
    value = f"{spelled(by)} AS v, " if by else ""
    flags = [flag for course in courses for flag in _flags(events, course)]
    order = (
        f"PARTITION BY e.subject_key{', ' + spelled(by) if by else ''} ORDER BY e.happened_at, e.message_id"
    )
    rows = (
        f"SELECT e.subject_key, {value}e.happened_at AS at, e.message_id AS mid, {', '.join(flags)},"
        f" row_number() OVER ({order}) AS o {source}"
    )
    began = ", ".join(
        f"CASE WHEN {course.column('m', 0)} THEN at END AS {course.column('b', 0)}" for course in courses
    )
    return f"SELECT *, {began} FROM ({rows}) z"


def _flags(events: Events, course: _Course) -> Iterator[str]:
    for index, (step, never) in enumerate(zip(course.steps, course.never, strict=True)):
        yield f"coalesce({events.meant(step.event, step.where)}, FALSE) AS {course.column('m', index)}"
        if never:
            any_of = " OR ".join(events.meant(one.event, one.where) for one in never)
            yield f"coalesce({any_of}, FALSE) AS {course.column('x', index)}"


def _lengthened(events: Events, rows: str, courses: Iterable[_Course], step: int, apart: str) -> str:
    """Let the chains that end in one step go on to the next."""
    looked, longer = [], []
    for course in courses:
        before, last = course.column("b", step - 1), f"OVER before_ AS {{}}{course.number}_{step}"
        chain = f"FILTER (WHERE {before} IS NOT NULL) {last}"
        looked += [f"max({before}) {last.format('cb')}", f"max(o) {chain.format('co')}"]
        goes_on = [course.column("m", step)]
        if course.never[step - 1]:
            looked.append(f"max(o) FILTER (WHERE {course.column('x', step - 1)}) {last.format('xo')}")
            goes_on.append(f"{course.column('co', step)} >= coalesce({course.column('xo', step)}, 0)")
        if course.gap:
            looked.append(f"max(at) {chain.format('ca')}")
            goes_on.append(f"at - {course.column('ca', step)} <= {events.interval(course.gap)}")
        longer.append(
            f"CASE WHEN {' AND '.join(goes_on)} THEN {course.column('cb', step)} END AS {course.column('b', step)}"
        )
    window = f"WINDOW before_ AS (PARTITION BY {apart} ORDER BY at, mid {_BEFORE})"
    return f"SELECT *, {', '.join(longer)} FROM (SELECT *, {', '.join(looked)} FROM ({rows}) z {window}) z"


def _truths(events: Events, course: _Course) -> Iterator[str]:
    began = course.column("b", course.last)
    waited = []
    if course.never[-1]:
        waited.append(f"o >= coalesce({course.column('e', course.last)}, 0)")
        if course.gap:
            waited.append(f"at <= {NOW} - {events.interval(course.gap)}")
    for name, since in course.tests.items():
        tests = [f"{began} > {NOW} - {events.interval(since)}" if since else f"{began} IS NOT NULL", *waited]
        yield f"coalesce(bool_or({' AND '.join(tests)}), FALSE) AS {name}"
