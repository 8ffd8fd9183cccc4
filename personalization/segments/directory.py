"""Compile traits, attributes and segments of a site into its directory, a new version with every change.

In: the rows that editors wrote. Out: one immutable `Directory` row; the site's epoch grows, and every process binds
its plans again at its next request.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import orjson
from django.db import transaction

from cms.facts import vocabulary
from cms.language.nodes import SEGMENTS, Condition, Did, Problem, RuleError, Sequence, reads, segment_keys
from cms.language.nodes import fields as rule_fields
from cms.language.parse import parse
from cms.language.vocabulary import CONTEXT, Fact, SegmentName, Vocabulary
from cms.models import Block, Site
from cms.pages import rule_problems
from consent.gates import SENSITIVE
from consent.hints import hint
from personalization.directory import Directory as CompiledDirectory
from personalization.directory import base_name, compile_directory
from personalization.events import event_names
from personalization.models import Attribute, Directory, ItemSales, Segment, Trait
from personalization.scoring import score_problems
from personalization.stored_rules import compile_stored

KEPT_VERSIONS: Final = 3
REFRESH_TASK: Final = "personalization.tasks.refresh_changed_segments"
_OF_PAGES: Final = frozenset({"personalization"})
FEATURES: Final = tuple(
    Fact(f"features.{name}", kind, _OF_PAGES, title)
    for name, kind, title in (
        ("orders", "number", "orders"),
        ("revenue", "number", "revenue"),
        ("average_order", "number", "average order"),
        ("first_order_at", "date", "first order"),
        ("last_order_at", "date", "last order"),
        ("favourite_category", "text", "favourite category"),
        ("first_seen_at", "date", "first visit"),
        ("last_seen_at", "date", "last visit"),
        ("sessions", "number", "visits"),
        ("days_between_visits", "number", "days between visits"),
        ("session_duration", "number", "seconds of the last visit"),
        ("session_depth", "number", "pages of the last visit"),
        ("session_paths", "list", "paths of the last visit"),
        ("device", "text", "device last used"),
    )
)
HISTORY: Final = tuple(
    Fact(name, "number", _OF_PAGES, title)
    for name, title in (
        ("here.views", "views of this page's item"),
        ("here.bought", "purchases of this page's item"),
        ("here.category_views", "views of this page's category"),
        ("here.category_bought", "purchases in this page's category"),
    )
)


def facts_of_site(site_id: int) -> Vocabulary:
    """Return what personalization adds to the vocabulary of a site; registered in `apps.py`."""
    facts = {fact.name: fact for fact in (*FEATURES, *HISTORY)}
    facts |= {t.key: _fact(t) for t in Trait.objects.filter(site_id=site_id)}
    rows = list(Segment.objects.filter(site_id=site_id))
    by_id = {s.pk: s for s in rows}
    segments = {
        s.key: SegmentName(
            s.key, s.title, frozenset(s.purposes), _has_by([*effective_rules(s, by_id), s.score])
        )
        for s in rows
    }
    facts |= {f"scores.{s.key}": _score(s) for s in rows if s.kind == Segment.Kind.SCORE and s.purposes}
    attributes = {a.key: a.default for a in Attribute.objects.filter(site_id=site_id)}
    strict = Site.objects.filter(pk=site_id, strict_events=True).exists()
    return Vocabulary(facts, segments, attributes, event_names(site_id), strict)


def _has_by(written: Any) -> bool:
    """Say whether a rule, as written, counts for one and the same value somewhere."""
    if isinstance(written, list):
        return any(_has_by(one) for one in written)
    if not isinstance(written, Mapping):
        return False
    counts = (one for name, one in written.items() if name in ("$did", "$seq") and isinstance(one, Mapping))
    return any(one.get("by") for one in counts) or any(_has_by(one) for one in written.values())


def _score(segment: Segment) -> Fact:
    return Fact(f"scores.{segment.key}", "number", frozenset(segment.purposes), f"score {segment.title}")


def _fact(trait: Trait) -> Fact:
    return Fact(trait.key, trait.type, trait.purposes, trait.title, trait.identifying, defaults=trait.default)


def facts_for_segments(site_id: int) -> Vocabulary:
    """Return what the rule of a segment may name: facts, other segments and behaviour, but no page's history."""
    known = vocabulary(site_id)
    here = {fact.name for fact in HISTORY}
    facts = {
        name: fact
        for name, fact in known.facts.items()
        if name not in here and not name.startswith("scores.")
    }
    return replace(known, facts=facts, attributes={}, behaviour=True)


