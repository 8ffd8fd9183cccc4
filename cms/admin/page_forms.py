"""The forms of a page: its own fields, its templates, placements and variants, each in the order of its rows.

The rows are a draft and may be incomplete; what cannot be stored at all is an error at its field. Positions follow the
order on the screen, and the default comes last whatever that order is.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Case, IntegerField, When
from django.urls import reverse_lazy
from unfold import widgets as unfold
from unfold.forms import PaginationInlineFormSet

from cms.admin.caps import CapForm, IntervalForm
from cms.content import known_to
from cms.facts import vocabulary
from cms.fields import Known, clean_overrides, parse_fields
from cms.forms import AnyModelForm, LocalizedField, MomentField, SiteForm, TypedFields, show_problems
from cms.keys import valid_key
from cms.language.explain import sentence
from cms.language.nodes import Problem, RuleError
from cms.language.parse import parse
from cms.language.vocabulary import Vocabulary
from cms.models import Block, Page, PageTemplate, Placement, Template, Variant
from cms.models.site import current_site
from cms.override_form import OverridesField, OverridesInput
from cms.pacing import rotation_problems
from cms.pages import rule_problems
from cms.paths import normalise
from cms.rule_widget import RuleField, RuleWidget
from cms.widgets import BlockSelect

VOCABULARY_URL = reverse_lazy("admin:cms_vocabulary")
LAST = 9_999  # where a new row stands until it is moved


@dataclass(frozen=True)
class Surroundings:
    """What the rows of one page are read against, loaded once per request."""

    page: Page | None

    @cached_property
    def facts(self) -> Vocabulary:
        return vocabulary(current_site().pk)

    @cached_property
    def known(self) -> Known:
        return known_to(current_site())

    @cached_property
    def slots(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the slots of the page's templates; those of all templates while it has none."""
        templates = Template.objects.filter(site=current_site())
        used = templates.filter(pages__page=self.page).distinct() if self.page else templates.none()
        return {slot["key"]: slot for template in used or templates for slot in template.slots}

    @cached_property
    def bases(self) -> Mapping[int, Block]:
        """Return the default's block per placement."""
        if self.page is None:
            return {}
        defaults = Variant.objects.filter(placement__page=self.page, is_default=True, block__isnull=False)
        rows = defaults.select_related("block__type")
        return {row.placement_id: row.block for row in rows if row.block is not None}

    def typed(self, base: Block) -> TypedFields:
        return TypedFields(parse_fields(base.type.fields)[0], current_site(), lenient=True)

    def said(self, rule: object) -> str:
        """Return a rule as a sentence; none at all is always true."""
        if not rule:
            return "always"
        try:
            return sentence(parse(rule), self.facts)
        except RuleError:
            return "a rule that cannot be read"


def rule_field(label: str) -> RuleField:
    """Return the field of a display rule, with the visual builder."""
    return RuleField(
        label=label,
        widget=RuleWidget(vocabulary_url=VOCABULARY_URL, recipes_url=settings.DISPLAY_RECIPES_URL),
    )


def key_input() -> forms.CharField:
    """Return the field of a key that is made when it is left empty."""
    widget = unfold.UnfoldAdminTextInputWidget({"placeholder": "made for you"})
    return forms.CharField(required=False, max_length=100, validators=[valid_key], widget=widget)


class PageForm(SiteForm):
    """A page's own fields; what `meta` holds besides the description is kept as it is."""

    description = LocalizedField(locales=("en",), required=False)
    go_live_at = MomentField(
        required=False, label="Live from", help_text="Empty: as soon as it is published."
    )
    expire_at = MomentField(required=False, label="Live until", help_text="Exclusive. Empty: for good.")

    class Meta:
        model = Page
        fields = ("path", "title", "go_live_at", "expire_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        page = kwargs.get("instance")
        described = (page.meta or {}).get("description") if page else None
        about = {"description": described if isinstance(described, dict) else {}}
        kwargs["initial"] = about | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)
        if "title" in self.fields:
            self._localize()

    def _localize(self) -> None:
        locales = self.instance.site.locales
        self.fields["title"] = LocalizedField(locales=locales, required=False, label="Title")
        help_text = "One or two sentences for search engines and previews."
        self.fields["description"] = LocalizedField(
            locales=locales, required=False, label="Description", help_text=help_text, multiline=True
        )

    def clean_path(self) -> str:
        return normalise(self.cleaned_data["path"])

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if ends_too_early(cleaned.get("go_live_at"), cleaned.get("expire_at")):
            self.add_error("expire_at", "It has to lie after the beginning.")
        kept = {name: value for name, value in (self.instance.meta or {}).items() if name != "description"}
        described = cleaned.get("description")
        self.instance.meta = kept | ({"description": described} if described else {})
        return cleaned


