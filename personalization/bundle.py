"""Whole bundles: content, and what personalization adds to it (traits, attributes, segments).

Idempotent and all or nothing: with any error nothing is kept, and the report says where each one is.
"""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import transaction

from cms.bundle import PARTS, Report, dump_content, listed, load_content, load_structure, publish_loaded
from cms.errors import errors_among
from cms.language.nodes import Problem
from cms.models import Site
from cms.models.site import current_site
from consent.models import Purpose
from personalization.models import Attribute, Segment, Trait
from personalization.models.segments import TRAIT_TYPES
from personalization.segments.directory import rebuild, segment_problems

KNOWN_PARTS = {"tessera", "locales", "traits", "attributes", "segments", "events", *PARTS}


class _Undone(Exception):
    """Rolls back a load that had errors, or that was only tried."""


def load_bundle(
    bundle: object,
    *,
    now: dt.datetime,
    publish: bool = False,
    dry_run: bool = False,
    folder: Path | None = None,
) -> Report:
    """Load a bundle into the site; `folder` is where the files of its media lie."""
    report = Report()
    if not isinstance(bundle, Mapping) or bundle.get("tessera") != 1:
        report.problems.append(Problem("not_a_bundle", "/tessera", 'A bundle begins with {"tessera": 1}.'))
        return report
    for part in bundle.keys() - KNOWN_PARTS:
        report.problems.append(Problem("unknown_part", f"/{part}", f"A bundle has no part '{part}'."))
    try:
        with transaction.atomic():
            _load(bundle, current_site(), report, now=now, publish=publish, folder=folder)
            if dry_run or errors_among(report.problems):
                raise _Undone
    except _Undone:
        return report
    return report


def _load(
    bundle: Mapping[str, Any],
    site: Site,
    report: Report,
    *,
    now: dt.datetime,
    publish: bool,
    folder: Path | None,
) -> None:
    _load_locales(bundle, site, report)
    templates = load_structure(bundle, site, report, folder=folder)
    for index, entry in listed(bundle, "traits", report):
        _load_trait(entry, site, report, f"/traits/{index}")
    for _, entry in listed(bundle, "attributes", report):
        default = entry.get("default") or {}
        row, made = Attribute.objects.get_or_create(
            site=site, key=entry["key"], defaults={"default": default}
        )
        changed = made or row.default != default
        if changed:
            row.default = default
            row.save()
        report.count("attributes", changed)
    _load_segments(bundle, site, report)
    if errors_among(report.problems):
        return
    rebuild(site)
    site.refresh_from_db()
    blocks, pages = load_content(bundle, site, report, now=now)
    if publish and not errors_among(report.problems):
        publish_loaded(blocks, pages, templates, report, now=now)


def _load_locales(bundle: Mapping[str, Any], site: Site, report: Report) -> None:
    locales = bundle.get("locales")
    if locales is None:
        return
    if (
        not isinstance(locales, list)
        or not locales
        or not all(isinstance(one, str) and one for one in locales)
    ):
        report.problems.append(
            Problem("wrong_type", "/locales", "locales is a list of locales, the default first.")
        )
    elif locales != site.locales:
        site.locales = locales
        site.save(update_fields=["locales"])
        site.advance()
        report.count("locales", True)


def _load_trait(entry: Mapping[str, Any], site: Site, report: Report, pointer: str) -> None:
    if entry.get("type") not in TRAIT_TYPES:
        report.problems.append(
            Problem(
                "unknown_type",
                f"{pointer}/type",
                f"A trait is {', '.join(TRAIT_TYPES)}, not '{entry.get('type')}'.",
            )
        )
        return
    if not Purpose.objects.filter(key=entry.get("purpose")).exists():
        report.problems.append(
            Problem("unknown_purpose", f"{pointer}/purpose", f"There is no purpose '{entry.get('purpose')}'.")
        )
        return
    values = {
        "title": entry.get("title", ""),
        "type": entry["type"],
        "purpose": entry["purpose"],
        "source": Trait.Source.SERVER if entry.get("from") == "server" else Trait.Source.ANYWHERE,
        "identifying": bool(entry.get("identifying")),
        "default": entry.get("default") or {},
    }
    report.count("traits", _written(Trait, site, entry["key"], values))


def _load_segments(bundle: Mapping[str, Any], site: Site, report: Report) -> None:
    entries = listed(bundle, "segments", report)
    for position, (index, entry) in enumerate(entries):
        kind = entry.get("kind", "rule")
        if kind not in Segment.Kind.values:
            report.problems.append(
                Problem("unknown_kind", f"/segments/{index}/kind", f"There is no kind '{kind}'.")
            )
            continue
        values = {
            "title": entry.get("title") or entry["key"],
            "kind": kind,
            "rule": entry.get("rule") or {},
            "attributes": entry.get("attributes") or {},
            "priority": entry.get("priority", 100),
            "position": position,
            "min_size": entry.get("min_size", 50),
        }
        if kind == "list":
            values["purposes"] = entry.get("purposes") or []
        report.count("segments", _written(Segment, site, entry["key"], values))
    for index, entry in entries:
        segment = Segment.objects.filter(site=site, key=entry["key"]).first()
        if segment is None:
            continue
        _set_parent(segment, entry.get("parent"), report, f"/segments/{index}")
        report.add(f"/segments/{index}", segment_problems(segment))


def _set_parent(segment: Segment, key: str | None, report: Report, pointer: str) -> None:
    parent = Segment.objects.filter(site=segment.site, key=key).first() if key else None
    if key and parent is None:
        report.problems.append(
            Problem("unknown_segment", f"{pointer}/parent", f"There is no segment '{key}'.")
        )
    elif (parent.pk if parent else None) != segment.parent_id:
        segment.parent = parent
        segment.save()


def _written(model: Any, site: Site, key: str, values: Mapping[str, Any]) -> bool:
    """Add or update one row by key; return whether that changed anything."""
    row = model.objects.filter(site=site, key=key).first()
    if row is None:
        model.objects.create(site=site, key=key, **values)
        return True
    if all(getattr(row, name) == value for name, value in values.items()):
        return False
    for name, value in values.items():
        setattr(row, name, value)
    row.save()
    return True


def dump_bundle(site: Site) -> dict[str, Any]:
    """Return the site's content as a bundle: never visitors, consents or keys."""
    content = dump_content(site)
    return {
        "tessera": 1,
        "locales": site.locales,
        "media": content["media"],
        "traits": [_dump_trait(t) for t in Trait.objects.filter(site=site)],
        "attributes": [{"key": a.key, "default": a.default} for a in Attribute.objects.filter(site=site)],
        "segments": [_dump_segment(s) for s in Segment.objects.filter(site=site).order_by("position", "pk")],
        **{part: content[part] for part in PARTS if part != "media"},
    }


def _dump_trait(row: Trait) -> dict[str, Any]:
    dumped: dict[str, Any] = {"key": row.key, "type": row.type, "purpose": row.purpose}
    if row.title:
        dumped["title"] = row.title
    if row.source == Trait.Source.SERVER:
        dumped["from"] = "server"
    if row.identifying:
        dumped["identifying"] = True
    if row.default:
        dumped["default"] = row.default
    return dumped


def _dump_segment(row: Segment) -> dict[str, Any]:
    dumped: dict[str, Any] = {"key": row.key, "title": row.title, "kind": row.kind, "rule": row.rule}
    dumped |= {"attributes": row.attributes, "priority": row.priority, "min_size": row.min_size}
    if row.parent:
        dumped["parent"] = row.parent.key
    if row.kind == Segment.Kind.LIST:
        dumped["purposes"] = row.purposes
    return dumped
