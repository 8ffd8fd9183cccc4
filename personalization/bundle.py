"""Whole bundles: content, and what personalization adds to it (traits, attributes, segments).

Idempotent and all or nothing: with any error nothing is kept, and the report says where each one is.
"""

import datetime as dt
import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.db import transaction

from cms.bundles.content import load_content, publish_loaded
from cms.bundles.dump import dump_content
from cms.bundles.parts import PARTS, Report, listed, text_problems, texts, written
from cms.bundles.structure import load_structure
from cms.errors import errors_among
from cms.language.nodes import Problem
from cms.language.parse import step
from cms.models import Site
from cms.models.site import current_site
from cms.publishing import recompile_all
from consent.models import Purpose
from personalization.events import forget_declared
from personalization.ingest.catalogue import schema_problem
from personalization.models import Attribute, EventType, Segment, Trait
from personalization.models.segments import TRAIT_TYPES
from personalization.segments.directory import rebuild, segment_problems

KNOWN_PARTS = {"tessera", "locales", "traits", "attributes", "segments", "events", *PARTS}
MAX_DEPTH = 40
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_TRAIT_ATTRIBUTES = {"key", "title", "type", "purpose", "from", "identifying", "default", "label"}
_EVENT_ATTRIBUTES = {"key", "title", "description", "schema", "purposes", "from"}
_SEGMENT_ATTRIBUTES = {
    "key", "title", "kind", "rule", "score", "tiers", "parent", "attributes", "purposes", "priority", "min_size", "label",
    "topic",
}  # fmt: skip


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
    report.problems += door_problems(bundle)
    if errors_among(report.problems):
        return report
    try:
        with transaction.atomic():
            _load(bundle, current_site(), report, now=now, publish=publish, folder=folder)
            if dry_run or errors_among(report.problems):
                raise _Undone
    except _Undone:
        for row in report.pictures:
            row.file.delete(save=False)
    return report


