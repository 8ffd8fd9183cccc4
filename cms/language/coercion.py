"""How JavaScript converts and compares JSON values (ECMA-262, "Abstract Operations").

Goes in: any JSON value, also one nested without end. Comes out: a number, a text, an order or an equality, exactly as
the grammar's JavaScript SDK sees it. Rule: nothing here raises, whatever the facts hold.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any, Final

from cms.language.nodes import Frozen, Object

NAN: Final = math.nan
MAX_NESTING: Final = 40
_DECIMAL: Final = re.compile(r"[+-]?(?:Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_RADIX: Final = re.compile(r"0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")
_WIDE: Final = 1e21  # from here on JavaScript writes numbers with an exponent


def truthy(value: Any) -> bool:
    """Say whether ``!!value`` holds: empty lists and objects are true, NaN is false."""
    if isinstance(value, list | dict):
        return True
    return bool(value) and value == value


def number(value: Any) -> float:
    """Return ``Number(value)``; NaN where there is none."""
    if value is None:
        return 0.0
    if isinstance(value, int | float):
        return _float(value)
    return _parse_number(text(value))


def text(value: Any, nesting: int = 0) -> str:
    """Return ``String(value)``."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number_text(_float(value))
    return _list_text(value, nesting) if isinstance(value, list) else "[object Object]"


def order(left: Any, right: Any) -> int | None:
    """Compare as ``<`` does: -1, 0 or 1, or ``None`` where JavaScript has no order (NaN)."""
    first, second = _primitive(left), _primitive(right)
    if isinstance(first, str) and isinstance(second, str):
        return (first > second) - (first < second)
    one, other = number(first), number(second)
    return None if math.isnan(one) or math.isnan(other) else (one > other) - (one < other)


def strictly_equal(value: Any, literal: Any) -> bool:
    """Compare as ``===`` does: no conversion, and a list or object equals none but itself."""
    if isinstance(literal, tuple | Object | list | dict):
        return False
    if isinstance(literal, bool) or isinstance(value, bool):
        return value is literal
    return bool(value == literal)


def same_json(value: Any, literal: Frozen) -> bool:
    """Compare as ``JSON.stringify`` of both does: lists and the keys of objects in their order."""
    if isinstance(literal, tuple):
        return isinstance(value, list) and _same_items(value, literal)
    if isinstance(literal, Object):
        names = [key for key, _ in literal.items]
        return (
            isinstance(value, dict)
            and list(value) == names
            and _same_items(list(value.values()), tuple(item for _, item in literal.items))
        )
    return strictly_equal(value, literal)


def version(value: Any) -> str:
    """Return a text whose order is that of versions (semver without build, parts padded)."""
    source = text(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    plain = source if isinstance(source, str) and source else "0"
    parts = re.split(r"[-.]", re.sub(r"\+.*$", "", plain.removeprefix("v")))
    if len(parts) == 3:
        parts.append("~")  # a release sorts after each of its pre-releases
    return "-".join(part.rjust(5) if re.fullmatch(r"[0-9]+", part) else part for part in parts)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond the range of a double
        return math.inf if value > 0 else -math.inf


def _parse_number(source: str) -> float:
    trimmed = source.strip()
    if not trimmed:
        return 0.0
    if _DECIMAL.fullmatch(trimmed):
        return float(trimmed)
    if len(trimmed) < MAX_NESTING and _RADIX.fullmatch(trimmed):
        return float(int(trimmed, 0))
    return NAN


def _number_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == int(value) and abs(value) < _WIDE:
        return str(int(value))
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return mantissa
    return (
        f"{mantissa}e{int(exponent):+d}" if not -7 < int(exponent) < 21 else format(Decimal(repr(value)), "f")
    )


def _list_text(value: list[Any], nesting: int) -> str:
    if nesting >= MAX_NESTING:
        return ""
    return ",".join("" if item is None else text(item, nesting + 1) for item in value)


def _primitive(value: Any) -> Any:
    return text(value) if isinstance(value, list | dict) else value


def _same_items(values: list[Any], literals: tuple[Frozen, ...]) -> bool:
    return len(values) == len(literals) and all(map(same_json, values, literals))
