"""Decide and assemble: which variant each placement shows, why, and the bytes of the answer. PURE.

In: a bound plan, the facts that consent let through, the time. Out: a `Decision` with a reason for every placement,
and from it the JSON body, the context of the HTML page, or the two halves of a split answer (public page, private
values). Rules never raise; whatever goes wrong with one ends in the default with the reason `error`.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from cms.language.evaluate import WITHHELD
from cms.language.moments import EPOCH
from cms.language.vocabulary import Fact
from personalization.directory import CompiledSegment, is_excluded, memberships
from personalization.facts import count_scores
from personalization.fragments import Fragment, Part, materialise, merged
from personalization.pacing import FOR_EVER, Candidate, Pace, capped_until, in_turn, kept, turn_ends
from personalization.plan import MAX_ASSEMBLIES, REASON_BYTES, BoundPlacement, BoundPlan, BoundVariant
from personalization.stored_rules import ERROR, judge
from personalization.visitor import Visitor

Sign = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Decision:
    """What one visitor is shown now: per placement of the plan, the variant's index and the reason."""

    plan: BoundPlan
    layout: int
    choices: tuple[tuple[int, str], ...]
    facts: Mapping[str, Any]
    visitor: Visitor
    now: float
    sign: Sign
    paced_until: int | None = None  # when a cap, an interval or a turn ends, in microseconds

    @property
    def key(self) -> str:
        """Return the decision's key: the revision, the chosen variants (base 36), and six characters of a MAC."""
        chosen = "".join([base36(index) for index, _ in self.choices])
        if len(self.plan.layouts) > 1:
            chosen = f"{base36(self.layout)}{chosen}"
        return signed_key(self.plan, chosen, self.sign)

    def shown(self) -> list[tuple[BoundPlacement, BoundVariant, str]]:
        """Return what the chosen layout shows, slot by slot, without what is hidden."""
        listed = []
        for _, _, indexes in self.plan.layouts[self.layout].slots:
            for index in indexes:
                chosen, reason = self.choices[index]
                placement = self.plan.placements[index]
                if placement.variants[chosen].fragment is not None:
                    listed.append((placement, placement.variants[chosen], reason))
        return listed

    @property
    def purposes(self) -> list[str]:
        """Return the purposes that are granted and were read for this answer."""
        read = self.plan.rule_purposes
        if not self.plan.holes_add_nothing:
            read = read.union(*(variant.hole_purposes for _, variant, _ in self.shown()))
        return sorted(read & self.visitor.gates.granted)

    @property
    def valid_until(self) -> dt.datetime | None:
        """Return the moment when, without anything new, the answer can next change."""
        if not self.plan.timed and not self.plan.boundaries and self.paced_until is None:
            return None
        moments = [m for rule in self.plan.timed if (m := rule.valid_until(self.facts))]
        boundary = self.plan.next_boundary(self.now)
        if boundary is not None:
            moments.append(dt.datetime.fromtimestamp(boundary, dt.UTC))
        if self.paced_until is not None and self.paced_until < FOR_EVER:
            moments.append(EPOCH + dt.timedelta(microseconds=self.paced_until))
        return min(moments, default=None)


def decide(
    plan: BoundPlan,
    facts: dict[str, Any],
    *,
    visitor: Visitor,
    now: float,
    sign: Sign,
    force: Mapping[str, str] | None = None,
    segments: Mapping[str, bool] | None = None,
    pace: Pace | None = None,
) -> Decision:
    """Choose a layout and a variant for every placement; `force` and `segments` are what a preview prescribes."""
    if plan.segments:
        memberships(plan.segments, facts, visitor, segments or {})
        if plan.scores:
            count_scores(facts, plan.scores)
    layout = _layout(plan, facts)
    choices = list(plan.defaults)
    paced = _Paced(plan, facts, visitor, now, pace)
    for index in range(len(choices)) if force else plan.undecided:
        placement = plan.placements[index]
        forced = (force or {}).get(placement.key)
        if placement.paced and forced is None:
            choices[index] = paced.choose(placement)
        else:
            choices[index] = _choose(plan, placement, facts, visitor, now, forced)
    return Decision(plan, layout, tuple(choices), facts, visitor, now, sign, paced.until)