def ends_too_early(starts: Any, ends: Any) -> bool:
    """Say whether an interval ends before it has begun; an open one does not."""
    return bool(starts and ends and starts >= ends)


class RowForm(AnyModelForm):
    """A row of a list: its place in the list is checked and written when the whole list is."""

    position = forms.IntegerField(required=False, initial=LAST, widget=forms.HiddenInput())

    def __init__(self, *args: Any, around: Surroundings | None = None, **kwargs: Any) -> None:
        self.around = around or Surroundings(None)
        super().__init__(*args, **kwargs)
        if isinstance(rule := self.fields.get("rule"), RuleField):
            rule.check = self._rule_problems

    def _rule_problems(self, rule: Mapping[str, Any]) -> list[Problem]:
        return rule_problems(rule, self.around.facts, "")

    def clean_position(self) -> int:
        position = self.cleaned_data.get("position")
        return LAST if position is None else int(position)

    def _get_validation_exclusions(self) -> set[str]:
        mine = {"position", "is_default"}
        return set(super()._get_validation_exclusions()) | mine  # type: ignore[misc]  # not in the stubs


class PageTemplateForm(RowForm):
    rule = rule_field("Use it when")

    class Meta:
        model = PageTemplate
        fields = ("template", "is_default", "rule", "position")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("is_default") and cleaned.get("rule"):
            self.add_error("rule", "The default is used when no other rule holds: it has no rule of its own.")
        cleaned["rule"] = cleaned.get("rule") or None
        return cleaned


class PlacementForm(IntervalForm, RowForm):
    slot = forms.ChoiceField(widget=unfold.UnfoldAdminSelectWidget())
    rotation = forms.JSONField(
        required=False,
        label="Variants take turns",
        help_text='{"kind": "weighted", "every": "P1D"}; also "shuffled", and "decayed" with a half_life.',
        widget=unfold.UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )
    key = key_input()

    class Meta:
        model = Placement
        fields = ("slot", "key", "min_interval", "rotation", "position")

    def clean_rotation(self) -> Any:
        rotation = self.cleaned_data["rotation"] or None
        if problems := list(rotation_problems(rotation, "")):
            raise forms.ValidationError(problems[0].message)
        return rotation

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        slots = {key: str(slot.get("title") or key) for key, slot in self.around.slots.items()}
        mine = self.instance.slot
        if mine and mine not in slots:
            slots[mine] = f"{mine} (in no template of this page)"
        if "slot" in self.fields:
            self.fields["slot"].choices = [("", "Choose…"), *slots.items()]  # type: ignore[attr-defined]  # a choice
        if mine:
            self.instance.get_inline_title = f"{slots[mine]}: {self.instance.key}"


