"""Content as code: the parts of a bundle that are content, in and out.

In: a bundle (CONTRACT §5). Out: rows, added and updated by key; what it does not name is left alone, and the same
bundle twice changes nothing. Errors carry JSON pointers; the caller's transaction makes it all or nothing.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cms.content import checked, known_to, publish_block, save_block
from cms.errors import ContentError, below, errors_among
from cms.fields import parse_fields
from cms.keys import KEY_PATTERN
from cms.language.nodes import Problem
from cms.media import MediaError, set_picture
from cms.models import Block, BlockType, Media, Page, Site, Template
from cms.pages import content_of, write_page
from cms.publishing import publish_page, recompile_using, source_problems

PARTS = ("media", "block_types", "templates", "blocks", "pages")


@dataclass(slots=True)
class Report:
    """What a load changed, by kind, and every problem; any error means that nothing was kept."""

    changed: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def count(self, kind: str, changed: bool) -> None:
        self.changed[kind] = self.changed.get(kind, 0) + int(changed)

    def add(self, pointer: str, problems: Sequence[Problem]) -> None:
        self.problems += below(pointer, problems)


def listed(bundle: Mapping[str, Any], part: str, report: Report) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the entries of one part with their indexes; what is not an object with a key is a problem."""
    entries = bundle.get(part, [])
    if not isinstance(entries, list):
        report.problems.append(Problem("wrong_type", f"/{part}", f"{part} is a list."))
        return []
    good = []
    name = "path" if part == "pages" else "key"
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        key = entry.get(name) if isinstance(entry, Mapping) else None
        if not isinstance(key, str) or (name == "key" and not KEY_PATTERN.match(key)):
            report.problems.append(
                Problem("invalid_key", f"/{part}/{index}/{name}", f"'{key}' is not a {name}.")
            )
        elif key in seen:
            report.problems.append(
                Problem("duplicate_key", f"/{part}/{index}/{name}", f"'{key}' stands here twice.")
            )
        else:
            seen.add(key)
            good.append((index, entry))
    return good


def load_structure(
    bundle: Mapping[str, Any], site: Site, report: Report, *, folder: Path | None
) -> list[Template]:
    """Load media, block types and templates; return the templates that changed."""
    for index, entry in listed(bundle, "media", report):
        _load_media(entry, site, report, f"/media/{index}", folder)
    for index, entry in listed(bundle, "block_types", report):
        _load_block_type(entry, site, report, f"/block_types/{index}")
    changed = []
    for index, entry in listed(bundle, "templates", report):
        template = _load_template(entry, site, report, f"/templates/{index}")
        if template is not None:
            changed.append(template)
    return changed


def _load_media(
    entry: Mapping[str, Any], site: Site, report: Report, pointer: str, folder: Path | None
) -> None:
    row = Media.objects.filter(site=site, key=entry["key"]).first() or Media(site=site, key=entry["key"])
    alt = entry.get("alt") or {}
    if entry.get("file"):
        path = ((folder or Path()) / str(entry["file"])).resolve()
        if folder is None or not path.is_relative_to(folder.resolve()) or not path.is_file():
            report.problems.append(
                Problem("file_missing", f"{pointer}/file", f"There is no file '{entry['file']}'.")
            )
            return
        content = path.read_bytes()
        checksum = hashlib.sha256(content).hexdigest()
        if checksum != row.checksum:
            try:
                set_picture(row, content)
            except MediaError as error:
                report.problems.append(Problem(error.code, f"{pointer}/file", error.sentence))
                return
    elif row.pk is None:
        report.problems.append(Problem("required", f"{pointer}/file", "A new media needs a file."))
        return
    before = Media.objects.filter(pk=row.pk).values("alt", "checksum").first()
    row.alt = alt or row.alt
    report.count("media", before != {"alt": row.alt, "checksum": row.checksum})
    if before != {"alt": row.alt, "checksum": row.checksum}:
        row.save()


def _load_block_type(entry: Mapping[str, Any], site: Site, report: Report, pointer: str) -> None:
    _fields, problems = parse_fields(entry.get("fields", []))
    report.add(f"{pointer}/fields", problems)
    report.add(f"{pointer}/source", source_problems(entry.get("source", ""), of_page=False))
    values = {
        "title": entry.get("title") or entry["key"],
        "fields": entry.get("fields", []),
        "catalogue": bool(entry.get("catalogue")),
        "source": entry.get("source", ""),
    }
    row = BlockType.objects.filter(site=site, key=entry["key"]).first()
    if row is None:
        BlockType.objects.create(site=site, key=entry["key"], **values)
        return report.count("block_types", True)
    changed = any(getattr(row, name) != value for name, value in values.items())
    if changed:
        for name, value in values.items():
            setattr(row, name, value)
        row.version += 1
        row.save()
    report.count("block_types", changed)


