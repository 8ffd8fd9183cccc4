"""The form of a score: points for being in a segment, for an event, or for a rule, and the thresholds.

In: a stored score. Out: the same as rows of the form editor, and back. What the rows have no place for is kept as the
JSON of a rule.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import ValidationError

from cms.admin.declarations import DeclarationsField

_NUMBER: Final = r"^-?\d*\.?\d*$"
_DURATION: Final = r"^(P(\d+W|(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?)|session)?$"


def _text(title: str, description: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "string", "title": title, **({"description": description} if description else {}), **more}


def points_schema(segments: Mapping[str, str], events: list[str]) -> dict[str, Any]:
    """Return the schema of the rows; `segments` are key → title."""
    chosen: dict[str, Any] = {"enum": ["", *segments], "options": {"enum_titles": ["", *segments.values()]}}
    named: dict[str, Any] = {"enum": ["", *events], "options": {"enum_titles": ["", *events]}}
    entry = {
        "type": "object",
        "title": "Points",
        "headerTemplate": "{{ i1 }} {{ self.points }} for {{ self.segment }}{{ self.event }}",
        "properties": {
            "points": _text("Points", pattern=_NUMBER),
            "segment": _text("For being in the segment", **chosen),
            "event": _text("For each event", **named),
            "within": _text(
                "Events within", "P30D: thirty days; PT1H: one hour; empty: ever.", pattern=_DURATION
            ),
            "cap": _text("At most so many points from this row", pattern=_NUMBER),
            "decay": _text("Half as many points after", "P7D: with every week.", pattern=_DURATION),
            "where": _text(
                "Only events where (JSON)", '{"properties.category": {"$eq": "hiking"}}', format="textarea"
            ),
            "when": _text(
                "For any other rule (JSON)", '{"orders": {"$exists": true, "$gte": 5}}', format="textarea"
            ),
        },
        "required": ["points"],
    }
    return {"type": "array", "title": "Points", "items": {**entry, "options": {"collapsed": False}}}


class PointsField(DeclarationsField):
    """The rows of a score, as its `points`."""

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, list):
            value = [_row(one) for one in value]
        return super().prepare_value(value)

    def clean(self, value: Any) -> list[dict[str, Any]]:
        return [_entry(row, index) for index, row in enumerate(super().clean(value), start=1)]


def _row(entry: Any) -> Any:
    """Return an entry as the form shows it."""
    if not isinstance(entry, Mapping):
        return entry
    row = {name: entry[name] for name in ("event", "within", "decay", "segment") if entry.get(name)}
    row |= {
        name: f"{entry[name]:g}" for name in ("points", "cap") if isinstance(entry.get(name), int | float)
    }
    if key := _only_segment(entry.get("when")):
        row["segment"] = key
    elif entry.get("when"):
        row["when"] = json.dumps(entry["when"], ensure_ascii=False)
    if entry.get("where"):
        row["where"] = json.dumps(entry["where"], ensure_ascii=False)
    return row


def _only_segment(rule: Any) -> str:
    """Return the one segment that a rule names, when that is all it says."""
    if isinstance(rule, Mapping) and rule.keys() == {"segments"}:
        keys = rule["segments"].get("$in") if isinstance(rule["segments"], Mapping) else None
        if isinstance(keys, list) and len(keys) == 1 and rule["segments"].keys() == {"$in"}:
            return str(keys[0])
    return ""


def _entry(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return a row as a score stores it; raises ValidationError that names the row."""
    entry: dict[str, Any] = {name: row[name] for name in ("event", "within", "decay") if row.get(name)}
    for name in ("points", "cap"):
        if row.get(name) not in (None, ""):
            entry[name] = _number(str(row[name]), number)
    for name in ("when", "where"):
        if row.get(name):
            entry[name] = _rule(row[name], name, number)
    if row.get("segment"):
        entry["when"] = {"segments": {"$in": [row["segment"]]}}
    if sum(bool(row.get(name)) for name in ("segment", "event", "when")) != 1:
        raise ValidationError(
            f"Row {number}: name a segment, or an event, or a rule, and one of them.", "required"
        )
    return entry


def _number(text: str, row: int) -> int | float:
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        raise ValidationError(f"Row {row}: '{text}' is not a number.", "invalid") from None


def _rule(text: Any, name: str, row: int) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError as error:
        raise ValidationError(f"Row {row}, {name}: this is not valid JSON: {error}.", "invalid") from error
