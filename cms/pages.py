"""Write pages: the rows of the working copy, and the content they spell.

A page's content has the shape of a bundle's page (CONTRACT §5). `content_of` reads the rows, `write_page`
replaces them; both keep to one spelling, so that writing what was read changes nothing.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from cms.content import known_to
from cms.errors import ContentError, below, errors_among
from cms.facts import vocabulary
from cms.fields import Known, as_date, clean_overrides, parse_fields
from cms.keys import KEY_PATTERN
from cms.language.check import check
from cms.language.nodes import Problem, RuleError
from cms.language.parse import parse
from cms.language.vocabulary import Vocabulary
from cms.models import Block, BlockType, Page, PageTemplate, Placement, Site, Template, Variant
from cms.paths import normalise, valid_path

_VARIANT_KEYS = {"key", "when", "block", "override", "hide", "default", "starts_at", "ends_at", "cap"}


def content_of(page: Page) -> dict[str, Any]:
    """Return the working copy of a page as a bundle spells it."""
    slots: dict[str, list[dict[str, Any]]] = {}
    placements = page.placements.prefetch_related("variants__block").order_by("slot", "position")
    for placement in placements:
        variants = sorted(placement.variants.all(), key=lambda v: v.position)
        slots.setdefault(placement.slot, []).append(
            {"placement": placement.key, "variants": [_spelled(variant) for variant in variants]}
        )
    content: dict[str, Any] = {"path": page.path, "title": page.title, "meta": page.meta, "slots": slots}
    content |= _spelled_templates(page)
    for name in ("go_live_at", "expire_at"):
        if moment := getattr(page, name):
            content[name] = _spelled_date(moment)
    return content


def _spelled_templates(page: Page) -> dict[str, Any]:
    rows = list(page.templates.select_related("template").order_by("position"))
    if len(rows) == 1 and rows[0].is_default:
        return {"template": rows[0].template.key}
    return {
        "templates": [
            {"template": row.template.key, **({"default": True} if row.is_default else {"when": row.rule})}
            for row in rows
        ]
    }


def _spelled(variant: Variant) -> dict[str, Any]:
    spelled: dict[str, Any] = {"key": variant.key}
    if variant.rule:
        spelled["when"] = variant.rule
    if variant.is_default:
        spelled["default"] = True
    if variant.kind == Variant.Kind.HIDE:
        spelled["hide"] = True
    elif variant.kind == Variant.Kind.OVERRIDE:
        spelled["override"] = variant.overrides
    else:
        spelled["block"] = variant.block.key if variant.block else None
    for name in ("starts_at", "ends_at"):
        if moment := getattr(variant, name):
            spelled[name] = _spelled_date(moment)
    if variant.cap:
        spelled["cap"] = variant.cap
    return spelled


def _spelled_date(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def content_problems(
    content: Mapping[str, Any], *, site: Site, known: Known, facts: Vocabulary
) -> list[Problem]:
    """Say what is wrong with a page as written; whether it can be published is `cms.publishing`'s question."""
    problems: list[Problem] = []
    try:
        valid_path(normalise(content["path"]))
    except ValidationError as error:
        problems.append(Problem("invalid_path", "/path", error.messages[0]))
    slots: dict[str, Mapping[str, Any]] = {}
    for index, item in enumerate(_listed_templates(content)):
        row = Template.objects.filter(site=site, key=item.get("template")).first()
        if row is None:
            problems.append(
                Problem(
                    "unknown_template",
                    f"/templates/{index}",
                    f"There is no template '{item.get('template')}'.",
                )
            )
        else:
            slots |= {slot["key"]: slot for slot in row.slots}
        problems += rule_problems(item.get("when"), facts, f"/templates/{index}/when")
    for slot, placements in content.get("slots", {}).items():
        if slot not in slots:
            problems.append(
                Problem("unknown_slot", f"/slots/{slot}", f"No template of this page has a slot '{slot}'.")
            )
            continue
        problems += _slot_problems(slots[slot], placements, known, facts, site)
    problems += _duplicates(content)
    return problems


