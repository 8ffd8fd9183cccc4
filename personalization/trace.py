"""Explain a decision: per placement every variant in order, its rule's conditions true, false or unknown. PURE.

`explain` walks the same rule over the same facts, so that what is told is what was decided.
"""

from typing import Any, Final

from cms.language.explain import explain
from personalization.assemble import Decision

REPORTED_FROM: Final = 50


def trace_of(decision: Decision) -> list[dict[str, Any]]:
    """Return what led to each placement's variant."""
    traced = []
    for placement, (chosen, reason) in zip(decision.plan.placements, decision.choices, strict=True):
        variants = [
            _variant(variant, decision, index == chosen) for index, variant in enumerate(placement.variants)
        ]
        traced.append(
            {
                "placement": placement.key,
                "slot": placement.slot,
                "variant": placement.variants[chosen].key,
                "reason": reason,
                "variants": variants,
            }
        )
    return traced


def _variant(variant: Any, decision: Decision, chosen: bool) -> dict[str, Any]:
    begun = variant.starts is None or decision.now >= variant.starts
    ended = variant.ends is not None and decision.now >= variant.ends
    return {
        "variant": variant.key,
        "chosen": chosen,
        "in_window": begun and not ended,
        "rule": explain(variant.rule.node, decision.facts).to_json() if variant.rule else None,
        "segments": {
            s.key: {
                "in": (decision.facts.get("segments") or {}).get(s.key),
                "open": s.open,
                "size": shown_size(s.size),
            }
            for s in decision.plan.segments
            if s.key in variant.rule_segments
        },
    }


def shown_size(size: int | None) -> int | None:
    """Return a size that may be told: small groups stay hidden in every report, whatever a segment's own minimum."""
    return size if size is not None and size >= REPORTED_FROM else None
