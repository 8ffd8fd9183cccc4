"""Whom a rule would reach that nobody saved yet, and how many people two segments share.

In: a draft of a segment. Out: `Reach`: how many, of how many who allowed what it reads. The draft is decided like a
stored segment, by the same statement over the same people (`segments/sets.py`); nothing is written. It may not take
long: after that, and where only Python can answer, a sample of people is asked, and the answer says "about". What is
told of a count, and what is not, is decided in `small_groups.py`.
"""

import datetime as dt
import hashlib
import hmac
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from django.conf import settings
from django.db import OperationalError, connection, transaction

from cms.language.nodes import Problem
from cms.language.sql import UNKNOWN, NotInSql
from cms.language.vocabulary import CONTEXT
from cms.models import Site
from personalization.directory import CompiledSegment, Directory, in_order, resting
from personalization.folding import gates_of_subjects
from personalization.history import PURPOSE, past
from personalization.models import Profile, Segment
from personalization.profiles import facts_of, micros, snapshots_of
from personalization.scoring import compile_score
from personalization.segments.directory import (
    directory_of,
    effective_rules,
    facts_for_segments,
    own_purposes,
    parents_of,
    segment_problems,
)
from personalization.segments.sets import Statement
from personalization.small_groups import Shown, about, share, told
from personalization.standing import stand
from personalization.stored_rules import compile_stored
from personalization.timelines import timelines_of
from personalization.visitor import Visitor

DRAFT: Final = "$draft"  # no key of a segment
# with the sample that follows, an answer comes within a second
PATIENCE: Final = dt.timedelta(milliseconds=450)
SAMPLE: Final = 3_000
SAMPLE_IN_PYTHON: Final = 1_000
NOTHING: Final = Shown("")


@dataclass(frozen=True, slots=True)
class Reach:
    """How many people, of how many; `contextual` when what the request says decides too, or alone."""

    people: Shown = NOTHING
    base: Shown = NOTHING
    exact: bool = True
    contextual: bool = False
    problems: tuple[Problem, ...] = ()
    took_ms: int = 0

    @property
    def share(self) -> str:
        return share(self.people, self.base)


@dataclass(frozen=True, slots=True)
class _Counted:
    people: int
    base: int
    people_digest: str
    base_digest: str


def reach_of(draft: Segment, *, now: dt.datetime) -> Reach:
    """Return whom an unsaved segment would hold; what is wrong with it is said instead."""
    started = time.perf_counter()
    found = _reach(draft, now)
    return replace(found, took_ms=round((time.perf_counter() - started) * 1000))


def _reach(draft: Segment, now: dt.datetime) -> Reach:
    if draft.kind == Segment.Kind.LIST:
        sentence = "A list holds whoever was put on it; its size is shown with it."
        return Reach(problems=(Problem("not_countable", "", sentence),))
    problems = segment_problems(draft)
    if any(one.severity == "error" for one in problems):
        return Reach(problems=tuple(one for one in problems if one.severity == "error"))
    directory = drafted(draft)
    segment = directory.segments[DRAFT]
    mixed = any(name in CONTEXT for one in directory.segments.values() for name in one.reads)
    if not segment.purposes:
        return Reach(contextual=True, problems=tuple(problems))
    return replace(_counted(draft.site, directory, now), contextual=mixed, problems=tuple(problems))


def drafted(draft: Segment) -> Directory:
    """Return a directory of the draft and of the segments that decide about it, and of nothing else."""
    directory = directory_of(draft.site)
    compiled = _compiled(draft, directory)
    needed = directory.closure(compiled.needs)
    segments = resting({one.key: one for one in needed} | {DRAFT: compiled})
    return replace(directory, segments=segments, order=in_order(segments))


def _compiled(draft: Segment, directory: Directory) -> CompiledSegment:
    rows = list(Segment.objects.filter(site=draft.site).order_by("priority", "position", "pk"))
    by_id = {row.pk: row for row in rows if row.pk != draft.pk}
    rules = effective_rules(draft, by_id)
    compiled = CompiledSegment(
        key=DRAFT,
        title=draft.title,
        kind=draft.kind,
        purposes=frozenset(own_purposes(draft, rules, facts_for_segments(draft.site_id))),
        rules=tuple(compile_stored(rule) for rule in rules),
        attributes={},
        open=True,
        min_size=0,
        size=None,
        score=compile_score(DRAFT, draft.score) if draft.kind == Segment.Kind.SCORE else None,
        tiers=draft.tiers,
        before=_before(draft, rows),
        lies_in=tuple(one.key for one in parents_of(draft, by_id)),
        topic=draft.topic,
    )
    needed = directory.closure(compiled.needs)
    return replace(compiled, purposes=compiled.purposes.union(*(one.purposes for one in needed)))