def segment_problems(segment: Segment) -> list[Problem]:
    """Say what is wrong with a segment as written."""
    problems = []
    known = facts_for_segments(segment.site_id)
    if segment.kind == Segment.Kind.RULE:
        problems += rule_problems(segment.rule, known, "/rule")
        if not segment.rule and segment.parent is None:
            problems.append(Problem("required", "/rule", "A segment by rule needs a rule."))
    elif segment.kind == Segment.Kind.SCORE:
        problems += score_problems(segment.score, known)
    elif not segment.purposes:
        problems.append(Problem("required", "/purposes", "A list names the purposes that it serves."))
    return [*problems, *_cycles(segment)]


def _cycles(segment: Segment) -> list[Problem]:
    """Find a way from the segment back to itself, over parents and over the segments that rules name."""
    rows = {s.key: s for s in Segment.objects.filter(site=segment.site_id).select_related("parent")}
    rows[segment.key] = segment
    needs = {key: _needs(row) | _earlier_tiers(row, rows.values()) for key, row in rows.items()}
    for needed, place in needs[segment.key].items():
        waiting, seen = [needed], set[str]()
        while waiting:
            key = waiting.pop()
            if key == segment.key:
                sentence = "A segment cannot lie in itself."
                return [Problem("cycle", place, f"{sentence} '{needed}' leads back to '{segment.key}'.")]
            if key not in seen:
                seen.add(key)
                waiting += needs.get(key, {})
    return []


def _needs(segment: Segment) -> dict[str, str]:
    """Return the segments that decide about one, each with the place where it is named."""
    named = {segment.parent.key: "/parent"} if segment.parent is not None else {}
    for node, place in _rules_in(segment):
        for test in rule_fields(node):
            if test.name == SEGMENTS:
                named |= {key: place + pointer for key, pointer in segment_keys(test.value)}
    return named


def _earlier_tiers(segment: Segment, rows: Iterable[Segment]) -> dict[str, str]:
    """Return the segments that come before one of several tiers, and so decide about it."""
    mine = _position(segment)
    return {
        one.key: "/tiers"
        for one in rows
        if segment.tiers and one.tiers == segment.tiers and _position(one) < mine
    }


def _position(segment: Segment) -> tuple[int, int, float]:
    return segment.priority, segment.position, segment.pk or float("inf")


def _rules_in(segment: Segment) -> Iterator[tuple[Condition, str]]:
    """Yield the rules that can be read, each with its place."""
    written = [(segment.rule, "/rule")] if segment.rule else []
    points = segment.score.get("points") if isinstance(segment.score, Mapping) else None
    for index, entry in enumerate(points or ()):
        if isinstance(entry, Mapping) and "when" in entry:
            written.append((entry["when"], f"/score/points/{index}/when"))
    for rule, place in written:
        try:
            yield parse(rule), place
        except RuleError:
            continue  # told where it was written


def effective_rules(segment: Segment, by_id: Mapping[int, Segment]) -> list[Any]:
    """Return the rules that must all hold: the segment's own and those of its parents."""
    rules = [segment.rule] if segment.rule and segment.kind == Segment.Kind.RULE else []
    for one in parents_of(segment, by_id):
        if one.kind != Segment.Kind.RULE:
            return [*rules, {"segments": {"$in": [one.key]}}]
        if one.rule:
            rules.append(one.rule)
    return rules


def parents_of(segment: Segment, by_id: Mapping[int, Segment]) -> list[Segment]:
    """Return the segments that a segment lies in, the nearest first."""
    found: list[Segment] = []
    one = by_id.get(segment.parent_id or 0)
    while one is not None and one.pk != segment.pk and one not in found:
        found.append(one)
        one = by_id.get(one.parent_id or 0)
    return found


