"""The definition of `$did` and `$seq`, word for word and without a thought for speed: what everything else must equal."""

import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from cms.language.behaviour import Happened
from cms.language.behaviour.counting import number_text
from cms.language.behaviour.durations import duration
from cms.language.behaviour.events import meant, read
from cms.language.matchers import matcher
from cms.language.nodes import Did
from cms.language.nodes import Sequence as SequenceNode

GAP = 30 * 60 * 1_000_000


def holds(node: Did | SequenceNode, events: Sequence[Happened], now: int) -> tuple[bool, str | None]:
    """Say whether it holds at a moment, and for which value."""
    past = [event for event in events if event.at <= now]
    test = _did if isinstance(node, Did) else _seq
    if node.by is None:
        return test(node, past, past, now) is not None, None
    found = []
    for value in {spelled(read(event.properties, node.by)) for event in past} - {None}:
        own = [event for event in past if spelled(read(event.properties, str(node.by))) == value]
        rank = test(node, own, past, now)
        if rank:
            found.append((rank, value))
    return (True, max(found)[1]) if found else (False, None)


def spelled(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return number_text(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _did(node: Did, own: Sequence[Happened], everything: Sequence[Happened], now: int) -> Any:
    """Return the rank of the last event counted, an empty one where none is; None when it does not hold."""
    test = meant(node.event, node.where)
    counted = [event for event in own if test(event) and _inside(node, event, everything, now)]
    if node.of is not None:
        kinds = (int, float) if node.aggregate in ("sum", "min", "max") else (int, float, str)
        counted = [event for event in counted if isinstance(read(event.properties, node.of), kinds)]
    if node.by is not None and not counted:
        return None
    values = [read(event.properties, str(node.of)) for event in counted]
    if not matcher(node.test, {})(_aggregate(node.aggregate, values, len(counted))):
        return None
    return (counted[-1].at, counted[-1].id) if counted else ()


def _inside(node: Did, event: Happened, everything: Sequence[Happened], now: int) -> bool:
    if node.within is None:
        return True
    if node.within != "session":
        return event.at > now - int(duration(node.within) or 0)
    moments = [one.at for one in everything]
    if now >= moments[-1] + GAP:
        return False
    between = [at for at in moments if at >= event.at]
    return all(later - earlier <= GAP for earlier, later in itertools.pairwise(between))


def _aggregate(name: str, values: list[Any], count: int) -> Any:
    if name == "count":
        return count
    if name == "distinct":
        return len({(type(v) is str, v) for v in values})
    if name == "sum":
        total = sum((Decimal(str(v)) for v in values), Decimal(0))
        return int(total) if total == int(total) else float(total)
    if not values:
        return None
    return (
        {"min": min, "max": max}[name](values)
        if name in ("min", "max")
        else values[0 if name == "first" else -1]
    )


def _seq(node: SequenceNode, own: Sequence[Happened], everything: Sequence[Happened], now: int) -> Any:
    """Try every choice of events, one per present step."""
    steps = [(index, step) for index, step in enumerate(node.steps) if not step.absent]
    best = None
    for chosen in itertools.combinations(own, len(steps)):
        fits = all(
            meant(step.event, step.where)(event) for (_, step), event in zip(steps, chosen, strict=True)
        )
        if fits and _valid(node, [index for index, _ in steps], chosen, own, now):
            rank = (chosen[-1].at, chosen[-1].id)
            best = max(best or rank, rank)
    return best


def _valid(
    node: SequenceNode, places: list[int], chosen: Sequence[Happened], own: Sequence[Happened], now: int
) -> bool:
    gap = duration(node.gap)
    if node.since is not None and chosen[0].at <= now - int(duration(node.since) or 0):
        return False
    for earlier, later in itertools.pairwise(chosen):
        if gap is not None and later.at - earlier.at > gap:
            return False
    for number, place in enumerate(places):
        until = places[number + 1] if number + 1 < len(places) else len(node.steps)
        never = [meant(s.event, s.where) for s in node.steps[place + 1 : until]]
        after = own[own.index(chosen[number]) + 1 :]
        if number + 1 < len(places):
            after = after[: after.index(chosen[number + 1])]
        if any(test(event) for test in never for event in after):
            return False
        if never and number + 1 == len(places) and now < chosen[-1].at + (gap or 0):
            return False
    return True
