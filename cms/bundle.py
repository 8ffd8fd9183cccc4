"""Content as code: the parts of a bundle that are content, in and out.

In: a bundle (CONTRACT §5). Out: rows, added and updated by key; what it does not name is left alone, and the same
bundle twice changes nothing. Errors carry JSON pointers; the caller's transaction makes it all or nothing.
"""

import datetime as dt
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import JSONField, Model

from cms.content import checked, known_to, save_block
from cms.errors import ContentError, below, errors_among
from cms.fields import clean, parse_fields
from cms.keys import is_key
from cms.language.nodes import Problem
from cms.language.parse import step
from cms.media import MediaError, set_picture, stored_bytes
from cms.models import Block, BlockType, Experience, Media, Page, Site, Template
from cms.pacing import cap_problems, interval_problems
from cms.page_checks import PAGE_ATTRIBUTES
from cms.pages import content_of, write_page
from cms.paths import normalise
from cms.publishing import publish_blocks, publish_page, recompile_all
from cms.review import source_problems

_TYPE_ATTRIBUTES = {"key", "title", "fields", "source", "catalogue"}
_HARMLESS = {"required", "unknown_field", "too_few", "too_many", "too_small", "too_large", "unknown_locale"}
_SITE_ATTRIBUTES = {"offer_cap", "counts_when_seen", "strict_events", "recalculated_at"}
PARTS = ("site", "media", "block_types", "templates", "experiences", "blocks", "pages")


@dataclass(slots=True)
class Report:
    """What a load changed, by kind, and every problem; any error means that nothing was kept."""

    changed: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    pictures: list[Media] = field(default_factory=list)  # whose files were written, and go if nothing is kept

    def count(self, kind: str, changed: bool) -> None:
        self.changed[kind] = self.changed.get(kind, 0) + int(changed)

    def add(self, pointer: str, problems: Sequence[Problem]) -> None:
        self.problems += below(pointer, problems)


def listed(
    bundle: Mapping[str, Any], part: str, report: Report, *, known: Collection[str]
) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the entries of one part with their indexes; what is not an object with a key is a problem.

    An attribute that is not `known` is ignored, with a warning.
    """
    entries = bundle.get(part, [])
    if not isinstance(entries, list):
        report.problems.append(Problem("wrong_type", f"/{part}", f"{part} is a list."))
        return []
    good = []
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        found = list(_entry_problems(entry, part, f"/{part}/{index}", seen, known))
        report.problems += found
        if not errors_among(found):
            good.append((index, entry))
    return good


def _entry_problems(
    entry: object, part: str, place: str, seen: set[str], known: Collection[str]
) -> Iterator[Problem]:
    name = "path" if part == "pages" else "key"
    key = entry.get(name) if isinstance(entry, Mapping) else None
    free = part in ("pages", "events")  # paths, and names as clients send them
    if not isinstance(entry, Mapping) or not isinstance(key, str) or not (free or is_key(key)):
        yield Problem("invalid_key", f"{place}/{name}", f"'{key}' is not a {name}.")
        return
    key = normalise(key) if name == "path" else key
    if key in seen:
        yield Problem("duplicate_key", f"{place}/{name}", f"'{key}' stands here twice.")
    seen.add(key)
    for attribute in entry.keys() - known:
        sentence = f"'{attribute}' is not known here and was left out."
        yield Problem("unknown_attribute", step(place, attribute), sentence, "warning")


def written(row: Model, values: Mapping[str, Any], report: Report, pointer: str) -> bool | None:
    """Add or update one row; return whether that changed anything, or None when the values do not fit."""
    changed = row.pk is None or any(getattr(row, name) != value for name, value in values.items())
    if not changed:
        return False
    for name, value in values.items():
        setattr(row, name, value)
    stated = {name for name, value in values.items() if not _empty_json(row, name, value)}
    try:
        row.clean_fields(exclude={f.name for f in row._meta.fields} - stated)
    except ValidationError as error:
        report.problems += [
            Problem("invalid", f"{pointer}/{name}", sentences[0])
            for name, sentences in error.message_dict.items()
        ]
        return None
    row.save()
    return True


def _empty_json(row: Model, name: str, value: object) -> bool:
    """Say whether a value is an empty list or object where one may stand; forms alone demand more."""
    return value in ([], {}) and isinstance(row._meta.get_field(name), JSONField)


def texts(value: object, default_locale: str) -> Any:
    """Return words per locale; bare words are the default locale's."""
    return {default_locale: value} if isinstance(value, str) and value else value or {}


