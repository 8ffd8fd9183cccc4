"""Forms for what is declared as a list of objects: the fields of a block type, the slots of a template.

Each is a JSON Schema for the form editor, and a way back: what the editor leaves empty is left out.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django_json_schema_editor.forms import JSONEditorField, JSONEditorWidget

from cms.fields import KINDS
from cms.forms import LinesField
from cms.language.nodes import Problem

KIND_TITLES = {
    "text": "Text",
    "rich_text": "Rich text",
    "number": "Number",
    "boolean": "Yes or no",
    "date": "Date",
    "choice": "Choice",
    "link": "Link",
    "media": "Picture",
    "block": "Another block",
    "list": "List",
}
_EDITOR = {
    "disable_edit_json": True,
    "disable_properties": True,
    "disable_collapse": False,
    "disable_array_delete_all_rows": True,
    "disable_array_delete_last_row": True,
    "prompt_before_delete": False,
    "theme": "django",
    "iconlib": "django",
}
_ONLY_FOR = {
    "multiline": ("text",),
    "options": ("choice",),
    "of": ("list",),
    "types": ("block", "list"),
    "min": ("number", "list"),
    "max": ("number", "list"),
}
_NUMBER = r"^-?\d*\.?\d*$"


def _text(title: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "title": title, **more}


def _named(title: str, keys: Iterable[str], titles: Mapping[str, str], **more: Any) -> dict[str, Any]:
    keys = list(keys)
    shown = {"enum_titles": [titles.get(key, key) for key in keys]}
    return {"type": "string", "title": title, "enum": keys, "options": shown, **more}


def _types(types: Mapping[str, str], title: str) -> dict[str, Any]:
    items = _named("Type", types, types) if types else _text("Type")
    return {"type": "array", "title": title, "format": "checkbox", "uniqueItems": True, "items": items}


def fields_schema(types: Mapping[str, str]) -> dict[str, Any]:
    """Return the schema of a list of fields; `types` are the block types that a field may name."""
    option = {
        "type": "object",
        "title": "Option",
        "format": "grid-strict",
        "properties": {"key": _text("Key"), "title": _text("Title")},
        "required": ["key"],
    }
    options = {"type": "array", "title": "Options", "format": "table", "items": option}
    properties = {
        "title": _text("Title", description="What editors read."),
        "key": _text("Key", description="What templates and answers call it."),
        "kind": _named("Kind", KINDS, KIND_TITLES),
        "required": {"type": "boolean", "title": "Required", "format": "checkbox"},
        "localized": {"type": "boolean", "title": "One value per language", "format": "checkbox"},
        "multiline": {"type": "boolean", "title": "Several lines", "format": "checkbox"},
        "options": options,
        "of": _named("List of", ("block", *KINDS[:-2]), KIND_TITLES),
        "types": _types(types, "Allowed block types (none: all)"),
        "min": _text("At least", pattern=_NUMBER),
        "max": _text("At most", pattern=_NUMBER),
        "help": _text("Help for editors"),
    }
    field: dict[str, Any] = {
        "type": "object",
        "title": "Field",
        "headerTemplate": "{{ i1 }} {{ self.title }} {{ self.key }}",
        "properties": properties,
        "required": ["key", "kind"],
    }
    return {"type": "array", "title": "Fields", "items": {**field, "options": {"collapsed": True}}}


def slots_schema(types: Mapping[str, str]) -> dict[str, Any]:
    """Return the schema of a list of slots."""
    slot = {
        "type": "object",
        "title": "Slot",
        "headerTemplate": "{{ i1 }} {{ self.title }} {{ self.key }}",
        "properties": {
            "title": _text("Title"),
            "key": _text("Key", description="What the template's source calls it."),
            "types": _types(types, "Allowed block types (none: all)"),
            "min": _text("At least", pattern=_NUMBER),
            "max": _text("At most", pattern=_NUMBER),
        },
        "required": ["key"],
    }
    return {"type": "array", "title": "Slots", "items": {**slot, "options": {"collapsed": True}}}


class DeclarationsInput(JSONEditorWidget):  # type: ignore[misc]  # the editor ships no types
    """The form editor without its rich text, whose scripts stand in the page itself."""

    @property
    def media(self) -> forms.Media:
        folder = "django_json_schema_editor"
        css = [f"{folder}/vendor/material-icons.css", f"{folder}/django_theme.css", "cms/admin.css"]
        names = ("vendor/jsoneditor.js", "django_theme.js", "foreign_key.js", "widget.js")
        return forms.Media(css={"screen": css}, js=[f"{folder}/{name}" for name in names])


class DeclarationsField(JSONEditorField):  # type: ignore[misc]  # the editor ships no types
    """A list of declarations, shown complete and stored without what is empty."""

    def __init__(self, *, schema: dict[str, Any], **options: Any) -> None:
        super().__init__(schema=schema, required=False, **options)
        items = {**schema["items"], "required": list(schema["items"]["properties"])}  # so that all are shown
        shown = {**schema, "items": items}
        self.widget: Any = DeclarationsInput(editor_config={**_EDITOR, "schema": shown})

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, list):
            value = [_editable(one) for one in value]
        return super().prepare_value(value)

    def clean(self, value: Any) -> list[dict[str, Any]]:
        return [_tidied(one) for one in super().clean(value) or []]

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool((initial or []) != self.clean(data))
        except ValidationError:
            return True


def _editable(declared: Any) -> Any:
    if not isinstance(declared, Mapping):
        return declared
    numbers = {name: f"{declared[name]:g}" for name in ("min", "max") if _is_number(declared.get(name))}
    return {**declared, **numbers}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tidied(edited: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is empty, and what the kind of a field has no use for."""
    useless = {n for n, kinds in _ONLY_FOR.items() if edited.get("kind", kinds[0]) not in kinds}
    kept = {
        n: value for n, value in edited.items() if value not in ("", None, False, []) and n not in useless
    }
    for name in ("min", "max"):
        if name in kept:
            kept[name] = _number(kept[name])
    if "options" in kept:
        kept["options"] = [{k: v for k, v in option.items() if v} for option in kept["options"]]
    return kept


def _number(text: str) -> int | float:
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        raise ValidationError(f"'{text}' is not a number.", "invalid") from None


def sentences(declared: list[Any], problems: Iterable[Problem]) -> ValidationError:
    """Return problems as one error that names the declaration instead of its index."""
    return ValidationError([_sentence(declared, problem) for problem in problems])


def _sentence(declared: list[Any], problem: Problem) -> ValidationError:
    index, _, rest = problem.pointer.lstrip("/").partition("/")
    item = declared[int(index)] if index.isdigit() and int(index) < len(declared) else {}
    name = item.get("title") or item.get("key") or (f"no. {int(index) + 1}" if index.isdigit() else "")
    place = " → ".join(filter(None, (name, rest)))
    return ValidationError(f"{place}: {problem.message}" if place else problem.message, problem.code)


class SourceField(LinesField):
    """Jinja2 source, in a typewriter's letters."""

    def __init__(self, **options: Any) -> None:
        widget = forms.Textarea({"rows": 14, "class": "source-text", "spellcheck": "false"})
        super().__init__(**{"required": False, "strip": False, "widget": widget, **options})