def slot_problems(slots: object) -> list[Problem]:
    """Say what is wrong with the slots of a template."""
    if not isinstance(slots, list):
        return [Problem("wrong_type", "", "The slots of a template are a list.")]
    problems, seen = [], set()
    for index, slot in enumerate(slots):
        key = slot.get("key") if isinstance(slot, Mapping) else None
        if not isinstance(key, str) or not KEY_PATTERN.match(key):
            problems.append(Problem("invalid_key", f"/{index}/key", f"'{key}' is not a key."))
        elif key in seen:
            problems.append(Problem("duplicate_key", f"/{index}/key", f"There are two slots '{key}'."))
        seen.add(key)
    return problems


def _load_template(entry: Mapping[str, Any], site: Site, report: Report, pointer: str) -> Template | None:
    report.add(f"{pointer}/slots", slot_problems(entry.get("slots", [])))
    report.add(f"{pointer}/source", source_problems(entry.get("source", ""), of_page=True))
    values = {
        "title": entry.get("title") or entry["key"],
        "slots": entry.get("slots", []),
        "source": entry.get("source", ""),
    }
    row = Template.objects.filter(site=site, key=entry["key"]).first()
    if row is None:
        Template.objects.create(site=site, key=entry["key"], **values)
        report.count("templates", True)
        return None
    changed = any(getattr(row, name) != value for name, value in values.items())
    if changed:
        for name, value in values.items():
            setattr(row, name, value)
        row.save()
    report.count("templates", changed)
    return row if changed else None


def load_content(
    bundle: Mapping[str, Any], site: Site, report: Report, *, now: dt.datetime, author: Any = None
) -> tuple[list[Block], list[Page]]:
    """Load blocks, then pages; return all that the bundle names."""
    blocks = _load_blocks(bundle, site, report, now, author)
    known = known_to(site)
    pages = []
    for index, entry in listed(bundle, "pages", report):
        try:
            page, changed = write_page(_normalised(entry), site=site, known=known)
        except ContentError as error:
            report.add(f"/pages/{index}", error.problems)
            continue
        report.count("pages", changed)
        pages.append(page)
    return blocks, pages


def _normalised(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in entry.items() if value is not None}


def _load_blocks(
    bundle: Mapping[str, Any], site: Site, report: Report, now: dt.datetime, author: Any
) -> list[Block]:
    types = {t.key: t for t in BlockType.objects.filter(site=site)}
    entries = []
    rows = {b.key: b for b in Block.objects.filter(site=site).select_related("type", "site", "published")}
    for index, entry in listed(bundle, "blocks", report):
        type_ = types.get(str(entry.get("type")))
        if type_ is None:
            report.problems.append(
                Problem(
                    "unknown_type", f"/blocks/{index}/type", f"There is no block type '{entry.get('type')}'."
                )
            )
            continue
        row = rows.get(entry["key"]) or Block(site=site, key=entry["key"], type=type_)
        if row.type_id != type_.pk:
            report.problems.append(
                Problem("type_fixed", f"/blocks/{index}/type", f"'{row.key}' is a {row.type.key} already.")
            )
            continue
        entries.append((index, entry, row))
    known = known_to(site)
    known = replace(known, blocks={**known.blocks, **{row.key: row.type.key for _, _, row in entries}})
    good = []
    for index, entry, row in entries:  # all are checked before any is stored: they may name each other
        try:
            checked(row, entry.get("fields", {}), known=known)
            good.append((entry, row))
        except ContentError as error:
            report.add(f"/blocks/{index}/fields", error.problems)
    Block.objects.bulk_create([row for _, row in good if row._state.adding])
    for entry, row in good:
        before = row.data
        save_block(row, entry.get("fields", {}), now=now, known=known, author=author)
        report.count("blocks", before != row.data)
    return [row for _, row in good]


def publish_loaded(
    blocks: Sequence[Block],
    pages: Sequence[Page],
    templates: Sequence[Template],
    report: Report,
    *,
    now: dt.datetime,
    author: Any = None,
) -> None:
    """Publish what a bundle named; problems are reported with the page's path."""
    for block in blocks:
        publish_block(block, now=now, author=author)
    for template in templates:
        recompile_using(template, now=now, cause=f"Template {template.key} changed", author=author)
    for page in pages:
        try:
            report.count("published", publish_page(page, now=now, author=author, cause="Bundle") is not None)
        except ContentError as error:
            report.add(f"/pages/{page.path}", errors_among(error.problems))


def dump_content(site: Site) -> dict[str, Any]:
    """Return the content of a site as a bundle's parts; files of media stay where they are."""
    return {
        "media": [{"key": m.key, "alt": m.alt} for m in Media.objects.filter(site=site)],
        "block_types": [_dump_type(t) for t in BlockType.objects.filter(site=site).order_by("key")],
        "templates": [
            {"key": t.key, "title": t.title, "slots": t.slots, "source": t.source}
            for t in Template.objects.filter(site=site).order_by("key")
        ],
        "blocks": [
            {"key": b.key, "type": b.type.key, "fields": b.data}
            for b in Block.objects.filter(site=site).select_related("type").order_by("key")
        ],
        "pages": [content_of(page) for page in Page.objects.filter(site=site).select_related("site")],
    }


def _dump_type(row: BlockType) -> dict[str, Any]:
    dumped = {"key": row.key, "title": row.title, "fields": row.fields, "source": row.source}
    return dumped | ({"catalogue": True} if row.catalogue else {})
