"""Values of placeholders as people write them: numbers, money and dates, by locale.

Goes in: a value and a locale (``de-AT`` counts as ``de`` where nothing closer is known). Comes out: text, or ``None``
when the value is of the wrong type. Rules: patterns follow the Unicode CLDR for the languages listed; any other
language gets the plain international form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from cms.language import coercion, moments

_SPACE: Final = "\N{NO-BREAK SPACE}"
_SEPARATORS: Final[Mapping[str, tuple[str, str]]] = {  # between thousands, before decimals
    "en": (",", "."),
    "de": (".", ","),
    "de-ch": ("’", "."),
    "es": (".", ","),
    "fr": (_SPACE, ","),
    "it": (".", ","),
    "nl": (".", ","),
    "pl": (_SPACE, ","),
    "pt": (".", ","),
}
_PLAIN: Final = ("", ".")
_SYMBOLS: Final[Mapping[str, str]] = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹", "PLN": "zł"}
_WHOLE: Final = frozenset({"JPY", "KRW", "CLP", "ISK", "HUF", "VND"})
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?")

_MONTHS: Final[Mapping[str, Sequence[str]]] = {
    "en": [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    "de": [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
    "es": [
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ],
    "fr": [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
    "it": [
        "gennaio",
        "febbraio",
        "marzo",
        "aprile",
        "maggio",
        "giugno",
        "luglio",
        "agosto",
        "settembre",
        "ottobre",
        "novembre",
        "dicembre",
    ],
    "nl": [
        "januari",
        "februari",
        "maart",
        "april",
        "mei",
        "juni",
        "juli",
        "augustus",
        "september",
        "oktober",
        "november",
        "december",
    ],
}
_LONG: Final[Mapping[str, str]] = {
    "en": "{month} {day}, {year}",
    "en-gb": "{day} {month} {year}",
    "de": "{day}. {month} {year}",
    "es": "{day} de {month} de {year}",
    "fr": "{day} {month} {year}",
    "it": "{day} {month} {year}",
    "nl": "{day} {month} {year}",
}
_SHORT: Final[Mapping[str, str]] = {
    "en": "{m}/{day}/{year}",
    "en-gb": "{day:02}/{m:02}/{year}",
    "de": "{day:02}.{m:02}.{year}",
    "es": "{day}/{m}/{year}",
    "fr": "{day:02}/{m:02}/{year}",
    "it": "{day:02}/{m:02}/{year}",
    "nl": "{day:02}-{m:02}-{year}",
}
_INTERNATIONAL: Final = "{year:04}-{m:02}-{day:02}"


def plain(value: Any) -> str | None:
    """Return a text or number as text; other types have none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return coercion.text(value)


def number(value: Any, *, locale: str) -> str | None:
    """Write a number with the separators of a locale, at most three decimals."""
    amount = _amount(value)
    return None if amount is None else _grouped(_rounded(amount, 3).normalize(), locale)


def currency(value: Any, *, code: str, locale: str) -> str | None:
    """Write an amount of money: ``€12.50`` in English, ``12,50 €`` elsewhere."""
    amount = _amount(value)
    if amount is None:
        return None
    digits = _grouped(_rounded(abs(amount), 0 if code in _WHOLE else 2), locale)
    symbol, sign = _SYMBOLS.get(code), "-" if amount < 0 else ""
    if locale.lower().startswith("en"):
        return f"{sign}{symbol or code + ' '}{digits}"
    return f"{sign}{digits} {symbol or code}"


def date(value: Any, *, style: str, locale: str) -> str | None:
    """Write the UTC day of an instant, ``short`` or ``long``."""
    moment = moments.instant(value)
    if moment is None:
        return None
    months = _closest(_MONTHS, locale, ())
    pattern: str = _closest(_LONG if style == "long" else _SHORT, locale, _INTERNATIONAL)
    month = months[moment.month - 1] if months else ""
    return pattern.format(day=moment.day, m=moment.month, month=month, year=moment.year)


def is_currency(code: object) -> bool:
    """Say whether this is spelled like a code of ISO 4217."""
    return isinstance(code, str) and re.fullmatch(r"[A-Z]{3}", code) is not None


def _closest(table: Mapping[str, Any], locale: str, otherwise: Any) -> Any:
    tag = locale.lower().replace("_", "-")
    return table.get(tag, table.get(tag.split("-")[0], otherwise))


def _amount(value: Any) -> Decimal | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    exact = Decimal(repr(value)) if abs(value) < 1e15 else None
    return exact if exact is not None and exact.is_finite() else None


def _rounded(amount: Decimal, places: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)


def _grouped(amount: Decimal, locale: str) -> str:
    thousands, decimals = _closest(_SEPARATORS, locale, _PLAIN)
    return f"{amount:,f}".translate({ord(","): thousands, ord("."): decimals})
