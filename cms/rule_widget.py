"""The form field of a rule: a textarea that the visual builder enhances.

In: the JSON text of a rule, from the builder or typed. Out: the rule as a dict, ``{}`` for empty text, or one
error for each fault, with the JSON pointer of its place and a sentence.

The builder needs to know what a rule may name: ``vocabulary_url`` is the address that answers
``{"facts": [{"name", "title", "type", "group", "purposes", "options"}], "segments": [{"key", "title"}]}``;
it is fetched once per page. Without it, or without scripts, the textarea is a plain textarea. ``recipes_url`` answers
rules to begin with, and ``reach_url`` who a rule would reach; without them neither is offered.

A condition that an editor has not finished arrives as ``{"$unfinished": …}`` and is refused here, so that it is neither stored nor silently dropped.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput

from cms.language.nodes import Problem, RuleError
from cms.language.parse import parse, step

MAX_CHARACTERS: Final = 100_000
UNFINISHED: Final = "$unfinished"

Check = Callable[[Mapping[str, Any]], Iterable[Problem]]


class RuleWidget(forms.Textarea):
    """Show a rule in the visual builder; its list of facts comes from ``vocabulary_url``."""

    segment_id: object = None  # of the segment whose rule it is, so that its reach is counted without it

    class Media:
        css = {"all": ["cms/rule-builder.css"]}
        js = ["cms/rule-builder.js"]

    def __init__(
        self,
        attrs: dict[str, Any] | None = None,
        *,
        vocabulary_url: object = "",
        recipes_url: object = "",
        reach_url: object = "",
    ) -> None:
        super().__init__({"rows": 6, "spellcheck": "false", **(attrs or {})})
        self.vocabulary_url, self.recipes_url, self.reach_url = vocabulary_url, recipes_url, reach_url

    def build_attrs(
        self, base_attrs: dict[str, Any], extra_attrs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Add what the builder looks for; a lazy address is resolved here, when the form is shown."""
        attrs = super().build_attrs(base_attrs, extra_attrs)
        attrs["class"] = f"rule-builder {attrs.get('class', '')}".strip()
        attrs["data-vocabulary-url"] = str(self.vocabulary_url)
        offered = {
            "recipes-url": self.recipes_url,
            "reach-url": self.reach_url,
            "segment": self.segment_id or "",
        }
        return attrs | {f"data-{name}": str(value) for name, value in offered.items() if str(value)}

    def use_required_attribute(self, initial: Any) -> bool:
        """Never: the browser cannot point at a textarea that lies folded under the builder."""
        return False


class RuleField(forms.JSONField):
    """Read a rule; ``check`` may add problems beyond its grammar (unknown facts, wrong types)."""

    widget = RuleWidget

    def __init__(self, *, check: Check | None = None, **kwargs: Any) -> None:
        super().__init__(**{"required": False, **kwargs})
        self.check = check

    def to_python(self, value: Any) -> Any:
        """Give the rule as a dict; raise ``ValidationError`` with the place of each fault."""
        rule = self._loaded(value)
        if not isinstance(rule, dict):
            raise ValidationError("A rule is a JSON object, such as {}.", code="invalid")
        problems = [problem for problem in self._problems(rule) if problem.severity == "error"]
        if problems:
            raise ValidationError([_error(problem) for problem in problems])
        return rule

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Keep what was sent; text that cannot be read is shown again as it was typed."""
        if self.disabled:
            return initial
        try:
            return json.loads(data or "{}")
        except (ValueError, RecursionError):
            return InvalidJSONInput(data)

    def prepare_value(self, value: Any) -> Any:
        """Print the rule with indentation, for those who edit it as JSON."""
        if isinstance(value, InvalidJSONInput):
            return value
        return json.dumps({} if value is None else value, indent=2, ensure_ascii=False, cls=self.encoder)

    def validate(self, value: Any) -> None:
        """Refuse the empty rule where one is required."""
        if self.required and not value:
            raise ValidationError(self.error_messages["required"], code="required")

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare rules, not their text; what cannot be read is a change."""
        try:
            return bool(self._loaded(initial) != self._loaded(data))
        except ValidationError:
            return True

    def _loaded(self, value: Any) -> Any:
        if value in self.empty_values:
            return {}
        if not isinstance(value, str):
            return value
        if len(value) > MAX_CHARACTERS:
            raise ValidationError(f"A rule has at most {MAX_CHARACTERS} characters.", code="too_long")
        try:
            return json.loads(value, cls=self.decoder)
        except RecursionError:
            raise ValidationError("The rule is nested too deeply.", code="too_deep") from None
        except json.JSONDecodeError as error:
            place = f"line {error.lineno}, column {error.colno}"
            raise ValidationError(
                f"This is not valid JSON: {error.msg} ({place}).", code="invalid"
            ) from error

    def _problems(self, rule: dict[str, Any]) -> Iterable[Problem]:
        try:
            parse(rule)
        except RuleError as error:
            return error.problems
        unfinished = list(_unfinished(rule, ""))
        return unfinished or (self.check(rule) if self.check else ())


def _unfinished(node: Any, pointer: str) -> Iterator[Problem]:
    """Find the rows that the builder marked, in a rule whose depth ``parse`` has bounded."""
    if isinstance(node, dict) and UNFINISHED in node:
        yield Problem("unfinished", pointer, "This condition is unfinished: complete it or remove it.")
    elif isinstance(node, dict | list):
        for key, part in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _unfinished(part, step(pointer, key))


def _error(problem: Problem) -> ValidationError:
    """Put the place before the sentence."""
    params = {"place": problem.pointer or "/", "message": problem.message}
    return ValidationError("%(place)s: %(message)s", code=problem.code, params=params)
