"""Decide and assemble: which variant each placement shows, why, and the bytes of the answer. PURE.

In: a bound plan, the facts that consent let through, the time. Out: a `Decision` with a reason for every placement,
and from it the JSON body, the context of the HTML page, or the two halves of a split answer (public page, private
values). Rules never raise; whatever goes wrong with one ends in the default with the reason `error`.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from cms.language.evaluate import WITHHELD
from personalization.directory import memberships
from personalization.fragments import join, materialise
from personalization.plan import REASON_BYTES, BoundLayout, BoundPlacement, BoundPlan, BoundVariant
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
    key: str
    problems: tuple[str, ...] = field(default=())

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
        moments = [m for rule in self.plan.timed if (m := rule.valid_until(self.facts))]
        boundary = self.plan.next_boundary(self.now)
        if boundary is not None:
            moments.append(dt.datetime.fromtimestamp(boundary, dt.UTC))
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
) -> Decision:
    """Choose a layout and a variant for every placement; `force` and `segments` are what a preview prescribes."""
    if plan.segments:
        facts["segments"] = memberships(plan.segments, facts, visitor) | dict(segments or {})
    layout = _layout(plan, facts)
    choices = list(plan.defaults)
    for index in range(len(choices)) if force else plan.undecided:
        placement = plan.placements[index]
        choices[index] = _choose(plan, placement, facts, visitor, now, (force or {}).get(placement.key))
    chosen = tuple(choices)
    return Decision(plan, layout, chosen, facts, visitor, now, _key(plan, layout, chosen, sign))


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
        if (variant.starts is not None and now < variant.starts) or (
            variant.ends is not None and now >= variant.ends
        ):
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
    loaded = visitor.snapshot is not None and not withheld
    return "segment_too_small" if loaded and any(not s.open for s in unknown) else "unknown_fact"


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


def _key(plan: BoundPlan, layout: int, choices: tuple[tuple[int, str], ...], sign: Sign) -> str:
    """Return the decision's key: the revision, the chosen variants (36 each), and six characters of a MAC."""
    chosen = "".join([base36(index) for index, _ in choices])
    if len(plan.layouts) > 1:
        chosen = f"{base36(layout)}{chosen}"
    return signed_key(plan, chosen, sign)


def signed_key(plan: BoundPlan, chosen: str, sign: Sign) -> str:
    body = f"{plan.revision}.{chosen}"
    return body + sign(f"{plan.path}\x00{body}")


def body(decision: Decision, trace: Any = None) -> bytes:
    """Return the JSON answer, joined from fragments that were serialised when the plan was bound."""
    plan, facts = decision.plan, decision.facts
    layout = plan.layouts[decision.layout]
    out: list[bytes] = [layout.page_head]
    _slots(layout, plan, decision, out, facts)
    out.append(b'},"decision":')
    out.append(orjson.dumps(decision_answer(decision)))
    if trace is not None:
        out.append(b',"trace":' + orjson.dumps(trace))
    out.append(b"}")
    return b"".join(out)


def _slots(
    layout: BoundLayout, plan: BoundPlan, decision: Decision, out: list[bytes], facts: Mapping[str, Any]
) -> None:
    choices, placements = decision.choices, plan.placements
    for number, (_, spelled, indexes) in enumerate(layout.slots):
        out.append(b"," + spelled + b":[" if number else spelled + b":[")
        first = True
        for index in indexes:
            chosen, reason = choices[index]
            variant = placements[index].variants[chosen]
            if variant.fragment is None:
                continue
            if not first:
                out.append(b",")
            first = False
            out.append(variant.head)
            out.append(REASON_BYTES[reason])
            out.append(b',"fields":')
            join(variant.fragment, facts, out)
        out.append(b"]")


def decision_answer(decision: Decision) -> dict[str, Any]:
    """Return the `decision` of an answer."""
    until = decision.valid_until
    return {
        "key": decision.key,
        "scope": decision.plan.scope,
        "purposes": decision.purposes,
        "valid_until": until.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if until else None,
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
