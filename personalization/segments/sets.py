"""All stored segments over everybody in one statement, which writes only what differs.

In: a site. Out: `Found`: who entered and left by segment, and every size, from the same pass. Consent comes first: a
segment that reads what somebody does not allow does not hold them. What only Python can answer (patterns, scores, and
what needs such a segment) is left as it stands, and so is whoever took something out of use; `refresh` looks at them
apart.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connection

from cms.language.nodes import Did
from cms.language.nodes import Sequence as SequenceNode
from cms.language.sql import UNKNOWN, Column, NotInSql, Parameters, to_sql
from cms.language.vocabulary import CONTEXT, DAYS_AGO
from cms.models import Site
from consent.purposes import closing_of
from personalization.directory import CompiledSegment, Directory
from personalization.segments.behaviour_sql import NOW, Events
from personalization.segments.passes import Passes

_COLUMNS: Final = {
    "features.orders": Column("p.orders::double precision", "number"),
    "features.revenue": Column("p.revenue::double precision", "number"),
    "features.first_order_at": Column("date_trunc('second', p.first_order_at)", "moment"),
    "features.last_order_at": Column("date_trunc('second', p.last_order_at)", "moment"),
}
_ZERO: Final = frozenset({"features.sessions"})  # of somebody who did nothing it is 0, not absent


@dataclass(slots=True)
class Found:
    """What a pass found, by segment id."""

    profiles: int = 0
    sizes: dict[int, int] = field(default_factory=dict)
    entered: dict[int, int] = field(default_factory=dict)
    left: dict[int, int] = field(default_factory=dict)


class Statement:
    """Writes rules over profiles as expressions, each fact, purpose and behaviour worked out once per profile."""

    def __init__(self, site_id: int, directory: Directory, *, only_some: bool = False) -> None:
        self.directory = directory
        self.parameters = Parameters()
        self.site_id = site_id
        self.only_some = only_some
        self.behaviours = Passes(Events(self.parameters, site_id=site_id, only_some=only_some))
        self.facts: dict[str, Column] = {}
        self.expressions: dict[str, str] = {}  # where a fact stands → how it is worked out
        self.purposes: dict[str, str] = {}
        self.needed = {key for segment in directory.stored for key in segment.needs}
        self.truths: dict[str, str] = {}  # segment key → its expression
        self.levels: list[str] = []

    # -- what a rule may name ------------------------------------------------------------------------

    def fact(self, name: str) -> Column:
        if name in CONTEXT:
            return Column(UNKNOWN, "unknown")
        if name.endswith(DAYS_AGO):
            return self._days_ago(name)
        known = self.facts.get(name)
        if known is None:
            stored = self._stored(name)
            known = self.facts[name] = Column(f"f.f{len(self.facts)}", stored.kind)
            self.expressions[known.text] = stored.text
        return known

    def _stored(self, name: str) -> Column:
        if name in _COLUMNS:
            return _COLUMNS[name]
        fact = self.directory.vocabulary.find(name)
        if fact is None or fact.identifying or name.startswith(("scores.", "here.", "segment.")):
            raise NotInSql(name)
        place = "p.traits"
        key = name
        if name.startswith("features."):
            place, key = "(p.features -> 'facts')", name.removeprefix("features.")
        quoted = "'" + key.replace("'", "''").replace("%", "%%") + "'"
        if fact.type == "number":
            text = f"(CASE WHEN jsonb_typeof({place} -> {quoted}) = 'number' THEN ({place} -> {quoted})::double precision END)"
            return Column(f"coalesce({text}, 0)" if name in _ZERO else text, "number")
        if fact.type == "boolean":
            return Column(
                f"(CASE WHEN jsonb_typeof({place} -> {quoted}) = 'boolean' THEN ({place} -> {quoted})::boolean END)",
                "boolean",
            )
        if fact.type == "list":
            return Column(
                f"(CASE WHEN jsonb_typeof({place} -> {quoted}) = 'array' THEN {place} -> {quoted} END)",
                "list",
            )
        return Column(f"({place} ->> {quoted})", "date" if fact.type == "date" else "text")

    def _days_ago(self, name: str) -> Column:
        moment = self.fact(name.removesuffix(DAYS_AGO))
        if moment.kind not in ("date", "moment"):
            raise NotInSql(name)
        text = f"floor(extract(epoch FROM {NOW} - {moment.text}::timestamptz) / 86400)::double precision"
        return Column(text, "number")

    def segment(self, key: str) -> str:
        """Return the truth about a segment that was decided before."""
        if key not in self.truths:
            raise NotInSql(key)
        return self.truths[key]

    def behaviour(self, node: Did | SequenceNode) -> str:
        return self.behaviours.truth(node)

    def purpose(self, key: str) -> str:
        """Return whether a purpose is granted: decided so, not expired, not refused by a kept signal."""
        known = self.purposes.get(key)
        if known is None:
            known = self.purposes[key] = f"g.g{len(self.purposes)}"
        return known

    def granted(self, purposes: frozenset[str]) -> str:
        return " AND ".join(self.purpose(one) for one in sorted(purposes)) or "TRUE"

    # -- the statement -----------------------------------------------------------------------------------

    def decide(self, segment: CompiledSegment) -> None:
        """Add a segment whose needs were added before; raises NotInSql when only Python can answer it."""
        if segment.score is not None:
            raise NotInSql(segment.key)
        rules = [to_sql(rule.node, self, self.parameters) for rule in segment.rules]
        rules += [f"(NOT {self.segment(key)})" for key in segment.before]
        truth = f"CASE WHEN {self.granted(segment.purposes)} THEN {' AND '.join(rules) or 'TRUE'} END"
        if segment.key in self.needed:  # worked out once, for all that ask
            self.levels.append(f"SELECT {truth} AS truth")
            truth = f"l{len(self.levels)}.truth"
        self.truths[segment.key] = truth

    def inside(self, segment: CompiledSegment) -> str:
        """Return who is in a segment: for whom it holds, or, where context decides, may hold."""
        truth = self.truths[segment.key]
        mixed = any(name in CONTEXT for one in self.directory.closure([segment.key]) for name in one.reads)
        return f"coalesce({truth}, {self.granted(segment.purposes) if mixed else 'FALSE'})"

    def source(self) -> str:
        """Return the FROM clause: profiles, their facts, what they allow and did, and the segments decided so far."""
        facts = ", ".join(f"{text} AS {name.removeprefix('f.')}" for name, text in self.expressions.items())
        parts = ["personalization_profile p"]
        parts += [
            f"LEFT JOIN ({query}) {name} ON {name}.subject_key = p.subject_key"
            for name, query in self.behaviours.tables()
        ]
        parts.append("LEFT JOIN consent_consentstate c ON c.subject_id = p.subject_key")
        if facts:
            parts.append(f"CROSS JOIN LATERAL (SELECT {facts} OFFSET 0) f")
        if self.purposes:
            parts.append(f"CROSS JOIN LATERAL (SELECT {self._gates()} OFFSET 0) g")
        parts += [
            f"CROSS JOIN LATERAL ({level} OFFSET 0) l{number}" for number, level in enumerate(self.levels, 1)
        ]
        some = " AND p.subject_key = ANY(%(subjects)s::uuid[])" if self.only_some else ""
        return f"FROM {' '.join(parts)} WHERE p.site_id = {self.parameters.add(self.site_id, 'bigint')}{some}"

    def _gates(self) -> str:
        closing = closing_of(self.site_id)
        found = []
        for key, name in self.purposes.items():
            quoted = self.parameters.add(key, "text")
            open_ = (
                f"c.state ->> {quoted} = 'granted'"
                f" AND coalesce((c.expires ->> {quoted})::double precision > extract(epoch FROM {NOW}), TRUE)"
                f" AND coalesce(c.paused_until <= {NOW}, TRUE)"
            )
            if key in closing.by_gpc:
                open_ += " AND NOT c.gpc"
            if key in closing.for_all:
                open_ = "FALSE"
            found.append(f"coalesce({open_}, FALSE) AS {name.removeprefix('g.')}")
        return ", ".join(found)


def in_sql(site: Site, directory: Directory) -> tuple[Statement, list[CompiledSegment]]:
    """Return a statement with every stored segment that SQL can answer, and these segments."""
    statement, done = Statement(site.pk, directory), []
    for segment in directory.stored:
        try:
            statement.decide(segment)
        except NotInSql:
            continue
        done.append(segment)
    return statement, done


_RECONCILE = """
WITH now_in AS MATERIALIZED (
  SELECT p.subject_key, p.version, p.segments AS before, {after} AS after {source}
), changed AS (
  UPDATE personalization_profile p SET segments = n.after
  FROM now_in n WHERE n.subject_key = p.subject_key AND n.after <> n.before
  AND p.version = n.version  -- nothing is derived from what was folded or erased meanwhile
  RETURNING p.subject_key, n.before, n.after
), skipped AS (
  INSERT INTO personalization_touched (site_id, subject_key, at)
  SELECT {site}, n.subject_key, {now} FROM now_in n
  WHERE n.after <> n.before AND NOT EXISTS (SELECT FROM changed c WHERE c.subject_key = n.subject_key)
), logged AS (
  INSERT INTO personalization_segmentchange (site_id, segment_id, subject_key, entered, at, cause, event)
  SELECT {site}, d.s, c.subject_key, d.entered, {now}, 'set', ''
  FROM changed c CROSS JOIN LATERAL (
    SELECT unnest(c.after) AS s, TRUE AS entered EXCEPT SELECT unnest(c.before), TRUE
    UNION ALL (SELECT unnest(c.before), FALSE EXCEPT SELECT unnest(c.after), FALSE)
  ) d WHERE d.s = ANY(%(told)s::bigint[])
), differences AS (
  SELECT d.s, count(*) FILTER (WHERE d.entered) AS entered, count(*) FILTER (WHERE NOT d.entered) AS left_
  FROM changed c CROSS JOIN LATERAL (
    SELECT unnest(c.after) AS s, TRUE AS entered EXCEPT SELECT unnest(c.before), TRUE
    UNION ALL (SELECT unnest(c.before), FALSE EXCEPT SELECT unnest(c.after), FALSE)
  ) d GROUP BY d.s
)
SELECT s, 0, entered, left_ FROM differences
UNION ALL SELECT s, count(*), 0, 0 FROM now_in CROSS JOIN LATERAL unnest(after) s GROUP BY s
UNION ALL SELECT 0, count(*), 0, 0 FROM now_in
"""


def reconcile(
    site: Site, directory: Directory, ids: Mapping[str, int], *, told: Sequence[int], now: dt.datetime
) -> tuple[Found, list[CompiledSegment]]:
    """Bring the memberships of everybody up to date; `told` are the segments whose changes are news.

    Returns what was found, and the segments that only Python can answer.
    """
    statement, done = in_sql(site, directory)
    left_over = [segment for segment in directory.stored if segment not in done]
    if not done:
        return Found(), left_over
    ordered = sorted(done, key=lambda segment: ids[segment.key])
    sql = _text(statement, ordered, ids)
    values: dict[str, Any] = {
        **statement.parameters.values,
        "now": now,
        "told": list(told),
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return _found(cursor.fetchall()), left_over


def _text(statement: Statement, ordered: Sequence[CompiledSegment], ids: Mapping[str, int]) -> str:
    inside = [(ids[segment.key], statement.inside(segment)) for segment in ordered]
    mine = ", ".join(str(pk) for pk, _ in inside)
    named = ", ".join(f"CASE WHEN {truth} THEN {pk}::bigint END" for pk, truth in inside)
    computed = f"array_remove(ARRAY[{named}], NULL)"
    # what is not decided here stays as it is; both halves are put in order together
    kept = (
        f"CASE WHEN p.segments <@ ARRAY[{mine}]::bigint[] THEN {computed} ELSE ARRAY(SELECT s FROM unnest("
        f"{computed} || ARRAY(SELECT o FROM unnest(p.segments) o WHERE o <> ALL(ARRAY[{mine}]::bigint[]))) s ORDER BY s) END"
    )
    return _RECONCILE.format(
        after=f"CASE WHEN p.excluded = '{{}}' THEN {kept} ELSE p.segments END",
        source=statement.source(),
        site=statement.parameters.add(statement.site_id, "bigint"),
        now=NOW,
    )


def _found(rows: Sequence[tuple[int, int, int, int]]) -> Found:
    found = Found()
    for segment, size, entered, left in rows:
        if segment == 0:
            found.profiles = size
        elif entered or left:
            found.entered[segment], found.left[segment] = entered, left
        else:
            found.sizes[segment] = size
    return found


def answers(
    site: Site,
    directory: Directory,
    segments: Sequence[CompiledSegment],
    subjects: Sequence[uuid.UUID],
    *,
    now: dt.datetime,
) -> dict[uuid.UUID, dict[str, bool | None]]:
    """Return what SQL says about these people and segments; None is unknown. Writes nothing."""
    statement = Statement(site.pk, directory, only_some=True)
    for segment in segments:
        statement.decide(segment)
    named = ", ".join(statement.truths[segment.key] for segment in segments)
    values: dict[str, Any] = {"now": now, "subjects": list(subjects)}
    with connection.cursor() as cursor:
        source = statement.source()
        cursor.execute(
            f"SELECT p.subject_key, {named} {source}", {**statement.parameters.values, **values}
        )  # compiled
        return {
            row[0]: dict(zip((segment.key for segment in segments), row[1:], strict=True))
            for row in cursor.fetchall()
        }
