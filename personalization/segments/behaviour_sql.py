"""What behaviours ask of events, as SQL. PURE text.

In: names, conditions and durations as rules write them. Out: expressions over a row `e` of the events. Only events that
may be used for pages are looked at. The moment is the parameter `now`; the people, where not everybody is asked for, the
parameter `subjects`.
"""

from typing import Any, Final

from cms.language.behaviour.durations import duration
from cms.language.behaviour.events import ANY
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


class Events:
    """Writes what is asked of events of a site; `only_some` restricts them to some people."""

    def __init__(self, parameters: Parameters, *, site_id: int, only_some: bool = False) -> None:
        self.parameters = parameters
        self.site = parameters.add(site_id, "bigint")
        self.people = " AND e.subject_key = ANY(%(subjects)s::uuid[])" if only_some else ""

    def read(self, more: str, *, join: str = "") -> str:
        """Return the FROM clause of the events that may be read and of which `more` is true, with what is joined."""
        return (
            f"FROM personalization_event e{join} WHERE e.site_id = {self.site} AND 'personalization' = ANY(e.purposes)"
            f" AND {_DOORS} AND e.happened_at <= {NOW}{self.people} AND {more}"
        )

    def meant(self, name: str, where: Condition | None) -> str:
        """Return whether an event is the one that is named, with the properties asked for."""
        named = "e.kind = 'track'" if name == ANY else f"e.name = {self.parameters.add(name, 'text')}"
        if where is None or not where.parts:
            return named
        return f"({named} AND {to_sql(_present(where), _Properties(), self.parameters)})"

    def since(self, window: str | None) -> str:
        """Return that an event happened within a window, as a further condition."""
        return f" AND e.happened_at > {NOW} - {self.interval(window)}" if window else ""

    def interval(self, text: str) -> str:
        return f"make_interval(secs => {self.parameters.add((duration(text) or 0) / 1_000_000, 'double precision')})"

    def tested(self, amount: Column, test: Value) -> str:
        """Return the test of an aggregate."""
        return to_sql(Condition((Field("amount", test),)), _Amount(amount), self.parameters)


def property_of(path: str) -> str:
    """Return the expression of a property; its names were checked to be plain."""
    names = path.split(".")[1:]
    if len(names) == 1:
        return "(e.properties -> '" + names[0].replace("'", "''").replace("%", "%%") + "')"
    quoted = ",".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    return "(e.properties #> '{" + quoted.replace("'", "''").replace("%", "%%") + "}')"


def has_type(path: str, *types: str) -> str:
    """Return that a property is there and of one of these types, as a further condition."""
    quoted = ", ".join(f"'{one}'" for one in types)
    return f" AND jsonb_typeof({property_of(path)}) IN ({quoted})"


def spelled(path: str) -> str:
    """Return a text or a number, both of which have one spelling, as text."""
    value = property_of(path)
    return (
        f"(CASE jsonb_typeof({value}) WHEN 'string' THEN {value} #>> '{{}}'"
        f" WHEN 'number' THEN trim_scale(({value} #>> '{{}}')::numeric)::text END)"
    )


def _present(node: Condition) -> Condition:
    """Ask of every property that it is there, beside what else is asked: a test of a missing one is false."""
    return Condition(tuple(_present_part(part) for part in node.parts), node.pointer)


def _present_part(node: Node) -> Any:
    match node:
        case Field(name, Operators(tests)):
            return Field(name, Operators((Comparison("$exists", Constant(True)), *tests)))
        case Negation(part):
            return Negation(_present(part))
        case Junction(operator, parts):
            return Junction(operator, tuple(_present(part) for part in parts))
        case Condition():
            return _present(node)
    raise NotInSql("an equality without an operator converts types")


class _Properties:
    """The properties of an event, as a `where` names them; a test of one that is missing is false."""

    def fact(self, name: str) -> Column:
        return Column(property_of(name), "json")

    def segment(self, key: str) -> str:
        raise NotInSql(key)

    def behaviour(self, node: Did | Sequence) -> str:
        raise NotInSql(node.key)


class _Amount:
    def __init__(self, column: Column) -> None:
        self.column = column

    def fact(self, name: str) -> Column:
        return self.column

    def segment(self, key: str) -> str:
        raise NotInSql(key)

    def behaviour(self, node: Did | Sequence) -> str:
        raise NotInSql(node.key)