class _Paced:
    """Choose for placements in which it matters what was shown before, or whose turn it is."""

    def __init__(
        self, plan: BoundPlan, facts: Mapping[str, Any], visitor: Visitor, now: float, pace: Pace | None
    ) -> None:
        self.plan, self.facts, self.visitor, self.now = plan, facts, visitor, now
        self.known = pace if "personalization" in visitor.gates.granted else None
        self.moment = round(now * 1_000_000)
        self.until: int | None = None

    def choose(self, placement: BoundPlacement) -> tuple[int, str]:
        """Return the first variant that holds, the one that is kept for a while, or the one whose turn it is."""
        holding: list[Candidate] = []
        obstacle = ""
        for index, variant in enumerate(placement.variants[:-1]):
            hindrance = self._hindrance(variant)
            if hindrance is None:
                holding.append(Candidate(index, variant.key, variant.weight, variant.starts))
                if placement.rotation is None and not placement.steady:
                    break
            elif not holding:
                obstacle = obstacle or hindrance
        if not holding:
            return len(placement.variants) - 1, obstacle or "default"
        return self._of(holding, placement).place, "matched"

    def _hindrance(self, variant: BoundVariant) -> str | None:
        """Say why a variant is not shown; empty when its rule is plainly false, None when nothing hinders it."""
        truth = True if variant.rule is None else judge(variant.rule, self.facts)
        if truth is False:
            return ""
        if not _in_window(variant, self.now):
            return "out_of_window"
        if truth is not True:
            return ERROR if truth is not None else why_unknown(self.plan, variant, self.facts, self.visitor)
        return self._limit(variant)

    def _limit(self, variant: BoundVariant) -> str | None:
        if not variant.limits:
            return None
        if self.known is None:
            return "unknown_fact" if "personalization" in self.visitor.gates.granted else "no_consent"
        ends = [end for limit in variant.limits if (end := capped_until(limit, self.known, self.moment))]
        if not ends:
            return None
        self._sooner(max(ends))
        return "capped"

    def _of(self, holding: list[Candidate], placement: BoundPlacement) -> Candidate:
        shown = self.known.last.get(f"{self.plan.path} {placement.key}") if self.known else None
        interval = placement.interval_of(shown.variant) if shown is not None else None
        if interval is not None and shown is not None:
            same = kept(holding, shown, interval, self.moment)
            if same is not None:
                self._sooner(shown.since + interval)
                return same
        if placement.rotation is None:
            return holding[0]
        self._sooner(turn_ends(placement.rotation, self.moment))
        visitor = self.visitor.id if self.known is not None else None
        return in_turn(holding, placement.rotation, placement=placement.key, visitor=visitor, now=self.moment)

    def _sooner(self, until: int) -> None:
        self.until = until if self.until is None else min(self.until, until)


def _in_window(variant: BoundVariant, now: float) -> bool:
    return not (
        (variant.starts is not None and now < variant.starts)
        or (variant.ends is not None and now >= variant.ends)
    )


def shown_lines(decision: Decision) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return what pacing must remember of an answer: placement, variant, and the counters that grow."""
    if not decision.plan.counted:
        return []
    found = []
    for placement, (index, _) in zip(decision.plan.placements, decision.choices, strict=True):
        if placement.paced:
            variant = placement.variants[index]
            counters = tuple(limit.counter for limit in variant.limits)
            found.append((f"{decision.plan.path} {placement.key}", variant.key, counters))
    return found


def _layout(plan: BoundPlan, facts: Mapping[str, Any]) -> int:
    for index, layout in enumerate(plan.layouts):
        if layout.rule is None or judge(layout.rule, facts) is True:
            return index
    return len(plan.layouts) - 1


def _choose(
    plan: BoundPlan,
    placement: BoundPlacement,
    facts: Mapping[str, Any],
    visitor: Visitor,
    now: float,
    forced: str | None,
) -> tuple[int, str]:
    """Walk the variants in order; return the first that holds, or the default with the first obstacle."""
    obstacle = ""
    last = len(placement.variants) - 1
    for index, variant in enumerate(placement.variants):
        if forced is not None:
            if variant.key == forced:
                return index, "forced"
            continue
        if index == last:
            break
        truth = True if variant.rule is None else judge(variant.rule, facts)
        if truth is False:
            continue
        if not _in_window(variant, now):
            obstacle = obstacle or "out_of_window"
        elif truth is True:
            return index, "matched"
        elif truth is not None:
            obstacle = obstacle or ERROR
        else:
            obstacle = obstacle or why_unknown(plan, variant, facts, visitor)
    return last, obstacle or "default"


def why_unknown(plan: BoundPlan, variant: BoundVariant, facts: Mapping[str, Any], visitor: Visitor) -> str:
    """Say what made a variant's rule unknown: a closed purpose, something not loadable, or a segment too small."""
    granted = visitor.gates.granted
    withheld = [fact for fact in variant.rule_facts if facts.get(fact.name) is WITHHELD]
    inside = facts.get("segments") or {}
    unknown = [s for s in plan.segments if s.key in variant.rule_segments and inside.get(s.key) is None]
    purposes = [fact.purposes for fact in withheld] + [segment.purposes for segment in unknown]
    if not all(one <= granted for one in purposes):
        return "no_consent"
    if visitor.snapshot is not None and visitor.snapshot.excluded and _excluded(withheld, unknown, visitor):
        return "no_consent"
    loaded = visitor.snapshot is not None and not withheld
    return "segment_too_small" if loaded and any(not s.open for s in unknown) else "unknown_fact"