def text_problems(value: object, locales: Sequence[str], pointer: str) -> Iterator[Problem]:
    """Yield what is wrong with words per locale."""
    if not isinstance(value, Mapping) or not all(isinstance(one, str) for one in value.values()):
        yield Problem("wrong_type", pointer, "Send text, or text per locale.")
        return
    for locale in value.keys() - set(locales):
        yield Problem("unknown_locale", step(pointer, locale), f"This site has no locale '{locale}'.")


def load_structure(
    bundle: Mapping[str, Any], site: Site, report: Report, *, folder: Path | None
) -> dict[str, int]:
    """Load media, block types and templates; return the keys of the types that changed, with their indexes."""
    _load_site(bundle, site, report)
    for index, entry in listed(bundle, "media", report, known={"key", "file", "alt"}):
        _load_media(entry, site, report, f"/media/{index}", folder)
    changed = {
        entry["key"]: index
        for index, entry in listed(bundle, "block_types", report, known=_TYPE_ATTRIBUTES)
        if _load_block_type(entry, site, report, f"/block_types/{index}")
    }
    for index, entry in listed(bundle, "templates", report, known={"key", "title", "slots", "source"}):
        _load_template(entry, site, report, f"/templates/{index}")
    for index, entry in listed(bundle, "experiences", report, known={"key", "title", "cap", "min_interval"}):
        _load_experience(entry, site, report, f"/experiences/{index}")
    return changed


def _load_site(bundle: Mapping[str, Any], site: Site, report: Report) -> None:
    """Take over the settings of the site that the bundle names; the others stay."""
    entry = bundle.get("site", {})
    if not isinstance(entry, Mapping):
        report.problems.append(Problem("wrong_type", "/site", "site is an object."))
        return
    report.problems += [
        Problem(
            "unknown_attribute",
            step("/site", name),
            f"'{name}' is not known here and was left out.",
            "warning",
        )
        for name in sorted(entry.keys() - _SITE_ATTRIBUTES)
    ]
    values = {name: entry[name] for name in sorted(_SITE_ATTRIBUTES & entry.keys())}
    wrong = list(cap_problems(values.get("offer_cap"), "/site/offer_cap"))
    for name in ("counts_when_seen", "strict_events"):
        if not isinstance(values.get(name, False), bool):
            wrong.append(Problem("wrong_type", f"/site/{name}", f"{name} is true or false."))
    if "recalculated_at" in values:
        try:
            values["recalculated_at"] = dt.time.fromisoformat(values["recalculated_at"])
        except (TypeError, ValueError):
            sentence = 'recalculated_at is a time of day such as "03:10".'
            wrong.append(Problem("wrong_type", "/site/recalculated_at", sentence))
    report.problems += wrong
    if wrong or not values:
        return
    changed = written(site, values, report, "/site")
    if changed:
        site.advance()
    report.count("site", bool(changed))


def _dump_site(site: Site) -> dict[str, Any]:
    said = {name: getattr(site, name) for name in ("offer_cap", "counts_when_seen", "strict_events")}
    return said | {"recalculated_at": site.recalculated_at.isoformat(timespec="minutes")}


def _load_experience(entry: Mapping[str, Any], site: Site, report: Report, pointer: str) -> None:
    interval = entry.get("min_interval") or ""
    wrong = [
        *cap_problems(entry.get("cap"), f"{pointer}/cap"),
        *interval_problems(interval, f"{pointer}/min_interval"),
    ]
    report.problems += wrong
    if wrong:
        return
    row = Experience.objects.filter(site=site, key=entry["key"]).first()
    values = {
        "title": entry.get("title") or entry["key"],
        "cap": entry.get("cap"),
        "min_interval": interval,
    }
    changed = written(row or Experience(site=site, key=entry["key"]), values, report, pointer)
    report.count("experiences", bool(changed))


def _load_media(
    entry: Mapping[str, Any], site: Site, report: Report, pointer: str, folder: Path | None
) -> None:
    row = Media.objects.filter(site=site, key=entry["key"]).first() or Media(site=site, key=entry["key"])
    alt = texts(entry.get("alt"), site.default_locale)
    wrong = list(text_problems(alt, site.locales, f"{pointer}/alt"))
    before = (row.pk, row.alt, row.checksum)
    if not wrong and entry.get("file"):
        wrong = list(_load_picture(row, entry["file"], folder, f"{pointer}/file"))
    elif not wrong and row.pk is None:
        wrong = [Problem("required", f"{pointer}/file", "A new media needs a file.")]
    report.problems += wrong
    if wrong:
        return
    if row.checksum != before[2]:
        report.pictures.append(row)
    row.alt = alt or row.alt
    changed = (row.pk, row.alt, row.checksum) != before or row.pk is None
    if changed:
        row.save()
    report.count("media", changed)