def _before(draft: Segment, rows: Sequence[Segment]) -> tuple[str, ...]:
    """Return the segments of the draft's tiers that come before it."""
    mine = (draft.priority, draft.position, draft.pk or float("inf"))
    return tuple(
        row.key
        for row in rows
        if draft.tiers and row.tiers == draft.tiers and (row.priority, row.position, row.pk) < mine
    )


def _counted(site: Site, directory: Directory, now: dt.datetime) -> Reach:
    ids = dict(Segment.objects.filter(site=site).values_list("key", "pk"))
    try:
        return _exactly(_in_sql(site, directory, ids, now))
    except NotInSql:
        return _estimated(site, directory, ids, now, in_python=True)
    except OperationalError:  # it would take longer than somebody waits
        return _estimated(site, directory, ids, now, in_python=False)


def _exactly(found: _Counted) -> Reach:
    secret = settings.SECRET_KEY
    base = told(found.base, of=None, digest=found.base_digest, secret=secret)
    people = told(found.people, of=found.base, digest=found.people_digest, secret=secret)
    return Reach(people=people, base=base)


# -- counting everybody ---------------------------------------------------------------------------


class Draft(Statement):
    """Asks after a draft: segments that SQL cannot decide are taken as they stand."""

    def __init__(self, site_id: int, directory: Directory, ids: dict[str, int], **more: Any) -> None:
        super().__init__(site_id, directory, **more)
        self.ids = ids

    def segment(self, key: str) -> str:
        if key in self.truths:
            return self.truths[key]
        known = self.directory.segments.get(key)
        if known is None:
            raise NotInSql(key)
        return _as_it_stands(self.ids[key], known.kind) if known.purposes else UNKNOWN

    def usable(self, segment: CompiledSegment) -> str:
        """Return whether nobody took out of use what the segment rests on."""
        rests_on = self.parameters.add(sorted(segment.rests_on), "varchar[]")
        return f"NOT (p.excluded && {rests_on})"

    def decide(self, segment: CompiledSegment) -> None:
        super().decide(segment)
        self.truths[segment.key] = f"CASE WHEN {self.usable(segment)} THEN {self.truths[segment.key]} END"

    def decide_all(self) -> CompiledSegment:
        """Decide the draft after everything that it needs; raises NotInSql when the draft itself is not for SQL."""
        for segment in self.directory.stored:
            try:
                self.decide(segment)
            except NotInSql:
                if segment.key == DRAFT:
                    raise
        return self.directory.segments[DRAFT]


_COUNT = """
SELECT count(*) FILTER (WHERE inside), count(*) FILTER (WHERE allowed),
       bit_xor(who) FILTER (WHERE inside), bit_xor(who) FILTER (WHERE allowed)
FROM (SELECT {inside} AS inside, {allowed} AS allowed, uuid_hash_extended(p.subject_key, 0) AS who {source}) everybody
"""


def _in_sql(
    site: Site,
    directory: Directory,
    ids: dict[str, int],
    now: dt.datetime,
    subjects: Sequence[uuid.UUID] | None = None,
) -> _Counted:
    """Count in one statement; raises OperationalError when patience ends."""
    statement = Draft(site.pk, directory, ids, only_some=subjects is not None)
    draft = statement.decide_all()
    allowed = f"{statement.granted(draft.purposes)} AND {statement.usable(draft)}"
    inside = f"{statement.inside(draft)} AND {allowed}"
    text = _COUNT.format(inside=inside, allowed=allowed, source=statement.source())
    values: dict[str, Any] = {**statement.parameters.values, "now": now}
    if subjects is not None:
        values["subjects"] = list(subjects)
    people, base, *digests = patiently(text, values)
    return _Counted(people, base, *(str(one) for one in digests))


def patiently(text: str, values: dict[str, Any]) -> tuple[Any, ...]:
    """Return the one row of a statement that may take so long and no longer, and that changes nothing."""
    milliseconds = int(PATIENCE / dt.timedelta(milliseconds=1))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {milliseconds}; SET LOCAL jit = off")
        cursor.execute(text, values)
        found: tuple[Any, ...] = cursor.fetchone()
        transaction.set_rollback(True)  # takes the limit back too, where a transaction was open already
    return found


