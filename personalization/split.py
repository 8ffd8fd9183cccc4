"""The split answer: a public page without any value of a profile, and the values, privately. PURE.

`public_body` shows the chosen variants with `{"$value": POINTER, "default": …}` in place of every field that needs a
request; `values` gives the finished fields under the same pointers. A decision key names the choice alone.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from cms.language.text import parse_text
from personalization.assemble import Decision, decision_answer, signed_key
from personalization.fragments import RichText, Writer, materialise, missing, resolve
from personalization.plan import BoundPlan

Sign = Any
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class WrongKey(Exception):
    """A decision key that names no choice of this plan."""


def choices_of(plan: BoundPlan, key: str, *, sign: Sign, now: float) -> tuple[int, tuple[int, ...]]:
    """Return the layout and the variants that a key names; raises WrongKey."""
    revision, _, rest = key.partition(".")
    chosen = rest[:-6]
    if revision != str(plan.revision) or signed_key(plan, chosen, sign) != key:
        raise WrongKey
    digits = [_DIGITS.index(character) for character in chosen]
    layout = digits.pop(0) if len(plan.layouts) > 1 else 0
    if len(digits) != len(plan.placements) or layout >= len(plan.layouts):
        raise WrongKey
    for placement, index in zip(plan.placements, digits, strict=True):
        if index >= len(placement.variants):
            raise WrongKey
        variant = placement.variants[index]
        if (variant.starts is not None and now < variant.starts) or (
            variant.ends is not None and now >= variant.ends
        ):
            raise WrongKey
    return layout, tuple(digits)


def public_body(plan: BoundPlan, layout: int, chosen: tuple[int, ...], key: str) -> bytes:
    """Return the page of a key: the same bytes for everybody who has it."""
    page = orjson.loads(plan.layouts[layout].page_head.removeprefix(b'{"page":').removesuffix(b',"slots":{'))
    slots: dict[str, list[dict[str, Any]]] = {}
    for slot, index, variant in _shown(plan, layout, chosen):
        pointer = f"/slots/{slot}/{index}/fields"
        fields = {
            k: _public(v, variant.writer, f"{pointer}/{k}")
            for k, v in (variant.block or {})["fields"].items()
        }
        block = variant.block or {}
        item = {
            "placement": variant.placement,
            "type": block["type"],
            "block": block["block"],
            "variant": variant.key,
        }
        slots.setdefault(slot, []).append(
            {**item, "reason": "matched" if not variant.last else "default", "fields": fields}
        )
    slots = {slot: slots.get(slot, []) for slot, _, _ in plan.layouts[layout].slots}
    decision: dict[str, Any] = {
        "key": key,
        "scope": "public-permutation",
        "purposes": [],
        "valid_until": None,
        "experiments": [],
    }
    return orjson.dumps({"page": page, "slots": slots, "decision": decision})


class _Shown:
    def __init__(self, placement: str, variant: Any, last: bool) -> None:
        self.placement, self.key, self.block, self.writer, self.last = (
            placement, variant.key, variant.block, variant.writer, last,
        )  # fmt: skip


def _shown(plan: BoundPlan, layout: int, chosen: tuple[int, ...]) -> list[tuple[str, int, _Shown]]:
    listed = []
    for slot, _, indexes in plan.layouts[layout].slots:
        position = 0
        for index in indexes:
            placement = plan.placements[index]
            variant = placement.variants[chosen[index]]
            if variant.block is None:
                continue
            listed.append(
                (slot, position, _Shown(placement.key, variant, chosen[index] == len(placement.variants) - 1))
            )
            position += 1
    return listed


def dynamic(value: Any) -> bool:
    """Say whether a VALUE itself, not one nested in it, is filled per request."""
    if not isinstance(value, Mapping):
        return False
    if "$text" in value:
        return True
    if "$rich" in value:
        return not parse_text(value["$rich"], rich=True).static
    return "href" in value and isinstance(value.get("label"), Mapping)


def _public(value: Any, writer: Writer, pointer: str) -> Any:
    if isinstance(value, RichText):
        return value
    if dynamic(value):
        return {"$value": pointer, "default": materialise(value, {}, writer, markup=False)}
    if isinstance(value, list):
        kept = [v for v in value if not missing(v, writer.scene.items)]
        return [_public(v, writer, f"{pointer}/{i}") for i, v in enumerate(kept)]
    if isinstance(value, Mapping):
        if "$rich" in value:
            return materialise(value, {}, writer, markup=False)
        whole = resolve(value, writer.scene.items) if "$item" in value else value
        return {k: _public(v, writer, f"{pointer}/{k}") for k, v in whole.items()}
    return value


def private_answer(decision: Decision) -> dict[str, Any]:
    """Return `{"decision", "values"}`: the finished fields under the pointers of the public page."""
    chosen = tuple(index for index, _ in decision.choices)
    values: dict[str, Any] = {}
    for slot, index, variant in _shown(decision.plan, decision.layout, chosen):
        for key, value in (variant.block or {})["fields"].items():
            _collect(value, decision.facts, variant.writer, f"/slots/{slot}/{index}/fields/{key}", values)
    return {"decision": decision_answer(decision), "values": values}


def _collect(
    value: Any, facts: Mapping[str, Any], writer: Writer, pointer: str, values: dict[str, Any]
) -> None:
    if isinstance(value, RichText):
        return
    if dynamic(value):
        values[pointer] = materialise(value, facts, writer, markup=False)
    elif isinstance(value, list):
        for index, item in enumerate(v for v in value if not missing(v, writer.scene.items)):
            _collect(item, facts, writer, f"{pointer}/{index}", values)
    elif isinstance(value, Mapping):
        whole = resolve(value, writer.scene.items) if "$item" in value else value
        for key, item in whole.items():
            _collect(item, facts, writer, f"{pointer}/{key}", values)
