"""How often, how steadily and in which turn: what editors may write about it, and what is wrong with it.

In: caps (`{"times": 1, "within": "P7D"}`), minimum intervals (`PT15M`) and rotations
(`{"kind": "weighted", "every": "P1D"}`). Out: problems with their places.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cms.language.behaviour.durations import duration
from cms.language.nodes import Problem
from cms.language.parse import step

ROTATIONS: Final = ("weighted", "shuffled", "decayed")
_CAP: Final = {"times", "within"}
_ROTATION: Final = {"kind", "every", "half_life"}


def cap_problems(cap: object, place: str) -> Iterator[Problem]:
    """Say what is wrong with a cap; none at all is fine."""
    if cap is None:
        return
    times = cap.get("times") if isinstance(cap, Mapping) else None
    if not isinstance(cap, Mapping) or not isinstance(times, int) or isinstance(times, bool) or times < 1:
        yield Problem("wrong_type", place, 'A cap is {"times": 1, "within": "P7D"}.')
        return
    for name in cap.keys() - _CAP:
        yield Problem("unknown_attribute", step(place, name), f"A cap has no '{name}'.")
    if cap.get("within") is not None and not duration(cap["within"]):
        yield Problem("wrong_type", f"{place}/within", "A cap's time is a duration such as P7D.")


def interval_problems(interval: object, place: str) -> Iterator[Problem]:
    """Say what is wrong with a minimum interval; none at all is fine."""
    if interval and not duration(interval):
        yield Problem("wrong_type", place, "A minimum interval is a duration such as PT15M.")


def rotation_problems(rotation: object, place: str) -> Iterator[Problem]:
    """Say what is wrong with a rotation; none at all is fine."""
    if rotation is None:
        return
    if not isinstance(rotation, Mapping) or rotation.get("kind") not in ROTATIONS:
        yield Problem("wrong_type", place, f"A rotation has a kind: {', '.join(ROTATIONS)}.")
        return
    for name in rotation.keys() - _ROTATION:
        yield Problem("unknown_attribute", step(place, name), f"A rotation has no '{name}'.")
    if not duration(rotation.get("every")):
        yield Problem("wrong_type", f"{place}/every", "Say how long one turn lasts: a duration such as P1D.")
    if rotation["kind"] == "decayed" and not duration(rotation.get("half_life")):
        yield Problem(
            "wrong_type", f"{place}/half_life", "Say when a weight has halved: a duration such as P7D."
        )


def weight_problems(weight: object, place: str) -> Iterator[Problem]:
    """Say what is wrong with a weight; none at all is fine."""
    if weight is not None and (
        isinstance(weight, bool) or not isinstance(weight, int) or not 0 < weight <= 1000
    ):
        yield Problem("wrong_type", place, "A weight is a whole number from 1 to 1000.")


def spelled_pacing(**values: Any) -> dict[str, Any]:
    """Return what is not left at its default."""
    said = {name: value for name, value in values.items() if value}
    return {name: value for name, value in said.items() if name != "weight" or value > 1}
