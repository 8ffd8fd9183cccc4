"""Compile traits, attributes and segments of a site into its directory, a new version with every change.

In: the rows that editors wrote. Out: one immutable `Directory` row; the site's epoch grows, and every process binds
its plans again at its next request.
"""

from collections.abc import Mapping
from typing import Any, Final

from django.db import transaction

from cms.facts import vocabulary
from cms.language.nodes import Problem, RuleError, reads
from cms.language.parse import parse
from cms.language.vocabulary import CONTEXT, Fact, SegmentName, Vocabulary
from cms.models import Block, Site
from cms.pages import rule_problems
from personalization.directory import base_name
from personalization.models import Attribute, Directory, ItemSales, Segment, Trait

KEPT_VERSIONS: Final = 3
_OF_PAGES: Final = frozenset({"personalization"})
FEATURES: Final = tuple(
    Fact(f"features.{name}", kind, _OF_PAGES, title)
    for name, kind, title in (
        ("orders", "number", "orders"),
        ("revenue", "number", "revenue"),
        ("first_order_at", "date", "first order"),
        ("last_order_at", "date", "last order"),
        ("favourite_category", "text", "favourite category"),
    )
)


def facts_of_site(site_id: int) -> Vocabulary:
    """Return what personalization adds to the vocabulary of a site; registered in `apps.py`."""
    facts = {fact.name: fact for fact in FEATURES} | {
        t.key: _fact(t) for t in Trait.objects.filter(site_id=site_id)
    }
    segments = {
        s.key: SegmentName(s.key, s.title, frozenset(s.purposes))
        for s in Segment.objects.filter(site_id=site_id)
    }
    attributes = {a.key: a.default for a in Attribute.objects.filter(site_id=site_id)}
    return Vocabulary(facts, segments, attributes)


def _fact(trait: Trait) -> Fact:
    purposes = frozenset({trait.purpose})
    return Fact(trait.key, trait.type, purposes, trait.title, trait.identifying, defaults=trait.default)


def facts_for_segments(site_id: int) -> Vocabulary:
    """Return what the rule of a segment may name: facts, but no segments."""
    return Vocabulary(vocabulary(site_id).facts, {}, {})


def segment_problems(segment: Segment) -> list[Problem]:
    """Say what is wrong with a segment as written."""
    problems = []
    if segment.kind == Segment.Kind.RULE:
        problems += rule_problems(segment.rule, facts_for_segments(segment.site_id), "/rule")
        if not segment.rule and segment.parent is None:
            problems.append(Problem("required", "/rule", "A segment by rule needs a rule."))
    elif not segment.purposes:
        problems.append(Problem("required", "/purposes", "A list names the purposes that it serves."))
    seen, parent = {segment.pk}, segment.parent
    while parent is not None:
        if parent.pk in seen:
            problems.append(Problem("cycle", "/parent", "A segment cannot lie in itself."))
            break
        seen.add(parent.pk)
        parent = parent.parent
    return problems


def effective_rules(segment: Segment, by_id: Mapping[int, Segment]) -> list[Any]:
    """Return the rules that must all hold: the segment's own and those of its parents."""
    rules, one, seen = [], segment, set[int]()
    while one.pk not in seen:
        seen.add(one.pk)
        if one.rule:
            rules.append(one.rule)
        if one.parent_id is None or one.parent_id not in by_id:
            break
        one = by_id[one.parent_id]
    return rules


def purposes_of(rules: list[Any], facts: Vocabulary) -> list[str]:
    """Return the purposes of all personal facts that the rules read."""
    found: set[str] = set()
    for rule in rules:
        try:
            names = reads(parse(rule)).facts
        except RuleError:
            continue  # refused where it was written; a rule that cannot be read reads nothing
        for name in names:
            fact = facts.find(base_name(name))
            found |= fact.purposes if fact else set()
    return sorted(found)


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
    return directory


def compile_rows(site: Site, segments: list[Segment]) -> dict[str, Any]:
    """Compile rows into a directory's program, and keep each segment's purposes with it."""
    facts = vocabulary(site.pk)
    by_id = {segment.pk: segment for segment in segments}
    compiled = []
    for segment in segments:
        rules = effective_rules(segment, by_id)
        if segment.kind == Segment.Kind.RULE:
            purposes = purposes_of(rules, facts)
            if purposes != segment.purposes:
                Segment.objects.filter(pk=segment.pk).update(purposes=purposes)
                segment.purposes = purposes
        compiled.append(_compiled(segment, rules))
    return {
        "facts": [_stored_fact(fact) for name, fact in sorted(facts.facts.items()) if name not in CONTEXT],
        "segments": compiled,
        "attributes": {a.key: a.default for a in Attribute.objects.filter(site=site)},
        "bestsellers": bestsellers(site),
    }


def _compiled(segment: Segment, rules: list[Any]) -> dict[str, Any]:
    return {
        "key": segment.key,
        "title": segment.title,
        "kind": segment.kind,
        "purposes": segment.purposes,
        "rules": rules,
        "attributes": segment.attributes,
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
