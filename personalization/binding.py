"""Make a plan executable. PURE.

In: the JSON program that `cms/compiler.py` wrote, the directory of segments, the items of the catalogue that it names.
Out: `BoundPlan`.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from cms.language.behaviour import Behaviour
from cms.language.behaviour.durations import duration
from cms.language.evaluate import Program
from cms.language.nodes import fields as rule_fields
from cms.language.nodes import segment_keys
from cms.language.text import Component, Placeholder
from cms.language.vocabulary import Fact
from personalization.directory import CompiledSegment, Directory, base_name
from personalization.fragments import ComponentHole, Item, Scene, TextHole, Writer, missing, parsed
from personalization.pacing import OFFERS, Limit, cap_of, rotation_of
from personalization.plan import SCORES, BoundLayout, BoundPlacement, BoundPlan, BoundVariant, StoredPlan
from personalization.recommending import COMPONENT_PURPOSE, FAVOURITE_CATEGORY, Find, Recommender
from personalization.stored_rules import compile_stored


def item_keys(program: Mapping[str, Any], directory: Directory) -> set[str]:
    """Return the keys of all catalogue items that a program may show: those it names and those recommended in it."""
    keys: set[str] = set()
    components = False
    for placement in program["placements"]:
        for variant in placement["variants"]:
            for value in _walk(variant["block"]):
                if "$item" in value:
                    keys.add(value["$item"])
                components = components or "<tessera-product" in value.get("$rich", "")
                keys |= _component_defaults(value.get("$rich", ""))
    if components:
        keys |= {key for best in directory.bestsellers.values() for key in best.keys}
    return keys


def _component_defaults(source: str) -> set[str]:
    return {c.default for c in parsed(source, True).components if c.default} if source else set()


def _walk(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        for one in value:
            yield from _walk(one)
    elif isinstance(value, Mapping):
        yield value
        for one in value.values():
            yield from _walk(one)


def bind(
    stored: StoredPlan,
    *,
    directory: Directory,
    items: Mapping[str, Item],
    find: Find,
    tag: Callable[[str], str],
) -> BoundPlan:
    """Make a stored plan executable; `find` looks for items that nobody could name before, `tag` makes cache tags opaque."""
    return _Binder(stored, directory, items, find, tag).bind()


class _Binder:
    def __init__(
        self,
        stored: StoredPlan,
        directory: Directory,
        items: Mapping[str, Item],
        find: Find,
        tag: Callable[[str], str],
    ) -> None:
        self.stored = stored
        self.program = stored.program
        self.directory = directory
        self.items = items
        self.tag = tag
        self.locale: str = stored.program["page"]["locale"]
        recommend = Recommender(directory, items, find).choose
        self.scene = Scene(self.locale, items, self.declared_default, self.attribute, recommend, self.by)

    def bind(self) -> BoundPlan:
        placements = tuple(self.placement(p) for p in self.program["placements"])
        layouts = tuple(self.layout(item, placements) for item in self.program["layouts"])
        rules = [layout.rule for layout in layouts if layout.rule]
        rules += [v.rule for p in placements for v in p.variants if v.rule]
        holes = [hole for p in placements for v in p.variants for hole in v.writer.holes]
        segments = self.segments(rules, holes)
        facts = self.facts(rules, holes, segments)
        rule_purposes = self.rule_purposes(rules)
        paced = any(placement.paced for placement in placements)
        if paced:  # what somebody was shown is known for pages alone
            rule_purposes |= {COMPONENT_PURPOSE}
        hole_purposes = frozenset().union(*(v.hole_purposes for p in placements for v in p.variants))
        stored = self.stored
        return BoundPlan(
            id=stored.id,
            revision=stored.revision,
            program=self.program,
            published_at=stored.published_at,
            layouts=layouts,
            placements=placements,
            facts=facts,
            segments=segments,
            rule_purposes=rule_purposes,
            personal=bool(rule_purposes | hole_purposes) or any(f.purposes for f in facts) or paced,
            timed=tuple(r for r in (*rules, *(r for s in segments for r in s.deciding)) if r.timed),
            boundaries=self.boundaries(placements),
            starts=stored.starts,
            ends=stored.ends,
            tags=" ".join(
                self.tag(name) for name in (*self.program["tags"], *sorted(f"item:{k}" for k in self.items))
            ),
        )

    def layout(self, item: Mapping[str, Any], placements: Sequence[BoundPlacement]) -> BoundLayout:
        page = self.program["page"]
        answer = {
            "path": page["path"],
            "title": page["title"],
            "locale": page["locale"],
            "template": item["template"],
            "revision": self.stored.revision,
            "published_at": self.stored.published_at,
            "meta": page["meta"],
        }
        slots = tuple(
            (key, orjson.dumps(key), tuple(i for i, p in enumerate(placements) if p.slot == key))
            for key in item["slots"]
        )
        head = b'{"page":' + orjson.dumps(answer) + b',"slots":{'
        return BoundLayout(item["template"], _rule(item["rule"]), slots, item["source"], head)

    def placement(self, placement: Mapping[str, Any]) -> BoundPlacement:
        variants = tuple(self.variant(placement["key"], v) for v in placement["variants"])
        return BoundPlacement(
            placement["key"],
            placement["slot"],
            variants,
            duration(placement.get("min_interval")),
            rotation_of(placement.get("rotation")),
        )

    def limits(self, placement: str, variant: Mapping[str, Any]) -> tuple[Limit, ...]:
        """Return the caps of a variant: its own, its experience's, and the one over all offers."""
        path = self.program["page"]["path"]
        asked = (
            (f"v {path} {placement} {variant['key']}", variant.get("cap")),
            (f"e {variant.get('experience')}", variant.get("experience_cap")),
            (OFFERS, self.program.get("offer_cap") if variant.get("offer") else None),
        )
        return tuple(Limit(counter, cap) for counter, stored in asked if (cap := cap_of(stored)))

    def variant(self, placement: str, variant: Mapping[str, Any]) -> BoundVariant:
        rule = _rule(variant["rule"])
        named = _named_segments(rule)
        writer = Writer(self.scene, named)
        block = variant["block"]
        fragment = head = None
        if block is not None and not missing(block, self.items):
            whole = {**self.items[block["$item"]]} if "$item" in block else block
            fields = {**whole["fields"], **(block["fields"] if "$item" in block else {})}
            block = {"type": whole["type"], "block": whole["block"], "fields": fields}
            writer.value(fields)
            writer.raw(b"}")
            fragment = tuple(writer.parts)
            head = _item_head(placement, variant["key"], block)
        return BoundVariant(
            key=variant["key"],
            kind=variant["kind"] if fragment is not None or variant["kind"] == "hide" else "hide",
            rule=rule,
            starts=_unix(variant["from"]),
            ends=_unix(variant["to"]),
            block=block if fragment is not None else None,
            head=head or b"",
            fragment=fragment,
            writer=writer,
            rule_facts=self.known(rule.reads.facts) if rule else (),
            rule_segments=tuple(rule.reads.segments) if rule else (),
            hole_purposes=self.purposes_of(writer.holes),
            limits=self.limits(placement, variant),
            weight=variant.get("weight") or 1,
            min_interval=duration(variant.get("experience_min_interval") or None),
        )

    def known(self, names: Iterable[str]) -> tuple[Fact, ...]:
        """Return the facts by these names; a fact that nobody declares any more is withheld for good."""
        wanted = sorted({base_name(name) for name in names})
        return tuple(
            self.directory.vocabulary.find(n) or Fact(n, "text", frozenset({"undeclared"})) for n in wanted
        )

    def segments(self, rules: Sequence[Program], holes: Sequence[Any]) -> tuple[CompiledSegment, ...]:
        """Return every segment that a rule names, or of which a placeholder shows something, by priority."""
        keys = {key for rule in rules for key in rule.reads.segments}
        texts = [hole for hole in holes if isinstance(hole, TextHole)]
        keys |= {key for hole in texts for key, _ in hole.candidates}
        keys |= {hole.placeholder.name for hole in texts if hole.placeholder.root == "by"}
        keys |= {hole.component.of for hole in holes if isinstance(hole, ComponentHole) and hole.component.of}
        keys |= {
            name.removeprefix(SCORES)
            for rule in rules
            for name in rule.reads.facts
            if name.startswith(SCORES)
        }
        return self.directory.closure(keys)

    def facts(
        self, rules: Sequence[Program], holes: Sequence[Any], segments: Sequence[CompiledSegment]
    ) -> tuple[Fact, ...]:
        names = {name for rule in rules for name in rule.reads.facts}
        names |= {name for segment in segments for name in segment.reads}
        names |= {h.placeholder.fact for h in holes if isinstance(h, TextHole) and h.placeholder.fact}
        if any(isinstance(hole, ComponentHole) and not hole.component.of for hole in holes):
            names.add(FAVOURITE_CATEGORY)
        return self.known(names)

    def rule_purposes(self, rules: Sequence[Program]) -> frozenset[str]:
        found = {p for rule in rules for fact in self.known(rule.reads.facts) for p in fact.purposes}
        for rule in rules:
            for key in rule.reads.segments:
                segment = self.directory.segments.get(key)
                found |= segment.purposes if segment else set()
        return frozenset(found)

    def purposes_of(self, holes: Iterable[Any]) -> frozenset[str]:
        """Return the purposes that must be granted for these holes to show anything but their defaults."""
        found: set[str] = set()
        for hole in holes:
            if isinstance(hole, ComponentHole):
                found |= self.component_purposes(hole.component)
            elif hole.placeholder.root == "attribute":
                for key, _ in hole.candidates:
                    found |= self.directory.segments[key].purposes
            else:
                found |= {p for fact in self.known([hole.placeholder.fact]) for p in fact.purposes}
        return frozenset(found)

    def component_purposes(self, component: Component) -> frozenset[str]:
        segment = self.directory.segments.get(component.of or "")
        return frozenset({COMPONENT_PURPOSE}) | (segment.purposes if segment else frozenset())

    def boundaries(self, placements: Sequence[BoundPlacement]) -> tuple[float, ...]:
        moments = {m for p in placements for v in p.variants for m in (v.starts, v.ends) if m is not None}
        moments |= {m for m in (self.stored.starts, self.stored.ends) if m is not None}
        return tuple(sorted(moments))

    def declared_default(self, placeholder: Placeholder) -> str:
        vocabulary = self.directory.vocabulary
        if placeholder.root == "attribute":
            return str(_translated(vocabulary.attributes.get(placeholder.name, {}), self.locale))
        fact = vocabulary.find(placeholder.fact or "")
        return str(_translated(fact.defaults if fact else {}, self.locale))

    def attribute(self, name: str, named: Sequence[str]) -> list[tuple[str, Any]]:
        """Return (segment, value) of an attribute: the segments that the variant's rule names first, then the others."""
        having = self.directory.with_attribute(name)
        ordered = sorted(having, key=lambda segment: segment.key not in named)
        return [(s.key, _translated(s.attributes[name], self.locale)) for s in ordered]

    def by(self, key: str) -> Behaviour | None:
        """Return the behaviour whose value a segment is about."""
        segment = self.directory.segments.get(key)
        return segment.by if segment is not None else None


def _rule(stored: Any) -> Program | None:
    return compile_stored(stored) if stored else None


def _named_segments(rule: Program | None) -> tuple[str, ...]:
    """Return the segments that a rule names, in the order in which it names them."""
    if rule is None:
        return ()
    named = [key for f in rule_fields(rule.node) if f.name == "segments" for key, _ in segment_keys(f.value)]
    return tuple(dict.fromkeys(named))


def _item_head(placement: str, variant: str, block: Mapping[str, Any]) -> bytes:
    """Return an item of a slot up to its reason."""
    head = orjson.dumps(
        {"placement": placement, "type": block["type"], "block": block["block"], "variant": variant}
    )
    return head[:-1] + b',"reason":'


def _unix(moment: str | None) -> float | None:
    return dt.datetime.fromisoformat(moment).timestamp() if moment else None


def _translated(values: Any, locale: str) -> Any:
    """Return the value of a locale, of its language, or the first there is."""
    if not isinstance(values, Mapping):
        return values
    for one in (locale, locale.split("-")[0]):
        if one in values:
            return values[one]
    return next(iter(values.values()), "")
