"""Typed forms: the fields of a block type as form fields, one per locale where a field is localized.

In: the declared fields and a block's data. Out: form fields with names such as `data.headline.en`, and what was typed
as a block's data again. What may stand in a block is `cms.fields`' question: its problems are shown at the field that
their JSON pointer names, and nothing that was typed is lost.
"""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import escape
from unfold import widgets as unfold

from cms.fields import Field, as_date, per_locale
from cms.language.nodes import Problem
from cms.models import Block, Media, Site
from cms.models.site import current_site
from cms.widgets import BlockSelect, LinkInput, Pairs, PerLocale, PictureSelect, Rows

if TYPE_CHECKING:  # Django's own forms take no type argument when they run
    AnyModelForm = forms.ModelForm[Any]
    AnyModelChoiceField = forms.ModelChoiceField[Block]
else:
    AnyModelForm, AnyModelChoiceField = forms.ModelForm, forms.ModelChoiceField

RICH_HELP = (
    "HTML: paragraphs, headings, lists, links. {{ user.first_name | default('there') }} is filled in for each reader; "
    'a product for each reader is &lt;PersonalizedProduct type="product"/&gt;.'
)


class LinesField(forms.CharField):
    """Text as it was typed; browsers end lines in two characters, content ends them in one."""

    def to_python(self, value: Any) -> Any:
        return super().to_python(plain_lines(value))


def plain_lines(value: Any) -> Any:
    """Return text with lines that end in one character."""
    return value.replace("\r\n", "\n") if isinstance(value, str) else value