def _load_picture(row: Media, name: object, folder: Path | None, pointer: str) -> Iterator[Problem]:
    """Give a media its picture from a file below the bundle's folder, unless it has it already."""
    path = _file_below(folder, name)
    if path is None and row.pk and name == picture_name(row):
        return  # a dump without its pictures, back where it came from
    if path is None:
        yield Problem("file_missing", pointer, f"There is no file '{name}'.")
        return
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() == row.checksum or (row.pk and content == stored_bytes(row)):
        return
    try:
        set_picture(row, content)
    except MediaError as error:
        yield Problem(error.code, pointer, error.sentence)


def _file_below(folder: Path | None, name: object) -> Path | None:
    """Return the file of this name in the folder; None for anything outside it, links included."""
    if folder is None or not isinstance(name, str):
        return None
    try:
        path = (folder / name).resolve()
        return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
    except (OSError, ValueError):  # a name that no file can have
        return None


def _load_block_type(entry: Mapping[str, Any], site: Site, report: Report, pointer: str) -> bool:
    declared = entry.get("fields") or []
    _, problems = parse_fields(declared)
    report.add(f"{pointer}/fields", problems)
    report.add(f"{pointer}/source", _source_problems(entry, of_page=False))
    values = {
        "title": entry.get("title") or entry["key"],
        "fields": declared,
        "catalogue": bool(entry.get("catalogue")),
        "source": entry.get("source") or "",
    }
    row = BlockType.objects.filter(site=site, key=entry["key"]).first()
    row = row or BlockType(site=site, key=entry["key"], version=0)
    if row.pk and row.catalogue != values["catalogue"] and row.blocks.exists():
        sentence = f"'{row.key}' has blocks: it stays {'a' if row.catalogue else 'no'} catalogue."
        report.problems.append(Problem("catalogue_fixed", f"{pointer}/catalogue", sentence))
        return False
    changed = bool(written(row, values, report, pointer))
    if changed:
        BlockType.objects.filter(pk=row.pk).update(version=row.version + 1)
    report.count("block_types", changed)
    return changed


def _source_problems(entry: Mapping[str, Any], *, of_page: bool) -> Sequence[Problem]:
    source = entry.get("source") or ""
    if not isinstance(source, str):
        return [Problem("wrong_type", "", "A source is text.")]
    return source_problems(source, of_page=of_page)


def slot_problems(slots: object) -> list[Problem]:
    """Say what is wrong with the slots of a template."""
    if not isinstance(slots, list):
        return [Problem("wrong_type", "", "The slots of a template are a list.")]
    problems, seen = [], set()
    for index, slot in enumerate(slots):
        key = slot.get("key") if isinstance(slot, Mapping) else None
        if not isinstance(slot, Mapping) or not is_key(key):
            problems.append(Problem("invalid_key", f"/{index}/key", f"'{key}' is not a key."))
            continue
        if key in seen:
            problems.append(Problem("duplicate_key", f"/{index}/key", f"There are two slots '{key}'."))
        seen.add(key)
        problems += _slot_attributes(slot, f"/{index}")
    return problems


def _slot_attributes(slot: Mapping[str, Any], place: str) -> Iterator[Problem]:
    for name in slot.keys() - {"key", "label", "title", "types", "min", "max"}:
        yield Problem("unknown_attribute", step(place, name), f"A slot has no '{name}'.")
    types = slot.get("types") or []
    if not isinstance(types, list) or not all(is_key(one) for one in types):
        yield Problem("wrong_type", f"{place}/types", "types is a list of keys of block types.")
    for name in ("min", "max"):
        if not _is_count(slot.get(name, 0)):
            yield Problem("wrong_type", f"{place}/{name}", f"{name} is a whole number.")
            return
    if slot.get("max") is not None and (slot.get("min") or 0) > slot["max"]:
        yield Problem("min_above_max", f"{place}/min", "min is larger than max.")


