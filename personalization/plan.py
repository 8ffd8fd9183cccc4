"""A plan: as it is stored, and made executable, with compiled rules, fragments of bytes, and what the page reads. PURE.

`binding.py` makes one of the other, once per process for each version of plan, directory and catalogue; every request then
uses it.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import orjson

from cms.language.behaviour import Behaviour
from cms.language.evaluate import Program
from cms.language.vocabulary import Fact
from personalization.directory import CompiledSegment
from personalization.facts import Here
from personalization.fragments import Fragment, Writer
from personalization.pacing import Limit, Rotation
from personalization.scoring import Score

REASONS: Final = (
    "matched", "default", "holdout", "split", "no_consent", "unknown_fact", "out_of_window", "capped",
    "segment_too_small", "forced", "error", "timeout",
)  # fmt: skip
REASON_BYTES: Final[Mapping[str, bytes]] = {reason: orjson.dumps(reason) for reason in REASONS}
# Which request headers a context fact comes from; the query and the path are part of the URL already.
CONTEXT_HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "context.device": ("User-Agent", "Sec-CH-UA-Mobile"),
    "context.locale": ("Accept-Language",),
    "context.country": ("X-Country",),
    "context.hour": ("X-Time-Zone",),
    "context.weekday": ("X-Time-Zone",),
    "context.time": ("X-Time-Zone",),
    "context.referrer": ("Referer",),
}
CLOCK_FACTS: Final = frozenset({"context.hour", "context.weekday", "context.time"})
MAX_ASSEMBLIES: Final = 64  # a page rarely has more permutations in use
SCORES: Final = "scores."


@dataclass(frozen=True, slots=True)
class BoundVariant:
    """One variant; `starts` and `ends` are Unix times, `fragment` is None for one that hides."""

    key: str
    kind: str
    rule: Program | None
    starts: float | None
    ends: float | None
    block: Mapping[str, Any] | None
    head: bytes
    fragment: Fragment | None
    writer: Writer
    rule_facts: tuple[Fact, ...]
    rule_segments: tuple[str, ...]
    hole_purposes: frozenset[str]
    limits: tuple[Limit, ...] = ()
    weight: int = 1
    min_interval: int | None = None  # of its experience, in microseconds


@dataclass(frozen=True)
class BoundPlacement:
    """One placement; `min_interval` is its own, in microseconds."""

    key: str
    slot: str
    variants: tuple[BoundVariant, ...]
    min_interval: int | None = None
    rotation: Rotation | None = None

    @cached_property
    def paced(self) -> bool:
        """Whether what was shown before, or whose turn it is, matters here."""
        return any(variant.limits for variant in self.variants) or self.steady or self.rotation is not None

    @cached_property
    def steady(self) -> bool:
        """Whether something that is shown stays for a while."""
        return self.min_interval is not None or any(one.min_interval is not None for one in self.variants)

    def interval_of(self, variant: str) -> int | None:
        """Return for how long a variant stays: as the placement or the variant's experience says, the longer one."""
        own = [one.min_interval for one in self.variants if one.key == variant]
        return max((one for one in (self.min_interval, *own) if one is not None), default=None)


@dataclass(frozen=True, slots=True)
class BoundLayout:
    template: str
    rule: Program | None
    slots: tuple[tuple[str, bytes, tuple[int, ...]], ...]  # key, its JSON, indexes of its placements
    source: str
    page_head: bytes


@dataclass(frozen=True)
class BoundPlan:
    """An executable plan; `starts` and `ends` say when it is served."""

    id: int
    revision: int
    program: Mapping[str, Any]
    published_at: str
    layouts: tuple[BoundLayout, ...]
    placements: tuple[BoundPlacement, ...]
    facts: tuple[Fact, ...]
    segments: tuple[CompiledSegment, ...]
    rule_purposes: frozenset[str]
    personal: bool
    timed: tuple[Program | Score, ...]
    boundaries: tuple[float, ...]
    starts: float | None
    ends: float | None
    tags: str
    # (layout, choices, granted purposes) → the answer's bytes and holes; `assemble` fills it
    assemblies: dict[Any, Fragment] = field(default_factory=dict, compare=False, repr=False)

    @property
    def path(self) -> str:
        path: str = self.program["page"]["path"]
        return path

    @property
    def locale(self) -> str:
        locale: str = self.program["page"]["locale"]
        return locale

    @cached_property
    def behaviours(self) -> tuple[Behaviour, ...]:
        """What people did, as far as the segments ask that this page names."""
        found = {one.key: one for segment in self.segments for one in segment.behaviours}
        return tuple(found.values())

    @cached_property
    def scores(self) -> Mapping[str, Score]:
        """The scores that rules or placeholders of this page name, by the name of the fact."""
        names = {fact.name for fact in self.facts}
        found = {f"{SCORES}{segment.key}": segment.score for segment in self.segments if segment.score}
        return {name: score for name, score in found.items() if name in names}

    @cached_property
    def here(self) -> Here:
        """The item and the category that this page shows, as its meta data name them."""
        meta = self.program["page"]["meta"]
        return Here(str(meta.get("item") or ""), str(meta.get("category") or ""))

    @cached_property
    def context_names(self) -> tuple[str, ...]:
        return tuple(fact.name for fact in self.facts if not fact.purposes)

    @cached_property
    def scope(self) -> str:
        if self.personal:
            return "private-request"
        return "public-permutation" if self.facts or self.segments else "static"

    @cached_property
    def defaults(self) -> tuple[tuple[int, str], ...]:
        """What every placement shows when nothing else holds: the index of its default, and the reason."""
        return tuple((len(placement.variants) - 1, "default") for placement in self.placements)

    @cached_property
    def undecided(self) -> tuple[int, ...]:
        """Name the placements that have more to show than their default."""
        return tuple(index for index, p in enumerate(self.placements) if len(p.variants) > 1)

    @cached_property
    def paced(self) -> bool:
        """Whether any placement depends on what was shown before, or on whose turn it is."""
        return any(placement.paced for placement in self.placements)

    @cached_property
    def counted(self) -> bool:
        """Whether what this page shows must be remembered."""
        return any(v.limits for p in self.placements for v in p.variants) or any(
            p.steady for p in self.placements
        )

    @cached_property
    def holes_add_nothing(self) -> bool:
        """Whether the rules alone already read every purpose that a placeholder could read."""
        return all(v.hole_purposes <= self.rule_purposes for p in self.placements for v in p.variants)

    @cached_property
    def reads_the_clock(self) -> bool:
        """Whether the local time can matter: a clock fact, or a date, whose age in days is a fact too."""
        return bool(self.timed) or any(f.name in CLOCK_FACTS or f.type == "date" for f in self.facts)

    @cached_property
    def vary(self) -> tuple[str, ...]:
        """Name the headers that the page's context facts come from."""
        headers = [header for name in self.context_names for header in CONTEXT_HEADERS.get(name, ())]
        return tuple(dict.fromkeys(headers))

    def next_boundary(self, now: float) -> float | None:
        """Return the next Unix time at which a variant, or the plan itself, begins or ends."""
        index = bisect_right(self.boundaries, now)
        return self.boundaries[index] if index < len(self.boundaries) else None


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan as it is stored; times are Unix times."""

    id: int
    revision: int
    published_at: str
    program: Mapping[str, Any]
    starts: float | None
    ends: float | None
