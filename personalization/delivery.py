"""The hot path: load, decide, answer. Warm: no SQL, one Redis read.

In: `Asked`, plain values that a door read from a request. Out: a `Decision`, or None when nothing is published there.
Facts are cut by consent before the decision sees them. Whatever fails on the way ends in a default with a reason;
only a site that was never read cannot answer.
"""

import datetime as dt
import uuid
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cms.paths import normalise
from personalization import facts, visitors
from personalization.assemble import Decision, decide
from personalization.pacing import Pace
from personalization.plan import BoundPlan
from personalization.plans import SiteFacts, negotiate, plan_store, sign
from personalization.visitor import Visitor

Context = Callable[[BoundPlan, SiteFacts], tuple[Mapping[str, Any], dt.datetime]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; `context` returns the context facts that a plan reads, and the visitor's local time."""

    path: str
    locale: str | None
    accepted_languages: str
    visitor_id: uuid.UUID | None
    closed_purposes: frozenset[str]
    context: Context
    now: float


def deliver(asked: Asked) -> Decision | None:
    """Decide what this visitor is shown at this path."""
    record = visitors.load(asked.visitor_id, now=asked.now)
    site = plan_store.site(record.epoch)
    locale = negotiate(site, asked.locale, asked.accepted_languages)
    plan = plan_store.find(site, normalise(asked.path), locale, now=asked.now)
    if plan is None:
        return None
    visitor = record.visitor
    if plan.personal:
        visitor = visitors.up_to_date(record, plan_store.directory(site), now=asked.now)
    pace = visitors.pace(record) if plan.paced else None
    return decide_for(plan, site, narrowed(visitor, asked.closed_purposes), asked, pace)


def decide_for(
    plan: BoundPlan, site: SiteFacts, visitor: Visitor, asked: Asked, pace: Pace | None = None
) -> Decision:
    """Cut the facts by consent and decide."""
    context, local_now = asked.context(plan, site)
    known = facts.cut(
        plan.facts,
        plan.behaviours,
        visitor=visitor,
        context=context,
        now=local_now,
        here=plan.here,
    )
    return decide(plan, known, visitor=visitor, now=asked.now, sign=sign, pace=pace)


def narrowed(visitor: Visitor, closed: frozenset[str]) -> Visitor:
    """Close the purposes that a signal of this request refuses."""
    if not closed:
        return visitor
    return replace(visitor, gates=visitor.gates.without(closed))


def local_time(now: float, zone: str) -> dt.datetime:
    """Return the moment in a time zone; UTC when the name is not one."""
    try:
        return dt.datetime.fromtimestamp(now, zoneinfo.ZoneInfo(zone))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return dt.datetime.fromtimestamp(now, dt.UTC)
