"""A cap as an editor writes it: at most … times a person, within …; and an interval between changes.

In: the model's cap, `{"times": 1, "within": "P7D"}` or none. Out: two fields of the form, and the cap they say. Those
who may only look read it as words.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from unfold import widgets as unfold

from cms.pacing import interval_problems

WITHIN = (
    ("", "ever"),
    ("PT1H", "an hour"),
    ("P1D", "a day"),
    ("P7D", "a week"),
    ("P30D", "30 days"),
)
CAP_FIELDS = ("cap_times", "cap_within")


class IntervalForm(forms.Form):
    """What a model form needs to write a minimum interval between changes."""

    min_interval = forms.CharField(
        required=False,
        label="Changes at most every",
        help_text="As long as both variants hold: PT15M is a quarter of an hour.",
        widget=unfold.UnfoldAdminTextInputWidget(),
    )

    def clean_min_interval(self) -> str:
        interval: str = self.cleaned_data["min_interval"].strip().upper()
        if problems := list(interval_problems(interval, "")):
            raise forms.ValidationError(problems[0].message)
        return interval


class CapForm(forms.Form):
    """What a model form needs to write a cap; `cap_name` is where the model keeps it."""

    cap_name: ClassVar[str] = "cap"
    instance: Any

    cap_times = forms.IntegerField(
        required=False,
        min_value=1,
        label="At most … times a person",
        help_text="Empty: as often as it holds.",
        widget=unfold.UnfoldAdminIntegerFieldWidget(),
    )
    cap_within = forms.ChoiceField(
        required=False, choices=WITHIN, label="within", widget=unfold.UnfoldAdminSelectWidget()
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        cap = getattr(kwargs.get("instance"), self.cap_name, None) or {}
        kept = {"cap_times": cap.get("times"), "cap_within": cap.get("within")}
        kwargs["initial"] = kept | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)
        within = cap.get("within")
        if within and within not in dict(WITHIN) and "cap_within" in self.fields:  # from a bundle: it stays
            self.fields["cap_within"].choices = [*WITHIN, (within, within)]  # type: ignore[attr-defined]  # a choice

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        times, within = cleaned.get("cap_times"), cleaned.get("cap_within")
        if "cap_times" in self.fields:
            cap = {"times": times, **({"within": within} if within else {})} if times else None
            setattr(self.instance, self.cap_name, cap)
        if within and not times and "cap_times" not in self.errors:
            self.add_error("cap_times", "Say how often within this time.")
        return cleaned

    @property
    def cap_changed(self) -> bool:
        """Say whether the cap is another than it was."""
        return not {"cap_times", "cap_within"}.isdisjoint(self.changed_data)


def said_cap(cap: Mapping[str, Any] | None) -> str:
    """Return a cap in words."""
    if not cap:
        return "as often as it holds"
    within = cap.get("within")
    time = f" within {dict(WITHIN).get(within, within)}" if within else ""
    return f"{cap['times']} {'time' if cap['times'] == 1 else 'times'}{time}"