class VariantForm(CapForm, RowForm):
    """What a placement may show, to whom, and when."""

    weight = forms.IntegerField(
        required=False, initial=1, min_value=1, max_value=1000, widget=unfold.UnfoldAdminIntegerFieldWidget()
    )

    rule = rule_field("Show it when")
    starts_at = MomentField(required=False, label="From")
    ends_at = MomentField(required=False, label="Until (exclusive)")
    overrides = OverridesField(required=False, label="Changes")
    key = key_input()

    class Meta:
        model = Variant
        fields = (
            "key",
            "is_default",
            "kind",
            "block",
            "overrides",
            "rule",
            "starts_at",
            "ends_at",
            "offer",
            "weight",
            "experience",
            "position",
        )

    def __init__(
        self, *args: Any, base: Block | None = None, types: tuple[str, ...] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.base = base
        self._offer_blocks(types)
        self._offer_changes()
        if self.instance.pk:
            self.instance.get_inline_title = self._title()

    def _offer_blocks(self, types: tuple[str, ...]) -> None:
        if isinstance(block := self.fields.get("block"), forms.ModelChoiceField):
            choices = block.choices
            block.widget = BlockSelect(types)
            block.widget.choices = choices

    def _offer_changes(self) -> None:
        """Give the typed form to a variant that changes fields, once there is a block to change."""
        self.typed = None
        if self.base is not None and self.instance.kind == Variant.Kind.OVERRIDE:
            self.typed = self.around.typed(self.base)
        if "overrides" in self.fields:
            self.fields["overrides"].widget = OverridesInput(self.typed, str(self.base or ""))

    def _title(self) -> str:
        variant: Variant = self.instance
        shows = {"hide": "nothing", "override": "the default, changed"}.get(variant.kind) or str(
            variant.block or "no block yet"
        )
        if variant.is_default:
            return f"Default: {shows}"
        return f"{variant.key}: {shows} · {self.around.said(variant.rule)}"

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        cleaned["rule"] = cleaned.get("rule") or None
        cleaned["weight"] = cleaned.get("weight") or 1
        if cleaned.get("is_default"):
            self._keep_default_plain(cleaned)
        if ends_too_early(cleaned.get("starts_at"), cleaned.get("ends_at")):
            self.add_error("ends_at", "It has to lie after the beginning.")
        self._agree(cleaned)
        return cleaned

    def _keep_default_plain(self, cleaned: Mapping[str, Any]) -> None:
        sentence = "The default is what everybody else sees: it has none."
        for name in ("rule", "starts_at", "ends_at", "cap_times"):
            if cleaned.get(name):
                self.add_error(name, sentence)
        if cleaned.get("kind") != Variant.Kind.REPLACE:
            self.add_error("kind", "The default shows a block.")

    def _agree(self, cleaned: dict[str, Any]) -> None:
        """Keep the columns that the kind has use for."""
        kind = cleaned.get("kind")
        if kind != Variant.Kind.REPLACE:
            cleaned["block"] = None
        if kind != Variant.Kind.OVERRIDE:
            cleaned["overrides"] = None
            return
        typed = cleaned.get("overrides")
        cleaned["overrides"] = (self.instance.overrides or {}) if typed is None else self._checked(typed)
        self.instance.base_revision_id = self.base.published_id if self.base else None

    def _checked(self, overrides: dict[str, Any]) -> dict[str, Any]:
        if self.typed is None:
            return overrides
        result = clean_overrides(self.typed.definitions, overrides, known=self.around.known, pointer="")
        errors = [p for p in result.problems if p.severity == "error"]
        sent = self["overrides"].value()
        if errors and isinstance(sent, forms.BaseForm):
            show_problems(sent, errors, self.typed.place)
            self.add_error("overrides", "Correct the fields below.")
        return result.data


class RowFormSet(PaginationInlineFormSet):  # type: ignore[misc]  # unfold ships no types
    """Rows in an order, with at most one default, and keys of their own."""

    def __init__(self, *args: Any, around: Surroundings | None = None, **kwargs: Any) -> None:
        self.around = around or Surroundings(None)
        super().__init__(*args, **kwargs)

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        return {**super().get_form_kwargs(index), "around": self.around}

    def clean(self) -> None:
        super().clean()
        kept = list(self._kept())
        if sum(bool(form.cleaned_data.get("is_default")) for form in kept) > 1:
            raise ValidationError("Only one row is the default.")
        self._name(kept)

    def _kept(self) -> Iterator[Any]:
        for form in self.forms:
            if form.is_valid() and form.cleaned_data and not form.cleaned_data.get("DELETE"):
                yield form

    def _name(self, kept: list[Any]) -> None:
        """Make the keys that were left empty."""
        taken = {form.cleaned_data.get("key") for form in kept}
        for form in kept:
            if "key" in form.fields and not form.cleaned_data.get("key"):
                form.instance.key = self._free_key(form, taken)
                taken.add(form.instance.key)

    def _free_key(self, form: Any, taken: set[Any]) -> str:
        stem = self.stem(form)
        numbered = (f"{stem}-{n}" for n in range(2, 1000))
        return next((key for key in (stem, *numbered) if key not in taken), uuid.uuid4().hex)

    def stem(self, form: Any) -> str:
        return "row"


class PlacementFormSet(RowFormSet):
    """Placements in the order of the template's slots."""

    def get_queryset(self) -> Any:
        if not hasattr(self, "_queryset"):
            order = [When(slot=key, then=index) for index, key in enumerate(self.around.slots)]
            place = Case(*order, default=len(order), output_field=IntegerField())
            self._queryset = super().get_queryset().order_by(place, "slot", "position")
        return self._queryset

    def stem(self, form: Any) -> str:
        page = (self.instance.path or "/").strip("/").replace("/", "-").replace(".", "-").lower() or "home"
        return f"{page}-{form.cleaned_data['slot']}".strip("-_")


class VariantFormSet(RowFormSet):
    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        slot = self.around.slots.get(self.instance.slot or "", {})
        base = self.around.bases.get(self.instance.pk)
        return {**super().get_form_kwargs(index), "base": base, "types": tuple(slot.get("types") or ())}

    def stem(self, form: Any) -> str:
        if form.cleaned_data.get("is_default"):
            return "default"
        return str(form.cleaned_data.get("kind") or "variant")
