"""What content is made of, from a bundle: the site's settings, pictures, block types, templates, experiences.

In: a bundle (CONTRACT §5). Out: rows, added and updated by key; what it does not name is left alone, and the same
bundle twice changes nothing.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cms.bundles.parts import Report, listed, picture_name, text_problems, texts, written
from cms.fields import parse_fields
from cms.keys import is_key
from cms.language.nodes import Problem
from cms.language.parse import step
from cms.media import MediaError, set_picture, stored_bytes
from cms.models import BlockType, Experience, Media, Site, Template
from cms.pacing import cap_problems, interval_problems
from cms.review import source_problems

_TYPE_ATTRIBUTES = {"key", "title", "fields", "source", "catalogue"}
_SITE_ATTRIBUTES = {"offer_cap", "counts_when_seen", "strict_events", "recalculated_at"}


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