# -- asking a sample ------------------------------------------------------------------------------


def _estimated(
    site: Site, directory: Directory, ids: dict[str, int], now: dt.datetime, *, in_python: bool
) -> Reach:
    """Ask some people, always the same ones, and say how many that would be of all."""
    total = Profile.objects.filter(site=site).count()
    sample = _some(site, SAMPLE_IN_PYTHON if in_python else SAMPLE)
    try:
        found = (
            _in_python(site, directory, sample, now)
            if in_python
            else _in_sql(site, directory, ids, now, sample)
        )
    except OperationalError:
        problem = Problem(
            "too_slow", "", "This takes longer than a second to count; save it to see its size."
        )
        return Reach(exact=False, problems=(problem,))
    if len(sample) == total:
        return _exactly(found)
    each, secret = total / max(1, len(sample)), settings.SECRET_KEY
    base = found.base * each
    people = about(found.people * each, of=round(base), digest=found.people_digest, secret=secret)
    return Reach(
        people=people, base=about(base, of=total + 50, digest=found.base_digest, secret=secret), exact=False
    )


def _some(site: Site, count: int) -> list[uuid.UUID]:
    """Return the keys of people; keys are random, so that those after any point are a fair sample."""
    point = hmac.new(settings.SECRET_KEY.encode(), b"sample", hashlib.sha256).digest()[:16]
    rows = Profile.objects.filter(site=site).order_by("pk").values_list("pk", flat=True)
    first = list(rows.filter(pk__gte=uuid.UUID(bytes=point))[:count])
    return [*first, *rows.filter(pk__lt=uuid.UUID(bytes=point))[: count - len(first)]]


def _in_python(site: Site, directory: Directory, subjects: Sequence[uuid.UUID], now: dt.datetime) -> _Counted:
    """Decide the draft for some people as the worker does."""
    profiles = list(Profile.objects.filter(pk__in=subjects))
    gates = gates_of_subjects(subjects, now=now)
    history = past(subjects, directory.behaviours, moment=micros(now))
    snapshots = snapshots_of(profiles)
    wanted = directory.segments[DRAFT].purposes
    rests_on = directory.segments[DRAFT].rests_on
    base = [
        one
        for one in profiles
        if one.pk in gates and wanted <= gates[one.pk].granted and rests_on.isdisjoint(one.excluded)
    ]
    inside = []
    for profile in base:
        done = history.get(profile.pk, ()) if PURPOSE in gates[profile.pk].granted else ()
        timelines = timelines_of(directory.behaviours, done, moment=micros(now))
        visitor = Visitor(profile.pk, gates[profile.pk], replace(snapshots[profile.pk], timelines=timelines))
        standing = stand(directory, facts_of(profile), visitor, now=now, time_zone=site.time_zone)
        if DRAFT in standing.segments:
            inside.append(profile)
    return _Counted(len(inside), len(base), _digest(inside), _digest(base))


def _digest(profiles: Sequence[Profile]) -> str:
    combined = 0
    for profile in profiles:
        combined ^= profile.pk.int
    return str(combined)


# -- two segments -----------------------------------------------------------------------------------

_ON_LIST = "EXISTS (SELECT 1 FROM personalization_membership m WHERE m.segment_id = {pk} AND m.subject_key = p.subject_key)"
_OVERLAP = """
SELECT count(*) FILTER (WHERE a), count(*) FILTER (WHERE b), count(*) FILTER (WHERE a AND b),
       bit_xor(who) FILTER (WHERE a AND b)
FROM (SELECT {one} AS a, {other} AS b, uuid_hash_extended(p.subject_key, 0) AS who
      FROM personalization_profile p WHERE p.site_id = %(site)s) everybody
"""


def overlap_of(one: Segment, other: Segment) -> Shown:
    """Return how many people are in both, as stored; what one would leave to the other is not told when it is small."""
    text = _OVERLAP.format(one=_as_it_stands(one.pk, one.kind), other=_as_it_stands(other.pk, other.kind))
    try:
        mine, theirs, both, digest = patiently(text, {"site": one.site_id})
    except OperationalError:
        return Shown("takes longer than a second to count")
    return told(both, of=min(mine, theirs), digest=str(digest), secret=settings.SECRET_KEY)


def _as_it_stands(pk: int, kind: str) -> str:
    """Return whether somebody is in a segment as stored."""
    if kind == Segment.Kind.LIST:
        return _ON_LIST.format(pk=int(pk))
    return f"(p.segments @> ARRAY[{int(pk)}]::bigint[])"
