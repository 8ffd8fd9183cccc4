"""What may stand in the working copy of a page: every problem with its place. Reads, writes nothing.

In: a page's content as a bundle spells it (CONTRACT §5), from anywhere. Out: problems with JSON pointers. First its
shape, so that nothing after it meets a surprise; then names, types, rules, dates. Whether a page is complete is asked
when it is published (`cms.publishing`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError

from cms.errors import below
from cms.fields import Cleaned, Field, Known, as_date, clean_overrides, parse_fields
from cms.keys import is_key
from cms.language.check import check
from cms.language.nodes import Problem, RuleError
from cms.language.parse import parse, step
from cms.language.vocabulary import Vocabulary
from cms.models import BlockType, Experience, Site, Template
from cms.pacing import cap_problems, interval_problems, rotation_problems, weight_problems
from cms.paths import normalise, valid_path

PAGE_ATTRIBUTES = {
    "path", "title", "meta", "template", "templates", "slots", "go_live_at", "expire_at",
}  # fmt: skip
_VARIANT_ATTRIBUTES = {
    "key", "when", "block", "override", "hide", "default", "starts_at", "ends_at", "cap", "offer",
    "weight", "experience",
}  # fmt: skip
_DATES = ("starts_at", "ends_at")


@dataclass(frozen=True, slots=True)
class Around:
    """What a page is checked against: blocks and media, facts, the fields of each block type, the site's templates."""

    known: Known
    facts: Vocabulary
    fields: Mapping[str, Sequence[Field]]
    templates: Mapping[str, Sequence[Mapping[str, Any]]]
    experiences: frozenset[str] = frozenset()


def around(site: Site, *, known: Known, facts: Vocabulary) -> Around:
    """Load what the pages of a site are checked against."""
    types = BlockType.objects.filter(site=site).values_list("key", "fields")
    templates = Template.objects.filter(site=site).values_list("key", "slots")
    experiences = frozenset(Experience.objects.filter(site=site).values_list("key", flat=True))
    parsed = {key: parse_fields(fields)[0] for key, fields in types}
    return Around(known, facts, parsed, dict(templates), experiences)


def content_problems(
    content: Mapping[str, Any], *, site: Site, known: Known, facts: Vocabulary
) -> list[Problem]:
    """Say what is wrong with a page as written; whether it can be published is `cms.publishing`'s question."""
    return list(_page(content, around(site, known=known, facts=facts)))


def _page(content: Mapping[str, Any], it: Around) -> Iterator[Problem]:
    shape = list(_shape(content))
    yield from shape
    if shape:
        return
    try:
        valid_path(normalise(content["path"]))
    except ValidationError as error:
        yield Problem("invalid_path", "/path", error.messages[0])
    yield from _title(content.get("title"), it.known.locales)
    yield from _dates(content, "", "go_live_at", "expire_at")
    yield from _templates(content, it)
    yield from _slots(content, it)