def own_purposes(segment: Segment, rules: list[Any], facts: Vocabulary) -> set[str]:
    """Return the purposes of everything personal that a segment itself reads."""
    written = [*rules]
    if segment.kind == Segment.Kind.SCORE:
        written += [entry["when"] for entry in segment.score.get("points", ()) if "when" in entry]
    found: set[str] = set()
    for rule in written:
        try:
            read = reads(parse(rule))
        except RuleError:
            continue  # refused where it was written; a rule that cannot be read reads nothing
        for name in read.facts:
            fact = facts.find(base_name(name))
            found |= fact.purposes if fact else set()
        for behaviour in read.behaviours:
            found |= _OF_PAGES | _extra_purposes(behaviour, facts)
    if segment.kind == Segment.Kind.SCORE and any(
        "event" in entry for entry in segment.score.get("points", ())
    ):
        found |= _OF_PAGES
    return found


def _extra_purposes(behaviour: Did | Sequence, facts: Vocabulary) -> set[str]:
    """Return what the events of a behaviour need beside the purpose of pages."""
    names = [behaviour.event] if isinstance(behaviour, Did) else [step.event for step in behaviour.steps]
    if "*" in names:  # everything, and so what is sensitive too
        names = list(facts.events)
    return {SENSITIVE for name in names if name in facts.events and SENSITIVE in facts.events[name].purposes}


@transaction.atomic
def rebuild(site: Site) -> Directory:
    """Store the next version of the site's directory."""
    site = Site.objects.select_for_update().get(pk=site.pk)
    segments = list(
        Segment.objects.filter(site=site).select_related("parent").order_by("priority", "position", "pk")
    )
    program = compile_rows(site, segments)
    latest = site.directories.order_by("-version").first()
    if latest is not None and latest.program == program:
        return latest
    site.advance(directory=True)
    directory, _ = Directory.objects.update_or_create(
        site=site, version=site.directory_version, defaults={"program": program}
    )
    site.directories.filter(version__lte=site.directory_version - KEPT_VERSIONS).delete()
    if latest is None or latest.program.get("decides") != program["decides"]:
        transaction.on_commit(lambda: hint(REFRESH_TASK))
    return directory


def compile_rows(site: Site, segments: list[Segment]) -> dict[str, Any]:
    """Compile rows into a directory's program, and keep each segment's purposes with it."""
    by_id = {segment.pk: segment for segment in segments}
    rules = {segment.key: effective_rules(segment, by_id) for segment in segments}
    purposes = _all_purposes(segments, rules, vocabulary(site.pk))
    compiled, tiers = [], dict[str, list[str]]()
    for segment in segments:
        if segment.kind != Segment.Kind.LIST and purposes[segment.key] != segment.purposes:
            Segment.objects.filter(pk=segment.pk).update(purposes=purposes[segment.key])
            segment.purposes = purposes[segment.key]
        before = tiers.setdefault(segment.tiers, []) if segment.tiers else []
        lies_in = [one.key for one in parents_of(segment, by_id)]
        compiled.append(_compiled(segment, rules[segment.key], list(before), lies_in))
        before.append(segment.key)
    facts = vocabulary(site.pk)  # only now: a score is a fact for the purposes that it was found to have
    return {
        "facts": [_stored_fact(fact) for name, fact in sorted(facts.facts.items()) if name not in CONTEXT],
        "segments": compiled,
        "attributes": {a.key: a.default for a in Attribute.objects.filter(site=site)},
        "bestsellers": bestsellers(site),
        "behaviour_version": _behaviour_version(site, compiled),
        "timed": _timed(compiled),
        "decides": _decides(compiled),
    }


