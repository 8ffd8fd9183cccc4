"""What people did as SQL, over everybody at once. PURE text.

Plain counts and sums share one pass over the events, each with a filter of its own; a sequence, a running session, and
what is asked "for one and the same" value is a derived table of its own.

In: a behaviour. Out: a query that gives `(subject_key, truth)` for everybody who did something that counts; who is not
in it has the answer of somebody who did nothing. Only events that may be used for pages are looked at. The moment is
the parameter `now`; the people, where not everybody is asked for, the parameter `subjects`.
"""

from collections.abc import Mapping
from typing import Any, Final

from cms.language.behaviour.counting import SESSION_GAP
from cms.language.behaviour.durations import duration
from cms.language.behaviour.events import ANY
from cms.language.behaviour.reading import SESSION
from cms.language.nodes import (
    Comparison,
    Condition,
    Constant,
    Did,
    Field,
    Junction,
    Negation,
    Node,
    Operators,
    Sequence,
    Value,
)
from cms.language.sql import Column, NotInSql, Parameters, to_sql

NOW: Final = "%(now)s::timestamptz"
_DOORS: Final = "e.kind IN ('track', 'page', 'screen')"


class Query:
    """Writes behaviours; `people` is the restriction to some, empty for everybody."""

    def __init__(self, parameters: Parameters, *, site_id: int, only_some: bool = False) -> None:
        self.parameters = parameters
        self.site = parameters.add(site_id, "bigint")
        self.people = " AND e.subject_key = ANY(%(subjects)s::uuid[])" if only_some else ""

    def write(self, node: Did | Sequence) -> str:
        """Return the query of one behaviour."""
        return self._did(node) if isinstance(node, Did) else self._sequence(node)

    def together(self, nodes: Mapping[str, Did]) -> str:
        """Return one query for several plain counts: `subject_key` and a truth by each name."""
        truths, wanted = [], []
        for name, node in nodes.items():
            meant = f"{self._meant(node.event, node.where)}{self._since(node.within)}{self._valued(node)}"
            truths.append(f"{self._test(node, f' FILTER (WHERE {meant})')} AS {name}")
            wanted.append(f"({self._meant(node.event, None)}{self._since(node.within)})")
        some = " OR ".join(dict.fromkeys(wanted))
        return f"SELECT e.subject_key, {', '.join(truths)} {self._events(f'({some})')} GROUP BY e.subject_key"

    def _events(self, more: str) -> str:
        return (
            f"FROM personalization_event e WHERE e.site_id = {self.site} AND 'personalization' = ANY(e.purposes)"
            f" AND {_DOORS} AND e.happened_at <= {NOW}{self.people} AND {more}"
        )

    def _meant(self, name: str, where: Condition | None) -> str:
        named = "e.kind = 'track'" if name == ANY else f"e.name = {self.parameters.add(name, 'text')}"
        if where is None or not where.parts:
            return named
        return f"({named} AND {to_sql(present(where), Properties(), self.parameters)})"

    def _since(self, text: str | None) -> str:
        return f" AND e.happened_at > {NOW} - {self._interval(text)}" if text else ""

    def _interval(self, text: str) -> str:
        return f"make_interval(secs => {self.parameters.add((duration(text) or 0) / 1_000_000, 'double precision')})"

    def _by(self, path: str | None) -> str:
        """Return the value to group by as text: texts and numbers have one."""
        if path is None:
            return "NULL::text"
        value = property_of(path)
        return (
            f"(CASE jsonb_typeof({value}) WHEN 'string' THEN {value} #>> '{{}}'"
            f" WHEN 'number' THEN trim_scale(({value} #>> '{{}}')::numeric)::text END)"
        )

    # -- $did --------------------------------------------------------------------------------------

    def _did(self, node: Did) -> str:
        within = "" if node.within == SESSION else self._since(node.within)
        meant = f"{self._meant(node.event, node.where)}{within}{self._valued(node)}"
        if node.by:
            meant += f" AND {self._by(node.by)} IS NOT NULL"
        source = self._events(meant)
        if node.within == SESSION:
            source = source.replace(
                "FROM personalization_event e",
                f"FROM personalization_event e JOIN ({self._sessions()}) s USING (subject_key)",
            )
            source += " AND e.happened_at >= s.began"
        truth = self._test(node)
        grouped = f"SELECT e.subject_key, {truth} AS truth {source} GROUP BY e.subject_key"
        if not node.by:
            return grouped
        return f"SELECT subject_key, bool_or(truth) AS truth FROM ({grouped}, {self._by(node.by)}) g GROUP BY subject_key"

    def _sessions(self) -> str:
        """Return when the running session of everybody who has one began."""
        gap = f"make_interval(secs => {SESSION_GAP // 1_000_000})"
        return (
            "SELECT subject_key, max(happened_at) FILTER (WHERE before IS NULL OR happened_at - before > "
            f"{gap}) AS began FROM (SELECT e.subject_key, e.happened_at, lag(e.happened_at) OVER"
            f" (PARTITION BY e.subject_key ORDER BY e.happened_at) AS before {self._events('TRUE')}) r"
            f" GROUP BY subject_key HAVING max(happened_at) > {NOW} - {gap}"
        )

    def _valued(self, node: Did) -> str:
        """Leave out the events that say nothing about what is asked."""
        if node.of is None:
            return ""
        kinds = "('number')" if node.aggregate in ("sum", "min", "max") else "('number', 'string', 'boolean')"
        return f" AND jsonb_typeof({property_of(node.of)}) IN {kinds}"

    def _test(self, node: Did, only: str = "") -> str:
        if node.aggregate in ("first", "last"):
            order = (
                "e.happened_at, e.message_id"
                if node.aggregate == "first"
                else "e.happened_at DESC, e.message_id DESC"
            )
            value = f"(array_agg({property_of(str(node.of))} ORDER BY {order}){only})[1]"
            return _tested(Column(value, "json"), node.test, self.parameters)
        amount = f"{self._amount(node)}{only}"
        amount = f"coalesce({amount}, 0)" if node.aggregate == "sum" else f"({amount})"
        return _tested(Column(f"{amount}::double precision", "number"), node.test, self.parameters)

    @staticmethod
    def _amount(node: Did) -> str:
        if node.aggregate == "count":
            return "count(*)"
        value = property_of(str(node.of))
        if node.aggregate == "distinct":
            return f"count(DISTINCT {value})"
        return f"{node.aggregate}(({value})::numeric)"

    # -- $seq --------------------------------------------------------------------------------------

    def _sequence(self, node: Sequence) -> str:
        """Lengthen chains step by step: of those that end in a step, the last one is the best to go on from."""
        steps, never = [], list[list[str]]()
        for step in node.steps:
            meant = self._meant(step.event, step.where)
            if step.absent:
                never[-1].append(meant)
            else:
                steps.append(meant)
                never.append([])
        every = [*steps, *(one for found in never for one in found)]
        # what came before the first step can begin nothing, and stands between no two steps
        source = self._events(f"({' OR '.join(every)}){self._since(node.since)}")
        flags = ", ".join(
            [f"coalesce({meant}, FALSE) AS m{i}" for i, meant in enumerate(steps)]
            + [f"coalesce({' OR '.join(found) or 'FALSE'}, FALSE) AS x{i}" for i, found in enumerate(never)]
        )
        by = self._by(node.by)
        known = f" AND {by} IS NOT NULL" if node.by else ""
        inner = (
            f"SELECT e.subject_key, {by} AS v, e.happened_at AS at, {flags}, row_number() OVER"
            f" (PARTITION BY e.subject_key, {by} ORDER BY e.happened_at, e.message_id) AS o {source}{known}"
        )
        inner = f"SELECT *, CASE WHEN m0 THEN at END AS b0 FROM ({inner}) z"
        for index in range(1, len(steps)):
            inner = self._next(inner, index, node.gap)
        return self._complete(inner, len(steps) - 1, node, bool(never[-1]))

    def _next(self, inner: str, index: int, gap: str | None) -> str:
        last, past = index - 1, "OVER before_"
        chain = f"FILTER (WHERE b{last} IS NOT NULL) {past}"
        looked = (
            f"SELECT *, max(o) {chain} AS co{index}, max(at) {chain} AS ca{index}, max(b{last}) {chain} AS cb{index},"
            f" max(o) FILTER (WHERE x{last}) {past} AS xo{index} FROM ({inner}) z WINDOW before_ AS"
            " (PARTITION BY subject_key, v ORDER BY o ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
        )
        near = f" AND at - ca{index} <= {self._interval(gap)}" if gap else ""
        return (
            f"SELECT *, CASE WHEN m{index} AND co{index} >= coalesce(xo{index}, 0){near} THEN cb{index} END AS b{index}"
            f" FROM ({looked}) z"
        )

    def _complete(self, inner: str, last: int, node: Sequence, ends_absent: bool) -> str:
        tests = [f"b{last} IS NOT NULL"]
        if node.since:
            tests.append(f"b{last} > {NOW} - {self._interval(node.since)}")
        if ends_absent:
            inner = f"SELECT *, max(o) FILTER (WHERE x{last}) OVER (PARTITION BY subject_key, v) AS xl FROM ({inner}) z"
            tests.append("o >= coalesce(xl, 0)")
            if node.gap:
                tests.append(f"at <= {NOW} - {self._interval(node.gap)}")
        return f"SELECT subject_key, bool_or({' AND '.join(tests)}) AS truth FROM ({inner}) z GROUP BY subject_key"