def door_problems(bundle: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what must not come in at all: parts that do not exist, NUL characters, nesting without end."""
    for part in bundle.keys() - KNOWN_PARTS:
        hint = difflib.get_close_matches(str(part), KNOWN_PARTS, n=1)
        sentence = f"A bundle has no part '{part}'." + (f" Did you mean '{hint[0]}'?" if hint else "")
        yield Problem("unknown_part", step("", str(part)), sentence)
    todo: list[tuple[str, Any, int]] = [("", dict(bundle), 0)]
    while todo:
        pointer, value, depth = todo.pop()
        if depth > MAX_DEPTH:
            yield Problem("too_deep", pointer[:200], f"A bundle nests at most {MAX_DEPTH} deep.")
            return
        if isinstance(value, str) and "\x00" in value:
            yield Problem("nul_character", pointer, "A text contains a NUL character.")
        elif isinstance(value, Mapping | list):
            parts = value.items() if isinstance(value, Mapping) else enumerate(value)
            todo += [(step(pointer, key), part, depth + 1) for key, part in parts]
            if isinstance(value, Mapping) and any("\x00" in str(key) for key in value):
                yield Problem("nul_character", pointer, "A name contains a NUL character.")


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
    retyped = load_structure(bundle, site, report, folder=folder)
    for index, entry in listed(bundle, "traits", report, known=_TRAIT_ATTRIBUTES):
        _load_trait(entry, site, report, f"/traits/{index}")
    for index, entry in listed(bundle, "attributes", report, known={"key", "title", "default"}):
        _load_attribute(entry, site, report, f"/attributes/{index}")
    for index, entry in listed(bundle, "events", report, known=_EVENT_ATTRIBUTES):
        _load_event(entry, site, report, f"/events/{index}")
    _load_segments(bundle, site, report)
    if errors_among(report.problems):
        return
    rebuild(site)
    site.refresh_from_db()
    blocks, pages = load_content(bundle, site, report, now=now, retyped=retyped)
    if errors_among(report.problems):
        return
    if publish:
        publish_loaded(blocks, pages, site, report, now=now)
    if report.changed.get("locales"):  # every published page answers in every locale
        recompile_all(site, now=now, cause="Locales changed")
    elif report.changed.get("site"):  # and carries the cap over all offers
        recompile_all(site, now=now, cause="The site's settings changed")


def _load_locales(bundle: Mapping[str, Any], site: Site, report: Report) -> None:
    """Take over the order of the bundle's locales; a locale that only the site has stays, behind them."""
    locales = bundle.get("locales")
    if locales is None:
        return
    if not isinstance(locales, list) or not locales or not all(_is_locale(one) for one in locales):
        sentence = 'locales is a list such as ["en", "de-AT"], the default first.'
        report.problems.append(Problem("wrong_type", "/locales", sentence))
        return
    merged = list(dict.fromkeys([*locales, *site.locales]))
    if merged != site.locales:
        site.locales = merged
        site.save(update_fields=["locales"])
        site.advance()
        report.count("locales", True)


def _is_locale(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 12 and _LOCALE.fullmatch(value) is not None


def _load_trait(entry: Mapping[str, Any], site: Site, report: Report, pointer: str) -> None:
    default, label = (texts(entry.get(name), site.default_locale) for name in ("default", "label"))
    problems = list(text_problems(default, site.locales, f"{pointer}/default"))
    problems += text_problems(label, site.locales, f"{pointer}/label")
    if entry.get("type") not in TRAIT_TYPES:
        sentence = f"A trait is {', '.join(TRAIT_TYPES)}, not '{entry.get('type')}'."
        problems.append(Problem("unknown_type", f"{pointer}/type", sentence))
    problems += _purpose_problems([entry.get("purpose")], f"{pointer}/purpose")
    if entry.get("from") not in (None, *Trait.Source.values):
        sentence = f"A trait comes from {' or '.join(Trait.Source.values)}."
        problems.append(Problem("unknown_option", f"{pointer}/from", sentence))
    report.problems += problems
    if problems:
        return
    values = {
        "title": entry.get("title") or "",
        "type": entry["type"],
        "purpose": entry["purpose"],
        "source": entry.get("from") or Trait.Source.ANYWHERE.value,
        "identifying": bool(entry.get("identifying")),
        "default": default,
        "label": label,
    }
    row = Trait.objects.filter(site=site, key=entry["key"]).first() or Trait(site=site, key=entry["key"])
    report.count("traits", bool(written(row, values, report, pointer)))


def _purpose_problems(purposes: object, pointer: str) -> Iterator[Problem]:
    known = set(Purpose.objects.values_list("key", flat=True))
    if not isinstance(purposes, list):
        yield Problem("wrong_type", pointer, "purposes is a list.")
        return
    for purpose in purposes:
        if not isinstance(purpose, str) or purpose not in known:
            yield Problem("unknown_purpose", pointer, f"There is no purpose '{purpose}'.")


def _load_attribute(entry: Mapping[str, Any], site: Site, report: Report, pointer: str) -> None:
    default = texts(entry.get("default"), site.default_locale)
    problems = list(text_problems(default, site.locales, f"{pointer}/default"))
    report.problems += problems
    if problems:
        return
    row = Attribute.objects.filter(site=site, key=entry["key"]).first()
    row = row or Attribute(site=site, key=entry["key"])
    report.count("attributes", bool(written(row, {"default": default}, report, pointer)))


def _load_event(entry: Mapping[str, Any], site: Site, report: Report, pointer: str) -> None:
    """Declare an event: what it looks like, and what it may be used for."""
    problems = list(_purpose_problems(entry.get("purposes") or [], f"{pointer}/purposes"))
    if (wrong := schema_problem(entry.get("schema") or {})) is not None:
        problems.append(Problem("invalid_schema", f"{pointer}/schema{wrong[0]}", wrong[1]))
    if entry.get("from") not in (None, *Trait.Source.values):
        sentence = f"An event comes from {' or '.join(Trait.Source.values)}."
        problems.append(Problem("unknown_option", f"{pointer}/from", sentence))
    report.problems += problems
    if problems:
        return
    values = {
        "title": entry.get("title") or "",
        "description": entry.get("description") or "",
        "schema": entry.get("schema") or {},
        "purposes": entry.get("purposes") or [],
        "from_server": entry.get("from") == Trait.Source.SERVER,
        "declared": True,
    }
    row = EventType.objects.filter(site=site, key=entry["key"]).first()
    report.count(
        "events", bool(written(row or EventType(site=site, key=entry["key"]), values, report, pointer))
    )
    forget_declared()


def _load_segments(bundle: Mapping[str, Any], site: Site, report: Report) -> None:
    entries = listed(bundle, "segments", report, known=_SEGMENT_ATTRIBUTES)
    changed = {
        index: _load_segment(entry, position, site, report, f"/segments/{index}")
        for position, (index, entry) in enumerate(entries)
    }
    for index, entry in entries:  # once all are there: a parent may stand below its child
        segment = Segment.objects.filter(site=site, key=entry["key"]).first()
        if segment is not None and not errors_among(report.problems):
            moved = _set_parent(segment, entry.get("parent"), report, f"/segments/{index}")
            report.add(f"/segments/{index}", segment_problems(segment))
            report.count("segments", changed[index] or moved)


def _load_segment(entry: Mapping[str, Any], position: int, site: Site, report: Report, pointer: str) -> bool:
    kind = entry.get("kind") or Segment.Kind.RULE.value
    problems = []
    if kind not in Segment.Kind.values:
        problems.append(Problem("unknown_kind", f"{pointer}/kind", f"There is no kind '{kind}'."))
    if not isinstance(entry.get("attributes") or {}, Mapping):
        problems.append(Problem("wrong_type", f"{pointer}/attributes", "attributes is an object."))
    label = texts(entry.get("label"), site.default_locale)
    problems += text_problems(label, site.locales, f"{pointer}/label")
    if kind == Segment.Kind.LIST:
        problems += _purpose_problems(entry.get("purposes") or [], f"{pointer}/purposes")
    report.problems += problems
    if problems:
        return False
    values = {
        "title": entry.get("title") or entry["key"],
        "kind": kind,
        "rule": entry.get("rule") or {},
        "score": entry.get("score") or {},
        "tiers": entry.get("tiers") or "",
        "label": label,
        "topic": entry.get("topic") or "",
        "attributes": entry.get("attributes") or {},
        "priority": entry.get("priority", 100),
        "position": position,
        "min_size": entry.get("min_size", 50),
    }
    if kind == Segment.Kind.LIST:
        values["purposes"] = entry.get("purposes") or []
    row = Segment.objects.filter(site=site, key=entry["key"]).first()
    return bool(written(row or Segment(site=site, key=entry["key"]), values, report, pointer))


def _set_parent(segment: Segment, key: object, report: Report, pointer: str) -> bool:
    """Let a segment lie in another one; return whether that changed anything."""
    parent = Segment.objects.filter(site=segment.site, key=str(key)).first() if key else None
    if key and parent is None:
        sentence = f"There is no segment '{key}'."
        report.problems.append(Problem("unknown_segment", f"{pointer}/parent", sentence))
        return False
    if (parent.pk if parent else None) == segment.parent_id:
        return False
    segment.parent = parent
    segment.save()
    return True


def dump_bundle(site: Site) -> dict[str, Any]:
    """Return the site's content as a bundle: never visitors, consents or keys."""
    content = dump_content(site)
    return {
        "tessera": 1,
        "locales": site.locales,
        "site": content["site"],
        "media": content["media"],
        "traits": [_dump_trait(t) for t in Trait.objects.filter(site=site)],
        "attributes": [{"key": a.key, "default": a.default} for a in Attribute.objects.filter(site=site)],
        "events": [_dump_event(e) for e in EventType.objects.filter(site=site, declared=True)],
        "segments": [_dump_segment(s) for s in Segment.objects.filter(site=site).order_by("position", "pk")],
        **{part: content[part] for part in PARTS if part not in ("site", "media")},
    }


def _dump_trait(row: Trait) -> dict[str, Any]:
    dumped: dict[str, Any] = {"key": row.key, "type": row.type, "purpose": row.purpose}
    if row.title:
        dumped["title"] = row.title
    if row.source == Trait.Source.SERVER:
        dumped["from"] = "server"
    if row.identifying:
        dumped["identifying"] = True
    return dumped | {name: getattr(row, name) for name in ("default", "label") if getattr(row, name)}


def _dump_event(row: EventType) -> dict[str, Any]:
    dumped: dict[str, Any] = {"key": row.key, "schema": row.schema, "purposes": row.purposes}
    dumped |= {name: getattr(row, name) for name in ("title", "description") if getattr(row, name)}
    if row.from_server:
        dumped["from"] = "server"
    return dumped


def _dump_segment(row: Segment) -> dict[str, Any]:
    dumped: dict[str, Any] = {"key": row.key, "title": row.title, "kind": row.kind, "rule": row.rule}
    dumped |= {"attributes": row.attributes, "priority": row.priority, "min_size": row.min_size}
    if row.parent:
        dumped["parent"] = row.parent.key
    dumped |= {
        name: getattr(row, name) for name in ("score", "tiers", "label", "topic") if getattr(row, name)
    }
    if row.kind == Segment.Kind.LIST:
        dumped["purposes"] = row.purposes
    return dumped