def _excluded(withheld: list[Fact], unknown: list[CompiledSegment], visitor: Visitor) -> bool:
    """Say whether the person took out of use what is unknown."""
    excluded = visitor.snapshot.excluded if visitor.snapshot is not None else frozenset()
    return any(fact.name in excluded for fact in withheld) or any(
        is_excluded(one, visitor) for one in unknown
    )


_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def base36(number: int) -> str:
    if number < 36:
        return _DIGITS[number]
    digits = ""
    while True:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
        if not number:
            return digits


def signed_key(plan: BoundPlan, chosen: str, sign: Sign) -> str:
    body = f"{plan.revision}.{chosen}"
    return body + sign(f"{plan.path}\x00{body}")


def body(decision: Decision, trace: Any = None) -> bytes:
    """Return the JSON answer, joined from fragments that were serialised when the plan was bound."""
    facts = decision.facts
    out = [part if part.__class__ is bytes else part.json(facts) for part in _assembly(decision)]  # type: ignore[union-attr]  # a hole
    out.append(_valid_until(decision))
    out.append(b',"experiments":[]}')
    if trace is not None:
        out.append(b',"trace":' + orjson.dumps(trace))
    out.append(b"}")
    return b"".join(out)


def _assembly(decision: Decision) -> Fragment:
    """Return the page up to the date of its decision, as bytes and holes; made once per choice and consent."""
    known = decision.plan.assemblies
    choice = (decision.layout, decision.choices, decision.visitor.gates.granted)
    assembled = known.get(choice)
    if assembled is None:
        if len(known) >= MAX_ASSEMBLIES:
            known.clear()
        assembled = known[choice] = _assemble(decision)
    return assembled


def _assemble(decision: Decision) -> Fragment:
    plan = decision.plan
    layout = plan.layouts[decision.layout]
    parts: list[Part] = [layout.page_head]
    for number, (_, spelled, indexes) in enumerate(layout.slots):
        parts.append((b"," if number else b"") + spelled + b":[")
        parts += _placed(plan, decision, indexes)
        parts.append(b"]")
    answer = orjson.dumps(decision_answer(decision))
    parts.append(b'},"decision":' + answer.partition(b'"valid_until":')[0] + b'"valid_until":')
    return merged(parts)


def _placed(plan: BoundPlan, decision: Decision, indexes: tuple[int, ...]) -> list[Part]:
    """Return what one slot shows, without what is hidden."""
    parts: list[Part] = []
    for index in indexes:
        chosen, reason = decision.choices[index]
        variant = plan.placements[index].variants[chosen]
        if variant.fragment is not None:
            lead = (b"," if parts else b"") + variant.head + REASON_BYTES[reason] + b',"fields":'
            parts += [lead, *variant.fragment]
    return parts


def _valid_until(decision: Decision) -> bytes:
    until = decision.valid_until
    return orjson.dumps(_spelled(until)) if until else b"null"


def _spelled(until: dt.datetime) -> str:
    return until.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def decision_answer(decision: Decision) -> dict[str, Any]:
    """Return the `decision` of an answer."""
    until = decision.valid_until
    return {
        "key": decision.key,
        "scope": decision.plan.scope,
        "purposes": decision.purposes,
        "valid_until": _spelled(until) if until else None,
        "experiments": [],
    }


def page_values(decision: Decision) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Return the page and its slots as plain values for rendering: `{slot: [{"block", "type", "variant", "fields"}]}`."""
    plan = decision.plan
    layout = plan.layouts[decision.layout]
    slots: dict[str, list[dict[str, Any]]] = {}
    for key, _, indexes in layout.slots:
        slots[key] = []
        for index in indexes:
            chosen, reason = decision.choices[index]
            placement = plan.placements[index]
            variant = placement.variants[chosen]
            if variant.block is None:
                continue
            fields = materialise(variant.block["fields"], decision.facts, variant.writer, markup=True)
            slots[key].append(
                {
                    "placement": placement.key,
                    "type": variant.block["type"],
                    "block": variant.block["block"],
                    "variant": variant.key,
                    "reason": reason,
                    "fields": fields,
                }
            )
    page = orjson.loads(layout.page_head.removeprefix(b'{"page":').removesuffix(b',"slots":{'))
    return page, slots