def present(node: Condition) -> Condition:
    """Ask of every property that it is there, beside what else is asked: a test of a missing one is false."""
    return Condition(tuple(_present(part) for part in node.parts), node.pointer)


def _present(node: Node) -> Any:
    match node:
        case Field(name, Operators(tests)):
            return Field(name, Operators((Comparison("$exists", Constant(True)), *tests)))
        case Negation(part):
            return Negation(present(part))
        case Junction(operator, parts):
            return Junction(operator, tuple(present(part) for part in parts))
        case Condition():
            return present(node)
    raise NotInSql("an equality without an operator converts types")


def is_plain(node: Did | Sequence) -> bool:
    """Say whether a behaviour can share the pass over the events with others."""
    return isinstance(node, Did) and node.by is None and node.within != SESSION


def _tested(column: Column, test: Value, parameters: Parameters) -> str:
    """Return the test of an aggregate."""
    return to_sql(Condition((Field("amount", test),)), _Amount(column), parameters)


class _Amount:
    def __init__(self, column: Column) -> None:
        self.column = column

    def fact(self, name: str) -> Column:
        return self.column

    def segment(self, key: str) -> str:
        raise NotInSql(key)

    def behaviour(self, node: Did | Sequence) -> str:
        raise NotInSql(node.key)


class Properties:
    """The properties of an event, as a `where` names them; a test of one that is missing is false."""

    def fact(self, name: str) -> Column:
        return Column(property_of(name), "json")

    def segment(self, key: str) -> str:
        raise NotInSql(key)

    def behaviour(self, node: Did | Sequence) -> str:
        raise NotInSql(node.key)


def property_of(path: str) -> str:
    """Return the expression of a property; its names were checked to be plain."""
    names = path.split(".")[1:]
    if len(names) == 1:
        return "(e.properties -> '" + names[0].replace("'", "''").replace("%", "%%") + "')"
    quoted = ",".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    return "(e.properties #> '{" + quoted.replace("'", "''").replace("%", "%%") + "}')"
