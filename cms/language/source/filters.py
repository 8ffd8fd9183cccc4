"""The filters an editor may name, with the arguments that each one takes."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from jinja2 import nodes, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from cms.language import formats
from cms.language.source.limits import BUDGET, LOCALE, MAX_ARGUMENT_CHARS, Budget
from cms.language.source.values import Empty, items, plain, show


def _cased(change: Callable[[str], str]) -> Callable[[object], object]:
    """Change text, but leave HTML as it is: another case could turn its text into other markup."""

    def apply(value: object) -> object:
        return value if isinstance(value, Markup) else change(str(show(value)))

    return apply


def _join(value: object, between: str = "") -> str:
    shown = [item if isinstance(item, Markup) else str(show(item)) for item in items(value)]
    has_html = any(isinstance(item, Markup) for item in shown)
    return escape(between).join(shown) if has_html else between.join(shown)


@pass_context
def _join_within(context: Context, value: object, between: str = "") -> str:
    budget: Budget = context[BUDGET]
    budget.look()
    return _join(value, between)


def _length(value: object) -> int:
    return len(value) if isinstance(value, str | list | tuple | Mapping) else 0


def _first(value: object) -> object:
    return next((item for item in items(value)[:1] if item is not None), Empty())


def _last(value: object) -> object:
    found = value[-1] if isinstance(value, list | tuple) and value else None
    return Empty() if found is None else found


def _default(value: object, instead: object = "") -> object:
    return instead if value is None or value == "" or isinstance(value, Empty) else value


@pass_context
def _number(context: Context, value: object) -> object:
    return _written(formats.number(value, locale=str(context[LOCALE])), value)


@pass_context
def _currency(context: Context, value: object, code: str = "EUR") -> object:
    return _written(formats.currency(value, code=code, locale=str(context[LOCALE])), value)


@pass_context
def _date(context: Context, value: object, style: str = "short") -> object:
    is_day = isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII)
    instant = f"{value}T00:00:00Z" if is_day else value
    return _written(formats.date(instant, style=style, locale=str(context[LOCALE])), value)


def _written(text: str | None, value: object) -> object:
    """Fall back to the value itself where it is not of the filter's type."""
    return show(value) if text is None else text


@dataclass(frozen=True, slots=True)
class Allowed:
    """A filter that sources may name: what it does, and which one constant it may be given."""

    apply: Callable[..., object]
    words: str = "no argument"
    fits: Callable[[object], bool] | None = None

    def takes(self, args: Sequence[nodes.Expr]) -> bool:
        """Tell whether these are its arguments."""
        if not args:
            return True
        argument = args[0]
        return (
            len(args) == 1
            and self.fits is not None
            and isinstance(argument, nodes.Const)
            and self.fits(argument.value)
        )


def _is_short_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_ARGUMENT_CHARS


FILTERS: Final[Mapping[str, Allowed]] = {
    "upper": Allowed(_cased(str.upper)),
    "lower": Allowed(_cased(str.lower)),
    "title": Allowed(_cased(str.title)),
    "number": Allowed(_number),
    "currency": Allowed(_currency, 'a currency such as "EUR"', formats.is_currency),
    "date": Allowed(_date, '"short" or "long"', lambda value: value in ("short", "long")),
    "default": Allowed(
        _default, "a constant", lambda value: _is_short_text(value) or isinstance(value, int | float)
    ),
    "escape": Allowed(plain),
    "e": Allowed(plain),
    "length": Allowed(_length),
    "join": Allowed(_join_within, "a text of at most 200 characters", _is_short_text),
    "first": Allowed(_first),
    "last": Allowed(_last),
}