def _listed_templates(content: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return content.get("templates") or [{"template": content.get("template"), "default": True}]


def _duplicates(content: Mapping[str, Any]) -> list[Problem]:
    seen: set[str] = set()
    problems = []
    for slot, placements in content.get("slots", {}).items():
        for index, placement in enumerate(placements):
            key = placement.get("placement")
            if key in seen:
                problems.append(
                    Problem(
                        "duplicate_key",
                        f"/slots/{slot}/{index}/placement",
                        f"There are two placements '{key}'.",
                    )
                )
            seen.add(key)
    return problems


def _slot_problems(
    slot: Mapping[str, Any],
    placements: Sequence[Mapping[str, Any]],
    known: Known,
    facts: Vocabulary,
    site: Site,
) -> list[Problem]:
    place = f"/slots/{slot['key']}"
    problems = []
    if slot.get("max") is not None and len(placements) > slot["max"]:
        problems.append(
            Problem(
                "too_many",
                place,
                f"The slot '{slot['key']}' takes at most {slot['max']} placements, not {len(placements)}.",
            )
        )
    for index, placement in enumerate(placements):
        key = placement.get("placement")
        if not isinstance(key, str) or not KEY_PATTERN.match(key):
            problems.append(Problem("invalid_key", f"{place}/{index}/placement", f"'{key}' is not a key."))
        variants = placement.get("variants") or []
        for n, variant in enumerate(variants):
            problems += _variant_problems(
                slot, variant, variants, known, facts, site, f"{place}/{index}/variants/{n}"
            )
    return problems


def _variant_problems(
    slot: Mapping[str, Any],
    variant: Mapping[str, Any],
    siblings: Sequence[Mapping[str, Any]],
    known: Known,
    facts: Vocabulary,
    site: Site,
    place: str,
) -> list[Problem]:
    problems = [
        Problem("unknown_attribute", f"{place}/{name}", f"A variant has no '{name}'.")
        for name in variant.keys() - _VARIANT_KEYS
    ]
    if (
        sum(
            (variant.get("block") is not None, variant.get("override") is not None, bool(variant.get("hide")))
        )
        > 1
    ):
        problems.append(Problem("one_of", place, "A variant has exactly one of block, override and hide."))
    if variant.get("default") and (variant.get("when") or variant.get("starts_at") or variant.get("ends_at")):
        problems.append(Problem("default_is_plain", place, "The default has no rule and no dates."))
    block = variant.get("block")
    if block is not None and block not in known.blocks:
        problems.append(Problem("unknown_block", f"{place}/block", f"There is no block '{block}'."))
    elif block is not None and slot.get("types") and known.blocks[block] not in slot["types"]:
        problems.append(
            Problem(
                "type_not_allowed",
                f"{place}/block",
                f"'{block}' is a {known.blocks[block]}; the slot '{slot['key']}' takes {', '.join(slot['types'])}.",
            )
        )
    problems += rule_problems(variant.get("when"), facts, f"{place}/when")
    problems += _override_problems(variant, siblings, known, site, place)
    return problems + _date_problems(variant, place)


def rule_problems(rule: object, facts: Vocabulary, place: str) -> list[Problem]:
    """Say what is wrong with a rule; none at all is fine."""
    if rule in (None, {}):
        return []
    try:
        return below(place, check(parse(rule), facts))
    except RuleError as error:
        return below(place, error.problems)


def _override_problems(
    variant: Mapping[str, Any], siblings: Sequence[Mapping[str, Any]], known: Known, site: Site, place: str
) -> list[Problem]:
    if variant.get("override") is None:
        return []
    default = next((v for v in siblings if v.get("default")), None)
    type_key = known.blocks.get((default or {}).get("block") or "")
    if type_key is None:
        return [
            Problem(
                "override_without_base", place, "An override changes the default's block, and there is none."
            )
        ]
    fields, _ = parse_fields(BlockType.objects.get(site=site, key=type_key).fields)
    return clean_overrides(fields, variant["override"], known=known, pointer=f"{place}/override").problems


def _date_problems(variant: Mapping[str, Any], place: str) -> list[Problem]:
    problems = []
    for name in ("starts_at", "ends_at"):
        if variant.get(name) is not None and as_date(variant[name]) is None:
            problems.append(Problem("wrong_type", f"{place}/{name}", f"'{variant[name]}' is not a date."))
    starts, ends = as_date(variant.get("starts_at")), as_date(variant.get("ends_at"))
    if starts and ends and starts >= ends:
        problems.append(
            Problem("ends_before_it_starts", f"{place}/ends_at", "The variant ends before it starts.")
        )
    return problems


@transaction.atomic
def write_page(content: Mapping[str, Any], *, site: Site, known: Known | None = None) -> tuple[Page, bool]:
    """Write the working copy of a page; return it and whether anything changed.

    Raises ContentError with the place of everything that is wrong; then nothing is written.
    """
    problems = content_problems(content, site=site, known=known or known_to(site), facts=vocabulary(site.pk))
    if errors := errors_among(problems):
        raise ContentError(errors)
    path = normalise(content["path"])
    page = Page.objects.select_for_update(of=("self",)).filter(site=site, path=path).first() or Page(
        site=site, path=path
    )
    before = content_of(page) if page.pk else None
    _write_rows(page, content)
    return page, content_of(page) != before


def _write_rows(page: Page, content: Mapping[str, Any]) -> None:
    title = content.get("title") or {}
    page.title = {page.site.default_locale: title} if isinstance(title, str) else title
    page.meta = content.get("meta") or {}
    page.go_live_at, page.expire_at = _moment(content.get("go_live_at")), _moment(content.get("expire_at"))
    page.save()
    try:
        with transaction.atomic():
            _write_templates(page, content)
            _write_placements(page, content)
    except IntegrityError as error:
        raise ContentError([Problem("constraint", "/slots", str(error).splitlines()[0])]) from error


def _write_templates(page: Page, content: Mapping[str, Any]) -> None:
    templates = {t.key: t for t in Template.objects.filter(site=page.site)}
    page.templates.all().delete()
    PageTemplate.objects.bulk_create(
        PageTemplate(
            page=page,
            position=index,
            template=templates[item["template"]],
            rule=None if item.get("default") else item.get("when"),
            is_default=bool(item.get("default")),
        )
        for index, item in enumerate(_listed_templates(content))
    )


def _write_placements(page: Page, content: Mapping[str, Any]) -> None:
    blocks = {b.key: b for b in Block.objects.filter(site=page.site)} if content.get("slots") else {}
    page.placements.all().delete()
    rows = [
        (Placement(page=page, slot=slot, position=index, key=item["placement"]), item)
        for slot, items in content.get("slots", {}).items()
        for index, item in enumerate(items)
    ]
    Placement.objects.bulk_create([placement for placement, _ in rows])
    Variant.objects.bulk_create(
        _variant(placement, position, variant, item["variants"], blocks)
        for placement, item in rows
        for position, variant in enumerate(item.get("variants") or [])
    )


def _variant(
    placement: Placement,
    position: int,
    spelled: Mapping[str, Any],
    siblings: Sequence[Mapping[str, Any]],
    blocks: Mapping[str, Block],
) -> Variant:
    override = spelled.get("override")
    kind = (
        Variant.Kind.HIDE
        if spelled.get("hide")
        else Variant.Kind.OVERRIDE
        if override is not None
        else Variant.Kind.REPLACE
    )
    base = next((blocks.get(v.get("block") or "") for v in siblings if v.get("default")), None)
    return Variant(
        placement=placement,
        position=position,
        key=spelled["key"],
        kind=kind,
        block=blocks.get(spelled.get("block") or "") if kind == Variant.Kind.REPLACE else None,
        overrides=override,
        base_revision_id=base.published_id if base and kind == Variant.Kind.OVERRIDE else None,
        rule=spelled.get("when") or None,
        starts_at=_moment(spelled.get("starts_at")),
        ends_at=_moment(spelled.get("ends_at")),
        cap=spelled.get("cap"),
        is_default=bool(spelled.get("default")),
    )


def _moment(value: object) -> dt.datetime | None:
    spelled = as_date(value)
    return dt.datetime.fromisoformat(spelled) if spelled else None
