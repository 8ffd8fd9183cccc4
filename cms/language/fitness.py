"""Which operators and literals fit which type of fact.

Goes in: a fact and the test below its name. Comes out: problems with their places. Rules: what JavaScript would compare
by converting is refused here, so that every engine gives one answer; an option that does not exist is an error.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from cms.language import moments, operators
from cms.language.nodes import (
    Choices,
    Comparison,
    Condition,
    Constant,
    Frozen,
    Object,
    Operand,
    Operators,
    Problem,
    Value,
)
from cms.language.operators import PatternError
from cms.language.parse import ALL, EQUALITY, GROUPS, LISTS, ORDER, PATTERNS, VERSIONS, step
from cms.language.vocabulary import Fact

_ALWAYS: Final = frozenset({"$exists", "$not", "$type"})
_FITTING: Final[Mapping[str, frozenset[str]]] = {
    "text": _ALWAYS | EQUALITY | ORDER | LISTS | PATTERNS | VERSIONS,
    "number": _ALWAYS | EQUALITY | ORDER | {"$in", "$nin"},
    "boolean": _ALWAYS | EQUALITY | {"$in", "$nin"},
    "date": _ALWAYS | EQUALITY | ORDER | {"$in", "$nin"},
    "list": _ALWAYS | LISTS | ALL | {"$size", "$elemMatch"},
    "element": _ALWAYS | EQUALITY | ORDER | LISTS | PATTERNS | VERSIONS,
}
_WORDS: Final[Mapping[str, str]] = {
    "text": "a text",
    "number": "a number",
    "boolean": "true or false",
    "date": "a UTC date such as 2026-11-22T08:00:00Z",
    "list": "a text or number",
    "element": "a text or number",
}
_TIME: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_COUNT: Final = Fact("its size", "number")
_ELEMENT: Final = Fact("its item", "element")


def check_value(fact: Fact, value: Value, pointer: str) -> Iterator[Problem]:
    """Yield what in a test does not fit the fact it stands below."""
    if isinstance(value, Operators):
        for test in value.tests:
            yield from _check_test(fact, test)
    elif isinstance(value.value, Object):
        yield Problem("operand_type", pointer, f"'{fact.name}' is a {fact.type}, never an object.")
    elif isinstance(value.value, tuple):
        yield Problem(
            "operand_type", pointer, f"'{fact.name}' cannot be compared with a whole list; use $in or $all."
        )
    else:
        yield from _check_literal(fact, value.value, pointer)


def _check_test(fact: Fact, test: Comparison) -> Iterator[Problem]:
    if test.operator in GROUPS:
        yield Problem(
            "operator_type", test.pointer, f"{test.operator} is not available: there are no saved groups."
        )
    elif test.operator not in _FITTING.get(fact.type, _ALWAYS):
        yield Problem(
            "operator_type", test.pointer, f"{test.operator} does not fit '{fact.name}', a {fact.type}."
        )
    else:
        yield from _check_operand(fact, test, test.operand)


def _check_operand(fact: Fact, test: Comparison, operand: Operand) -> Iterator[Problem]:
    match operand:
        case Condition():
            yield Problem(
                "operand_type", test.pointer, f"The items of '{fact.name}' have no members; use operators."
            )
        case Operators():
            inner = {"$size": _COUNT, "$elemMatch": _ELEMENT}.get(test.operator, fact)
            yield from check_value(inner, operand, test.pointer)
        case Choices(items):
            for item in items:
                yield from check_value(_ELEMENT, item, item.pointer)
        case Constant(value):
            yield from _check_constant(fact, test, value)


def _check_constant(fact: Fact, test: Comparison, value: Frozen) -> Iterator[Problem]:
    if test.operator in PATTERNS:
        yield from _check_pattern(test, str(value))
    elif test.operator in LISTS | ALL:
        yield from _check_list(fact, test, value)
    elif test.operator == "$size":
        yield from _check_literal(_COUNT, value, test.pointer)
    elif test.operator not in VERSIONS | {"$exists", "$type"}:
        yield from _check_literal(fact, value, test.pointer)


def _check_list(fact: Fact, test: Comparison, value: Frozen) -> Iterator[Problem]:
    if not isinstance(value, tuple):
        yield Problem("operand_type", test.pointer, f"{test.operator} needs a list.")
        return
    if not value:
        yield Problem("empty_list", test.pointer, f"{test.operator} has an empty list.", "warning")
    for index, item in enumerate(value):
        yield from _check_literal(fact, item, step(test.pointer, index))


def _check_literal(fact: Fact, value: Frozen, pointer: str) -> Iterator[Problem]:
    if value is None:
        message = f"null is no value to compare with; write {{\"$exists\": false}} for a '{fact.name}' that is not known."
        yield Problem("operand_type", pointer, message)
    elif not _is_of(fact.type, value):
        yield Problem(
            "operand_type", pointer, f"'{fact.name}' is compared with {_WORDS.get(fact.type, fact.type)}."
        )
    elif fact.name == "context.time" and not _TIME.fullmatch(str(value)):
        yield Problem("operand_type", pointer, "A time of day is written HH:MM, from 00:00 to 23:59.")
    elif fact.options and value not in fact.options:
        message = f"'{fact.name}' is never '{value}'.{hint(str(value), fact.options)}"
        yield Problem("unknown_option", pointer, message)


def _is_of(kind: str, value: Frozen) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "date":
        return moments.instant(value) is not None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    return {"text": isinstance(value, str), "number": not isinstance(value, str)}.get(kind, True)


def _check_pattern(test: Comparison, source: str) -> Iterator[Problem]:
    try:
        operators.pattern(source, folded=test.operator == "$regexi")
    except PatternError as error:
        yield Problem("invalid_regex", test.pointer, f"This pattern cannot be used: {error}.")


def hint(name: str, names: Iterable[str]) -> str:
    """Return a suggestion for a misspelled name, with a space before it, or nothing."""
    close: list[Any] = difflib.get_close_matches(name, tuple(names), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
