"""Write pages: the rows of the working copy, and the content they spell.

A page's content has the shape of a bundle's page (CONTRACT §5). `content_of` reads the rows, `write_page`
replaces them; both keep to one spelling, so that writing what was read changes nothing.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction

from cms.content import known_to
from cms.errors import ContentError, errors_among
from cms.facts import vocabulary
from cms.fields import Known, moment
from cms.language.nodes import Problem
from cms.models import Block, Experience, Page, PageTemplate, Placement, Site, Template, Variant
from cms.pacing import spelled_pacing
from cms.page_checks import Around, around, listed_templates, overrides
from cms.page_checks import content_problems as content_problems
from cms.page_checks import rule_problems as rule_problems
from cms.paths import normalise


class _Unchanged(Exception):
    """Rolls back the writing of what is there already, so that rows keep their ids."""


def content_of(page: Page) -> dict[str, Any]:
    """Return the working copy of a page as a bundle spells it."""
    slots: dict[str, list[dict[str, Any]]] = {}
    placements = page.placements.prefetch_related("variants__block", "variants__experience").order_by(
        "slot", "position"
    )
    for placement in placements:
        variants = sorted(placement.variants.all(), key=lambda v: v.position)
        slots.setdefault(placement.slot, []).append(
            {
                "placement": placement.key,
                **spelled_pacing(min_interval=placement.min_interval, rotation=placement.rotation),
                "variants": [_spelled(variant) for variant in variants],
            }
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
    return (
        {}
        if not rows
        else {
            "templates": [
                {
                    "template": row.template.key,
                    **({"default": True} if row.is_default else {"when": row.rule}),
                }
                for row in rows
            ]
        }
    )


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
    experience = variant.experience.key if variant.experience else None
    return spelled | spelled_pacing(
        cap=variant.cap, offer=variant.offer, weight=variant.weight, experience=experience
    )


def _spelled_date(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@transaction.atomic
def write_page(content: Mapping[str, Any], *, site: Site, known: Known | None = None) -> tuple[Page, bool]:
    """Write the working copy of a page; return it and whether anything changed.

    Raises ContentError with the place of everything that is wrong; then nothing is written.
    """
    known, facts = known or known_to(site), vocabulary(site.pk)
    if errors := errors_among(content_problems(content, site=site, known=known, facts=facts)):
        raise ContentError(errors)
    path = normalise(content["path"])
    rows = Page.objects.select_for_update(of=("self",)).filter(site=site, path=path)
    page = rows.first() or Page(site=site, path=path)
    before = content_of(page) if page.pk else None
    try:
        with transaction.atomic():
            _write_rows(page, content, around(site, known=known, facts=facts))
            if content_of(page) == before:
                raise _Unchanged
    except _Unchanged:
        return Page.objects.get(pk=page.pk), False
    except IntegrityError as error:
        raise ContentError([Problem("constraint", "", str(error).splitlines()[0])]) from error
    return page, True


def _write_rows(page: Page, content: Mapping[str, Any], it: Around) -> None:
    title = content.get("title") or {}
    page.title = {page.site.default_locale: title} if isinstance(title, str) else title
    page.meta = content.get("meta") or {}
    page.go_live_at, page.expire_at = moment(content.get("go_live_at")), moment(content.get("expire_at"))
    page.save()
    _write_templates(page, content)
    _write_placements(page, content.get("slots") or {}, it)


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
        for index, item in enumerate(listed_templates(content))
    )


def _write_placements(page: Page, slots: Mapping[str, Any], it: Around) -> None:
    blocks = {b.key: b for b in Block.objects.filter(site=page.site)} if slots else {}
    page.placements.all().delete()
    rows = [
        (_placement(page, slot, index, item), item.get("variants") or [])
        for slot, items in slots.items()
        for index, item in enumerate(items)
    ]
    Placement.objects.bulk_create([placement for placement, _ in rows])
    Variant.objects.bulk_create(
        _variant(placement, position, variant, variants, blocks, it)
        for placement, variants in rows
        for position, variant in enumerate(variants)
    )


def _placement(page: Page, slot: str, index: int, item: Mapping[str, Any]) -> Placement:
    return Placement(
        page=page,
        slot=slot,
        position=index,
        key=item["placement"],
        min_interval=item.get("min_interval") or "",
        rotation=item.get("rotation"),
    )


def _variant(
    placement: Placement,
    position: int,
    spelled: Mapping[str, Any],
    siblings: Sequence[Mapping[str, Any]],
    blocks: Mapping[str, Block],
    it: Around,
) -> Variant:
    changed = overrides(spelled, siblings, it)
    base = next((blocks.get(v.get("block") or "") for v in siblings if v.get("default")), None)
    return Variant(
        placement=placement,
        position=position,
        key=spelled["key"],
        kind=_kind(spelled),
        block=blocks.get(spelled.get("block") or ""),
        overrides=changed.data if changed else None,
        base_revision_id=base.published_id if base and changed else None,
        rule=spelled.get("when") or None,
        starts_at=moment(spelled.get("starts_at")),
        ends_at=moment(spelled.get("ends_at")),
        cap=spelled.get("cap"),
        offer=bool(spelled.get("offer")),
        weight=spelled.get("weight") or 1,
        experience=_experience(spelled.get("experience"), placement),
        is_default=bool(spelled.get("default")),
    )


def _experience(key: object, placement: Placement) -> Experience | None:
    if not key:
        return None
    return Experience.objects.filter(site=placement.page.site_id, key=str(key)).first()


def _kind(spelled: Mapping[str, Any]) -> str:
    if spelled.get("hide"):
        return Variant.Kind.HIDE
    return Variant.Kind.REPLACE if spelled.get("override") is None else Variant.Kind.OVERRIDE