def _all_purposes(
    segments: list[Segment], rules: Mapping[str, list[Any]], facts: Vocabulary
) -> dict[str, list[str]]:
    """Return each segment's purposes: its own and those of all segments that decide about it."""
    own = {s.key: own_purposes(s, rules[s.key], facts) for s in segments}
    own |= {s.key: set(s.purposes) for s in segments if s.kind == Segment.Kind.LIST}
    needs = {s.key: set(_needs(s)) for s in segments}
    for tier in {s.tiers for s in segments if s.tiers}:
        keys = [s.key for s in segments if s.tiers == tier]
        for index, key in enumerate(keys):
            needs[key] |= set(keys[:index])
    for _ in segments:
        grown = {key: own[key].union(*(own.get(k, set()) for k in needs[key])) for key in own}
        if grown == own:
            break
        own = grown
    return {key: sorted(found) for key, found in own.items()}


def _timed(compiled: list[dict[str, Any]]) -> str:
    """Return a digest of everything that profiles must be looked at again for when it changes."""
    spelled = [
        [s["key"], s["rules"], s["score"], s["before"]]
        for s in compiled
        if s["score"] or any(compile_stored(rule).timed for rule in s["rules"])
    ]
    return hashlib.sha256(orjson.dumps(spelled, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _decides(compiled: list[dict[str, Any]]) -> str:
    """Return a digest of everything that decides who is in which stored segment."""
    spelled = [
        [s[name] for name in ("key", "kind", "rules", "score", "before", "purposes")]
        for s in compiled
        if s["purposes"]
    ]
    return hashlib.sha256(orjson.dumps(spelled, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _behaviour_version(site: Site, compiled: list[dict[str, Any]]) -> int:
    """Return the version of the directory at which behaviour last changed: this one, when it does now."""
    latest = site.directories.order_by("-version").first()
    if latest is not None and latest.program.get("timed") == _timed(compiled):
        return int(latest.program["behaviour_version"])
    return site.directory_version + 1


def _compiled(segment: Segment, rules: list[Any], before: list[str], lies_in: list[str]) -> dict[str, Any]:
    return {
        "key": segment.key,
        "title": segment.title,
        "kind": segment.kind,
        "purposes": segment.purposes,
        "rules": rules,
        "score": segment.score if segment.kind == Segment.Kind.SCORE else None,
        "tiers": segment.tiers,
        "before": before,
        "attributes": segment.attributes,
        "lies_in": lies_in,
        "topic": segment.topic,
        "label": segment.label,
        "open": is_exempt(segment) or segment.open,
        "min_size": segment.min_size,
        "size": segment.size if segment.purposes else None,
    }


def is_exempt(segment: Segment) -> bool:
    """Say whether no minimum size applies: lists, segments over context alone, and those set to 0."""
    return segment.kind == Segment.Kind.LIST or not segment.purposes or segment.min_size == 0


def _stored_fact(fact: Fact) -> dict[str, Any]:
    return {
        "name": fact.name,
        "type": fact.type,
        "purposes": sorted(fact.purposes),
        "title": fact.title,
        "identifying": fact.identifying,
        "defaults": dict(fact.defaults),
    }


def bestsellers(site: Site) -> dict[str, Any]:
    """Return the most bought live item per catalogue type, overall and per category."""
    items = dict(Block.objects.filter(site=site, live=True).values_list("key", "type__key"))
    found: dict[str, Any] = {}
    for sales in ItemSales.objects.filter(site=site, item__in=items).order_by("-quantity", "item"):
        best = found.setdefault(items[sales.item], {"overall": sales.item, "by_category": {}})
        if sales.category:
            best["by_category"].setdefault(sales.category, sales.item)
    return found


def directory_of(site: Site) -> CompiledDirectory:
    """Return the site's current directory, compiled once per process and version; built when there is none yet."""
    version = Site.objects.values_list("directory_version", flat=True).get(pk=site.pk)
    return _directory_at(site.pk, version)


@lru_cache(maxsize=4)
def _directory_at(site_id: int, version: int) -> CompiledDirectory:
    row = Directory.objects.filter(site_id=site_id).order_by("-version").first()
    if row is None:
        row = rebuild(Site.objects.get(pk=site_id))
    return compile_directory(row.program, version=row.version)