def _shape(content: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is of the wrong type down to the variants."""
    for name, wanted in (("meta", dict), ("slots", dict), ("templates", list)):
        if content.get(name) is not None and not isinstance(content[name], wanted):
            yield Problem("wrong_type", f"/{name}", f"'{name}' has the wrong type.")
            return
    if not isinstance(content.get("path"), str):
        yield Problem("invalid_path", "/path", "A page has a path, such as /outdoor.")
    for index, item in enumerate(content.get("templates") or ()):
        if not isinstance(item, Mapping):
            yield Problem(
                "wrong_type", f"/templates/{index}", "A template is an object with template and when."
            )
    for slot, placements in (content.get("slots") or {}).items():
        yield from _placement_shapes(placements, step("/slots", slot))


def _placement_shapes(placements: object, place: str) -> Iterator[Problem]:
    if not isinstance(placements, list):
        yield Problem("wrong_type", place, "A slot is a list of placements.")
        return
    for index, placement in enumerate(placements):
        if not isinstance(placement, Mapping):
            yield Problem("wrong_type", f"{place}/{index}", "A placement is an object with its variants.")
            continue
        variants = placement.get("variants") or []
        if not isinstance(variants, list) or not all(isinstance(v, Mapping) for v in variants):
            yield Problem("wrong_type", f"{place}/{index}/variants", "The variants are a list of objects.")


def _title(title: object, locales: Sequence[str]) -> Iterator[Problem]:
    if title is None or isinstance(title, str):
        return
    if not isinstance(title, Mapping) or not all(isinstance(one, str) for one in title.values()):
        yield Problem("wrong_type", "/title", "A title is text, or text per locale.")
        return
    for locale in title.keys() - set(locales):
        yield Problem("unknown_locale", step("/title", locale), f"This site has no locale '{locale}'.")


def _dates(item: Mapping[str, Any], place: str, first: str, last: str) -> Iterator[Problem]:
    for name in (first, last):
        if item.get(name) is not None and as_date(item[name]) is None:
            yield Problem("wrong_type", f"{place}/{name}", f"'{item[name]}' is not a date.")
    begins, ends = as_date(item.get(first)), as_date(item.get(last))
    if begins and ends and begins >= ends:
        yield Problem("ends_before_it_starts", f"{place}/{last}", "It ends before it starts.")


def listed_templates(content: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the ordered templates of a page, whichever way it names them; a draft may have none yet."""
    if content.get("template") is not None:
        return [{"template": content["template"], "default": True}]
    return content.get("templates") or []


def _templates(content: Mapping[str, Any], it: Around) -> Iterator[Problem]:
    listed = listed_templates(content)
    for index, item in enumerate(listed):
        place = "/template" if content.get("template") is not None else f"/templates/{index}"
        key = item.get("template")
        if not isinstance(key, str) or key not in it.templates:
            yield Problem("unknown_template", place, f"There is no template '{key}'.")
        if item.get("default") and item.get("when"):
            yield Problem("default_is_plain", place, "The default template has no rule.")
        yield from rule_problems(item.get("when"), it.facts, f"{place}/when")
    if sum(bool(item.get("default")) for item in listed) > 1:
        yield Problem("two_defaults", "/templates", "A page has one default template.")


def _slots(content: Mapping[str, Any], it: Around) -> Iterator[Problem]:
    keys = [item.get("template") for item in listed_templates(content)]
    slots = {s["key"]: s for key in keys if isinstance(key, str) for s in it.templates.get(key, ())}
    seen: set[str] = set()
    for slot, placements in (content.get("slots") or {}).items():
        place = step("/slots", slot)
        if slot not in slots:
            yield Problem("unknown_slot", place, f"No template of this page has a slot '{slot}'.")
            continue
        yield from _slot(slots[slot], placements, place, it)
        for index, placement in enumerate(placements):
            key = str(placement.get("placement"))
            if key in seen:
                sentence = f"There are two placements '{key}'."
                yield Problem("duplicate_key", f"{place}/{index}/placement", sentence)
            seen.add(key)


def _slot(
    slot: Mapping[str, Any], placements: Sequence[Mapping[str, Any]], place: str, it: Around
) -> Iterator[Problem]:
    most = slot.get("max")
    if most is not None and len(placements) > most:
        sentence = f"The slot '{slot['key']}' takes at most {most} placements, not {len(placements)}."
        yield Problem("too_many", place, sentence)
    for index, placement in enumerate(placements):
        key = placement.get("placement")
        if not is_key(key):
            yield Problem("invalid_key", f"{place}/{index}/placement", f"'{key}' is not a key.")
        variants = placement.get("variants") or []
        yield from interval_problems(placement.get("min_interval"), f"{place}/{index}/min_interval")
        yield from rotation_problems(placement.get("rotation"), f"{place}/{index}/rotation")
        yield from _siblings(variants, f"{place}/{index}/variants")
        for n, variant in enumerate(variants):
            yield from _variant(slot, variant, variants, f"{place}/{index}/variants/{n}", it)


def _siblings(variants: Sequence[Mapping[str, Any]], place: str) -> Iterator[Problem]:
    """Yield what variants of one placement may not share."""
    seen: set[str] = set()
    for n, variant in enumerate(variants):
        key = variant.get("key")
        if not is_key(key):
            yield Problem("invalid_key", f"{place}/{n}/key", f"'{key}' is not a key.")
        elif key in seen:
            yield Problem("duplicate_key", f"{place}/{n}/key", f"There are two variants '{key}'.")
        seen.add(str(key))
    if sum(bool(variant.get("default")) for variant in variants) > 1:
        yield Problem("two_defaults", place, "A placement has one default.")


def _variant(
    slot: Mapping[str, Any],
    variant: Mapping[str, Any],
    siblings: Sequence[Mapping[str, Any]],
    place: str,
    it: Around,
) -> Iterator[Problem]:
    for name in variant.keys() - _VARIANT_ATTRIBUTES:
        yield Problem("unknown_attribute", step(place, name), f"A variant has no '{name}'.")
    shown = (variant.get("block"), variant.get("override"), variant.get("hide") or None)
    if sum(one is not None for one in shown) > 1:
        yield Problem("one_of", place, "A variant has exactly one of block, override and hide.")
    if variant.get("default") and any(variant.get(n) for n in ("when", "cap", "override", "hide", *_DATES)):
        yield Problem(
            "default_is_plain", place, "The default shows a block, and has no rule, no dates and no cap."
        )
    yield from _block(slot, variant.get("block"), place, it)
    yield from rule_problems(variant.get("when"), it.facts, f"{place}/when")
    if (changed := overrides(variant, siblings, it, pointer=f"{place}/override")) is not None:
        yield from changed.problems
    yield from _dates(variant, place, *_DATES)
    yield from cap_problems(variant.get("cap"), f"{place}/cap")
    yield from weight_problems(variant.get("weight"), f"{place}/weight")
    experience = variant.get("experience")
    if experience is not None and experience not in it.experiences:
        yield Problem("unknown_experience", f"{place}/experience", f"There is no experience '{experience}'.")


def _block(slot: Mapping[str, Any], key: object, place: str, it: Around) -> Iterator[Problem]:
    if key is None:
        return
    kind = it.known.blocks.get(key) if isinstance(key, str) else None
    if kind is None:
        yield Problem("unknown_block", f"{place}/block", f"There is no block '{key}'.")
    elif slot.get("types") and kind not in slot["types"]:
        sentence = f"'{key}' is a {kind}; the slot '{slot['key']}' takes {', '.join(slot['types'])}."
        yield Problem("type_not_allowed", f"{place}/block", sentence)


def rule_problems(rule: object, facts: Vocabulary, place: str) -> list[Problem]:
    """Say what is wrong with a rule; none at all is fine."""
    if rule is None or rule == {}:
        return []
    try:
        return below(place, check(parse(rule), facts))
    except RuleError as error:
        return below(place, error.problems)


def overrides(
    variant: Mapping[str, Any], siblings: Sequence[Mapping[str, Any]], it: Around, *, pointer: str = ""
) -> Cleaned | None:
    """Return what a variant overrides, in its one spelling and with its problems; None when it overrides nothing."""
    if variant.get("override") is None:
        return None
    base = next((v.get("block") for v in siblings if v.get("default")), None)
    kind = it.known.blocks.get(base) if isinstance(base, str) else None
    if kind is None:
        result = Cleaned()
        result.problem(
            "override_without_base", pointer, "An override changes the default's block, and there is none."
        )
        return result
    return clean_overrides(it.fields.get(kind, ()), variant["override"], known=it.known, pointer=pointer)