def _is_count(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def _load_template(entry: Mapping[str, Any], site: Site, report: Report, pointer: str) -> None:
    slots = entry.get("slots") or []
    report.add(f"{pointer}/slots", slot_problems(slots))
    report.add(f"{pointer}/source", _source_problems(entry, of_page=True))
    values = {
        "title": entry.get("title") or entry["key"],
        "slots": slots,
        "source": entry.get("source") or "",
    }
    row = Template.objects.filter(site=site, key=entry["key"]).first()
    row = row or Template(site=site, key=entry["key"])
    report.count("templates", bool(written(row, values, report, pointer)))


def load_content(
    bundle: Mapping[str, Any],
    site: Site,
    report: Report,
    *,
    now: dt.datetime,
    retyped: Mapping[str, int] | None = None,
    author: Any = None,
) -> tuple[list[Block], list[tuple[int, Page]]]:
    """Load blocks, then pages; return all that the bundle names, pages with their indexes.

    Stored blocks of the types in `retyped` (key → index in the bundle) must still fit.
    """
    blocks = _load_blocks(bundle, site, report, now, author)
    _recheck_blocks(retyped or {}, site, report)
    known = known_to(site)
    pages: list[tuple[int, Page]] = []
    for index, entry in listed(bundle, "pages", report, known=PAGE_ATTRIBUTES):
        try:
            page, changed = write_page(_normalised(entry), site=site, known=known)
        except ContentError as error:
            report.add(f"/pages/{index}", error.problems)
            continue
        report.count("pages", changed)
        pages.append((index, page))
    return blocks, pages


def _normalised(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in entry.items() if value is not None}


def _load_blocks(
    bundle: Mapping[str, Any], site: Site, report: Report, now: dt.datetime, author: Any
) -> list[Block]:
    types = {t.key: t for t in BlockType.objects.filter(site=site)}
    entries = []
    rows = {b.key: b for b in Block.objects.filter(site=site).select_related("type", "site", "published")}
    for index, entry in listed(bundle, "blocks", report, known={"key", "type", "fields"}):
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
            checked(row, entry.get("fields") or {}, known=known)
            good.append((index, entry, row, row._state.adding))
        except ContentError as error:
            report.add(f"/blocks/{index}/fields", error.problems)
    Block.objects.bulk_create([row for _, _, row, new in good if new])
    for index, entry, row, new in good:
        before = row.data
        try:
            save_block(row, entry.get("fields") or {}, now=now, known=known, author=author)
        except ContentError as error:
            report.add(f"/blocks/{index}/fields", error.problems)
        report.count("blocks", new or before != row.data)
    return [row for _, _, row, _ in good]


def _recheck_blocks(retyped: Mapping[str, int], site: Site, report: Report) -> None:
    """Refuse a change of a block type that stored blocks do not fit; what is merely missing is left to editors."""
    known = known_to(site)
    for block in Block.objects.filter(site=site, type__key__in=retyped).select_related("type"):
        found = errors_among(clean(parse_fields(block.type.fields)[0], block.data, known=known).problems)
        for problem in (one for one in found if one.code not in _HARMLESS):
            sentence = f"The block '{block.key}' does not fit: {problem.message}"
            place = f"/block_types/{retyped[block.type.key]}/fields"
            report.problems.append(Problem("block_does_not_fit", place, sentence))


def publish_loaded(
    blocks: Sequence[Block],
    pages: Sequence[tuple[int, Page]],
    site: Site,
    report: Report,
    *,
    now: dt.datetime,
    author: Any = None,
) -> None:
    """Publish what a bundle named, and renew every other page that shows what it changed."""
    publish_blocks(blocks, now=now, author=author)
    for index, page in pages:
        try:
            report.count("published", publish_page(page, now=now, author=author, cause="Bundle") is not None)
        except ContentError as error:
            report.add(f"/pages/{index}", errors_among(error.problems))
    if any(report.changed.get(kind) for kind in ("media", "block_types", "templates")):
        recompile_all(site, now=now, cause="Bundle", author=author)


def picture_name(row: Media) -> str:
    """Return where a dump keeps a picture, seen from the bundle."""
    return f"media/{row.key}.{str(row.file.name).rsplit('.', 1)[-1]}"


def write_pictures(site: Site, folder: Path) -> int:
    """Write every picture of the site beside a bundle in this folder; return how many."""
    rows = list(Media.objects.filter(site=site))
    for row in rows:
        path = folder / picture_name(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored_bytes(row))
    return len(rows)


def dump_content(site: Site) -> dict[str, Any]:
    """Return the content of a site as a bundle's parts; pictures are named as `write_pictures` writes them."""
    return {
        "site": _dump_site(site),
        "media": [
            {"key": m.key, "file": picture_name(m), "alt": m.alt} for m in Media.objects.filter(site=site)
        ],
        "block_types": [_dump_type(t) for t in BlockType.objects.filter(site=site).order_by("key")],
        "templates": [
            {"key": t.key, "title": t.title, "slots": t.slots, "source": t.source}
            for t in Template.objects.filter(site=site).order_by("key")
        ],
        "experiences": [
            {"key": e.key, "title": e.title, "cap": e.cap, "min_interval": e.min_interval or None}
            for e in Experience.objects.filter(site=site)
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
