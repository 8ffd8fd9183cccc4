"""What a variant changes of the default's block: a typed form inside the form of the variant.

Each field is kept, changed or emptied. In: the stored overrides and the base they lie on. Out: overrides as a bundle
spells them. A submission is read once and shown again with its errors at the fields.
"""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold import widgets as unfold

from cms.fields import Field
from cms.forms import TypedFields

KEEP, CHANGE, EMPTY = "keep", "change", "empty"


class OverridesForm(forms.Form):
    """The fields of the default's block, each with what is to happen to it."""

    def __init__(self, typed: TypedFields, *, stored: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        self.typed, self.before = typed, stored or {}
        super().__init__(initial=self._initial(), **kwargs)
        for one in typed.definitions:
            self.fields[f"mode.{one.key}"] = _mode(one)
        self.fields |= typed.form_fields()

    def _initial(self) -> dict[str, Any]:
        modes = {f"mode.{key}": EMPTY if value is None else CHANGE for key, value in self.before.items()}
        return modes | self.typed.initial({k: v for k, v in self.before.items() if v is not None})

    def stored(self) -> dict[str, Any]:
        """Return the overrides that were typed."""
        changed = {one.key for one in self.typed.definitions if self._mode_of(one) == CHANGE}
        data = self.typed.data(self.cleaned_data, dict.fromkeys(changed))
        emptied = {one.key: None for one in self.typed.definitions if self._mode_of(one) == EMPTY}
        return {key: value for key, value in data.items() if key in changed} | emptied

    def _mode_of(self, definition: Field) -> str:
        return str(self.cleaned_data.get(f"mode.{definition.key}") or KEEP)

    def clean(self) -> dict[str, Any]:
        for one in self.typed.definitions:
            if self._mode_of(one) == CHANGE and not self._filled(one):
                self.add_error(f"mode.{one.key}", "Say what it changes to, or keep it.")
        return self.cleaned_data

    def _filled(self, definition: Field) -> bool:
        names = self.typed.names(definition).values()
        return any(name in self.errors or self.cleaned_data.get(name) not in (None, "", []) for name in names)

    def shown(self) -> list[dict[str, Any]]:
        """Return the rows of the form: a mode, and the inputs per locale."""
        return [
            {"mode": self[f"mode.{one.key}"], "inputs": [self[n] for n in self.typed.names(one).values()]}
            for one in self.typed.definitions
        ]


def _mode(definition: Field) -> forms.ChoiceField:
    choices = [(KEEP, "as in the default"), (CHANGE, "changed to")]
    if not definition.required:
        choices.append((EMPTY, "left empty"))
    return forms.ChoiceField(
        choices=choices,
        required=False,
        label=definition.title,
        widget=unfold.UnfoldAdminSelectWidget({"data-override-mode": definition.key}),
    )


class OverridesInput(forms.Widget):
    """Show the typed form; without a default block to change, say what to do first."""

    template_name = "cms/widgets/overrides.html"

    def __init__(self, typed: TypedFields | None = None, title: str = "") -> None:
        super().__init__()
        self.typed, self.title = typed, title
        self._sent: OverridesForm | None = None

    @property
    def media(self) -> forms.Media:
        return OverridesForm(self.typed).media if self.typed else forms.Media()

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        if self.typed is not None:
            sent = isinstance(value, OverridesForm)
            form = value if sent else OverridesForm(self.typed, prefix=name, stored=value or {})
            context |= {"form": form, "title": self.title}
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> OverridesForm | None:
        if self.typed is None or not any(key.startswith(f"{name}-") for key in data):
            return None
        if self._sent is None:
            self._sent = OverridesForm(self.typed, data=data, prefix=name)
        return self._sent

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return False


class OverridesField(forms.Field):
    """The overrides of a variant; None while there is no form to type them into."""

    widget = OverridesInput

    def clean(self, value: Any) -> dict[str, Any] | None:
        if value is None:
            return None
        if not value.is_valid():
            raise ValidationError("Correct the fields below.", "invalid")
        stored: dict[str, Any] = value.stored()
        return stored

    def has_changed(self, initial: Any, data: Any) -> bool:
        if data is None:
            return False
        return not data.is_valid() or data.stored() != (initial or {})
