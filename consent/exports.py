"""What is kept of one person as a file for them: data for machines, tables for a spreadsheet, a page to read.

In: a subject. Out: a ZIP with `data.json` (every holder), `csv/…` (one table per list, UTF-8 with a mark that spreadsheets
understand) and `index.html` (needs nothing beside itself). It is kept encrypted with the person's own key.
"""

import csv
import datetime as dt
import io
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from consent.holders import holders
from consent.seal import seal, unseal

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would take for a formula
# The columns of the holders' lists, as people read them.
HEADINGS: Final[Mapping[str, str]] = {
    "name": N_("name"), "value": N_("value"), "kind": N_("kind"), "at": N_("at"), "purpose": N_("purpose"), "purposes": N_("purposes"),
    "action": N_("answer"), "notice": N_("notice"), "method": N_("way"), "said": N_("in words"), "hash": N_("hash"), "holder": N_("store"),
    "state": N_("state"), "rows": N_("entries"), "what": N_("what"), "about": N_("about"), "received_at": N_("received"), "due_at": N_("due"),
    "answer": N_("reply"), "title": N_("title"), "since": N_("since"), "entered": N_("entered"), "to": N_("to"), "type": N_("type"),
    "by": N_("by"), "reason": N_("reason"), "properties": N_("properties"), "placement": N_("place"), "variant": N_("variant"),
}  # fmt: skip
SCHEMA: Final = "tessera.export/1"


def sealed(
    subject: uuid.UUID, *, language: str, now: dt.datetime, progress: Callable[[], object] = lambda: None
) -> bytes:
    """Return the file, encrypted for its subject; `progress` is called after each holder."""
    return seal(subject, export_of(subject, language=language, now=now, progress=progress))


def unsealed(subject: uuid.UUID, kept: bytes) -> bytes:
    """Return the file as it is downloaded; raises Unreadable once the person is erased."""
    return unseal(subject, kept)


def export_of(
    subject: uuid.UUID, *, language: str, now: dt.datetime, progress: Callable[[], object] = lambda: None
) -> bytes:
    """Return the file: a ZIP."""
    parts = []
    for one in holders():
        parts.append((one.name, one.title, one.export(subject)))
        progress()
    data = {
        "schema": SCHEMA,
        "made_at": now.astimezone(dt.UTC).isoformat(),
        "subject": str(subject),
        "controller": settings.CONTROLLER,
        "holders": {name: {"title": title, **held} for name, title, held in parts},
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("data.json", orjson.dumps(data, option=orjson.OPT_INDENT_2, default=str))
        with translation.override(language):
            tables = [table for name, title, held in parts for table in _tables(name, _(title), held)]
            for table in tables:
                file.writestr(f"csv/{table['file']}", _csv(table))
            page = render_to_string(
                "consent/export.html",
                {"tables": tables, "made_at": now, "controller": settings.CONTROLLER, "subject": subject},
            )
        file.writestr("index.html", page)
    return written.getvalue()


def _tables(name: str, title: str, held: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what a holder keeps as tables: one for each of its lists, one for its single values."""
    single = {key: value for key, value in held.items() if not _is_rows(value)}
    for key, value in held.items():
        if _is_rows(value) and value:
            columns = list(dict.fromkeys(column for row in value for column in row))
            rows = [[_cell(row.get(column)) for column in columns] for row in value]
            file = f"{name}.csv" if key == name else f"{name}-{key}.csv"
            yield _table(file, title, columns, rows)
    if single:
        rows = [[key, _cell(value)] for key, value in single.items()]
        yield _table(f"{name}.csv", title, ["name", "value"], rows)


def _table(file: str, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return a table with its headings in words; `data.json` alone keeps the names that machines read."""
    headings = [_(HEADINGS[column]) if column in HEADINGS else column for column in columns]
    return {"file": file, "title": title, "headings": headings, "rows": rows}


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, Mapping) for row in value)


def _cell(value: Any) -> str:
    """Return a value as the text of one cell."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return orjson.dumps(value, default=str).decode()


def _csv(table: Mapping[str, Any]) -> str:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(table["headings"])
    writer.writerows([harmless(cell) for cell in row] for row in table["rows"])
    return "\ufeff" + written.getvalue()


def harmless(cell: str) -> str:
    """Return a cell that a spreadsheet takes for text: what somebody else sent us may look like a formula."""
    risky = cell.startswith(FORMULA) and not _is_number(cell)
    return f"'{cell}" if risky else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