class NumberField(forms.CharField):
    """A number as it was typed: whole numbers stay whole."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=unfold.UnfoldAdminTextInputWidget({"inputmode": "decimal"}), **options)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if text in self.empty_values:
            return None
        try:
            return int(text) if text.lstrip("+-").isdigit() else float(text)
        except ValueError:
            raise ValidationError("Enter a number.", "invalid") from None


class MomentField(forms.DateTimeField):
    """A date with a time, kept in its one spelling."""

    def __init__(self, **options: Any) -> None:
        widget = forms.DateTimeInput(
            {"type": "datetime-local", "step": 1, "class": " ".join(unfold.INPUT_CLASSES)},
            format="%Y-%m-%dT%H:%M:%S",
        )
        super().__init__(widget=widget, **options)


class LinkField(forms.MultiValueField):
    """A link; `page:/outdoor` goes to a page by its path."""

    def __init__(self, **options: Any) -> None:
        parts = (
            forms.CharField(required=False),
            forms.CharField(required=False),
            forms.CharField(required=False),
        )
        help_text = options.pop("help_text", "") or "A path, an address, or page:/outdoor."
        super().__init__(parts, widget=LinkInput(), help_text=help_text, require_all_fields=False, **options)

    def compress(self, values: Sequence[str]) -> Any:
        href, label, target = [*values, "", "", ""][:3]
        if not href:
            if label:
                raise ValidationError("A link needs an address.", "required")
            return None
        place: Any = {"page": href.removeprefix("page:")} if href.startswith("page:") else href
        named = {"label": label, "target": target}
        return {"href": place, **{name: one for name, one in named.items() if one}}


class PictureField(forms.ChoiceField):
    """A picture of the site by its key; one that lies elsewhere is kept as it is."""

    def __init__(self, site: Site, **options: Any) -> None:
        pictures = list(Media.objects.filter(site=site))
        self.known = [("", "No picture"), *((one.key, one.key) for one in pictures)]
        super().__init__(choices=self.known, widget=PictureSelect(pictures), **options)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            spelled = json.dumps(value)
            self.widget.choices = [*self.known, (spelled, f"Elsewhere: {value.get('url')}")]
            return spelled
        return value

    def valid_value(self, value: Any) -> bool:
        return True  # `cms.fields` knows which pictures there are

    def clean(self, value: Any) -> Any:
        chosen = super().clean(value)
        if not str(chosen).startswith("{"):
            return chosen or None
        try:
            return json.loads(chosen)
        except ValueError:
            raise ValidationError("Choose a picture from the list.", "invalid_choice") from None


class BlockField(AnyModelChoiceField):
    """A block of one of the allowed types; cleaned to its key."""

    def __init__(self, site: Site, types: Sequence[str] = (), **options: Any) -> None:
        offered = Block.objects.filter(site=site).select_related("type")
        super().__init__(
            offered.filter(type__key__in=types) if types else offered, widget=BlockSelect(types), **options
        )

    def clean(self, value: Any) -> Any:
        block = super().clean(value)
        return block.key if block else None

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.key} · {obj.type.title}"


class RowsField(forms.Field):
    """A list of values in the order of its rows."""

    def __init__(self, inner: forms.Field, **options: Any) -> None:
        super().__init__(widget=Rows(inner.widget), **options)
        self.inner = inner

    def prepare_value(self, value: Any) -> Any:
        return [self.inner.prepare_value(one) for one in value or ()]

    def clean(self, value: Any) -> Any:
        super().clean(value)
        return [self.inner.clean(one) for one in value or ()] or None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return True


class LocalizedField(forms.Field):
    """A text per locale; only what was written is kept."""

    def __init__(
        self, *, locales: Sequence[str] | None = None, multiline: bool = False, **options: Any
    ) -> None:
        self.locales = locales or current_site().locales
        super().__init__(widget=PerLocale(self.locales, multiline=multiline), **options)

    def clean(self, value: Any) -> dict[str, str]:
        texts = {one: plain_lines(text).strip() for one, text in (value or {}).items() if text.strip()}
        if self.required and not texts.get(self.locales[0]):
            raise ValidationError(f"Required in {self.locales[0]}.", "required")
        return texts

    def has_changed(self, initial: Any, data: Any) -> bool:
        return {one: text for one, text in (data or {}).items() if text} != (initial or {})


class PairsField(forms.Field):
    """Named texts, each per locale; a text in the default locale alone is kept as it is."""

    def __init__(self, *, locales: Sequence[str] | None = None, **options: Any) -> None:
        self.locales = locales or current_site().locales
        super().__init__(widget=Pairs(self.locales), **options)

    def clean(self, value: Any) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, texts in value or ():
            if not key or key in kept:
                raise ValidationError("Every row needs a name of its own.", "invalid")
            if not texts:
                raise ValidationError(f"'{key}' needs a value.", "required")
            kept[key] = texts[self.locales[0]] if texts.keys() == {self.locales[0]} else texts
        return kept

    def has_changed(self, initial: Any, data: Any) -> bool:
        return True


def _text(definition: Field, site: Site, **options: Any) -> forms.Field:
    lines = unfold.UnfoldAdminTextareaWidget({"rows": 4})
    widget = lines if definition.multiline else unfold.UnfoldAdminTextInputWidget()
    return LinesField(widget=widget, strip=False, **options)


def _rich(definition: Field, site: Site, **options: Any) -> forms.Field:
    options["help_text"] = " ".join(filter(None, (options.get("help_text"), RICH_HELP)))
    widget = unfold.UnfoldAdminTextareaWidget({"rows": 8, "class": "source-text", "spellcheck": "true"})
    return LinesField(widget=widget, strip=False, **options)


def _number(definition: Field, site: Site, **options: Any) -> forms.Field:
    return NumberField(**options)


def _boolean(definition: Field, site: Site, **options: Any) -> forms.Field:
    return forms.BooleanField(widget=unfold.UnfoldBooleanSwitchWidget(), **{**options, "required": False})


def _date(definition: Field, site: Site, **options: Any) -> forms.Field:
    return MomentField(**options)


def _choice(definition: Field, site: Site, **options: Any) -> forms.Field:
    choices = [("", "Choose…"), *definition.options]
    return forms.ChoiceField(choices=choices, widget=unfold.UnfoldAdminSelectWidget(), **options)


def _link(definition: Field, site: Site, **options: Any) -> forms.Field:
    return LinkField(**options)


def _media(definition: Field, site: Site, **options: Any) -> forms.Field:
    return PictureField(site, **options)


def _block(definition: Field, site: Site, **options: Any) -> forms.Field:
    return BlockField(site, definition.types, **options)


def _list(definition: Field, site: Site, **options: Any) -> forms.Field:
    return RowsField(_MAKERS[definition.of](definition, site, required=False), **options)


_MAKERS: Mapping[str, Callable[..., forms.Field]] = {
    "text": _text,
    "rich_text": _rich,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "choice": _choice,
    "link": _link,
    "media": _media,
    "block": _block,
    "list": _list,
}


@dataclass(frozen=True)
class TypedFields:
    """The declared fields of a block type as a form: names, rows, initial values, and the way back."""

    definitions: tuple[Field, ...]
    site: Site
    lenient: bool = False

    def names(self, definition: Field) -> dict[str | None, str]:
        """Return the form field's name per locale; None is the locale of a field without any."""
        if not definition.localized:
            return {None: f"data.{definition.key}"}
        return {locale: f"data.{definition.key}.{locale}" for locale in self.site.locales}

    def rows(self) -> list[str | tuple[str, ...]]:
        """Return the names in order; the locales of one field stand side by side."""
        found = [tuple(self.names(one).values()) for one in self.definitions]
        return [row if len(row) > 1 else row[0] for row in found]

    def form_fields(self) -> dict[str, forms.Field]:
        """Return the form fields by name."""
        return {
            name: self._form_field(one, locale)
            for one in self.definitions
            for locale, name in self.names(one).items()
        }

    def _form_field(self, definition: Field, locale: str | None) -> forms.Field:
        here = locale in (None, self.site.default_locale)
        made = _MAKERS[definition.kind](
            definition,
            self.site,
            label=f"{definition.title} ({locale})" if locale else definition.title,
            help_text=escape(definition.help),  # the admin shows help as HTML
            required=definition.required and here and not self.lenient,
        )
        if locale:
            made.widget.attrs["lang"] = locale
        return made

    def initial(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the form shows of a block's data."""
        blocks = self._blocks(data)
        return {
            name: _shown(one, value, blocks)
            for one in self.definitions
            for name, value in self._values(one, data.get(one.key))
        }

    def _values(self, definition: Field, value: Any) -> Iterable[tuple[str, Any]]:
        names = self.names(definition)
        texts: dict[Any, Any] = {None: value}
        if definition.localized:
            texts = per_locale(value, self.site.locales)
        return [(name, texts.get(locale)) for locale, name in names.items()]

    def _blocks(self, data: Mapping[str, Any]) -> Mapping[str, Block]:
        wanted: set[str] = set()
        for one in self.definitions:
            for _, value in self._values(one, data.get(one.key)):
                if one.kind == "block" or (one.kind == "list" and one.of == "block"):
                    wanted |= {key for key in (value if isinstance(value, list) else [value]) if key}
        return {b.key: b for b in Block.objects.filter(site=self.site, key__in=wanted)} if wanted else {}

    def data(self, cleaned: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was typed as a block's data; `before` tells an unset switch from one that is off."""
        typed = {one.key: self._typed(one, cleaned, before) for one in self.definitions}
        return {key: value for key, value in typed.items() if value not in (None, {}, [])}

    def _typed(self, definition: Field, cleaned: Mapping[str, Any], before: Mapping[str, Any]) -> Any:
        values = {
            locale: _stored(definition, cleaned.get(name)) for locale, name in self.names(definition).items()
        }
        if definition.kind == "boolean" and definition.key not in before and not definition.required:
            values = {locale: value or None for locale, value in values.items()}
        if not definition.localized:
            return values[None]
        return {locale: value for locale, value in values.items() if value is not None}

    def place(self, pointer: str) -> str | None:
        """Return the name of the form field that a JSON pointer into the data names."""
        key, _, rest = pointer.lstrip("/").partition("/")
        definition = next((one for one in self.definitions if one.key == key), None)
        if definition is None:
            return None
        names = self.names(definition)
        return names.get(rest.split("/")[0]) or next(iter(names.values()))


def _shown(definition: Field, value: Any, blocks: Mapping[str, Block]) -> Any:
    kind = definition.kind
    if kind == "list" and isinstance(value, list):
        kind = definition.of
        return [_shown_one(kind, one, blocks) for one in value]
    return _shown_one(kind, value, blocks)


def _shown_one(kind: str, value: Any, blocks: Mapping[str, Block]) -> Any:
    if kind == "block":
        return blocks.get(value) if isinstance(value, str) else None
    if kind == "date" and (spelled := as_date(value)):
        return dt.datetime.fromisoformat(spelled)
    return value


def _stored(definition: Field, value: Any) -> Any:
    if isinstance(value, list):
        return [_stored_one(one) for one in value]
    return _stored_one(value)


def _stored_one(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return None if value == "" else value


def show_problems(
    form: forms.BaseForm, problems: Iterable[Problem], place: Callable[[str], str | None]
) -> None:
    """Add each problem to the form field that `place` finds for its pointer, or to the whole form."""
    for problem in problems:
        name = place(problem.pointer)
        form.add_error(name if name in form.fields else None, ValidationError(problem.message, problem.code))


class SiteForm(AnyModelForm):
    """A form of a row that belongs to the site; that its key is unique there is checked too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.site_id is None:
            self.instance.site = current_site()

    def _get_validation_exclusions(self) -> set[str]:
        return set(super()._get_validation_exclusions()) - {"site"}  # type: ignore[misc]  # not in the stubs
