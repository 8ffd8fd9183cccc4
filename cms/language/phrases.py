"""Rules in English: short phrases for the people who write and read them.

Goes in: a part of a rule, and the vocabulary for its titles. Comes out: words, never markup. Rule: a phrase says what
the part asks, and nothing of any visitor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from cms.language import coercion, moments
from cms.language.behaviour.phrases import did_phrase, sequence_phrase
from cms.language.nodes import (
    SEGMENTS,
    Choices,
    Comparison,
    Condition,
    Constant,
    Did,
    Field,
    Junction,
    Negation,
    Node,
    Operand,
    Operators,
    Sequence,
    Value,
    thaw,
)
from cms.language.vocabulary import Vocabulary

_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_VERBS: Final[Mapping[str, str]] = {
    "$eq": "is",
    "$ne": "is not",
    "$lt": "is less than",
    "$lte": "is at most",
    "$gt": "is more than",
    "$gte": "is at least",
    "$veq": "is version",
    "$vne": "is not version",
    "$vlt": "is a version before",
    "$vlte": "is at most version",
    "$vgt": "is a version after",
    "$vgte": "is at least version",
    "$regex": "matches the pattern",
    "$regexi": "matches, in any case, the pattern",
    "$inGroup": "is in the group",
    "$notInGroup": "is not in the group",
    "$type": "is of the type",
    "$size": "has this many items:",
}
_MOMENTS: Final[Mapping[str, str]] = {
    "$lt": "is before",
    "$lte": "is not after",
    "$gt": "is after",
    "$gte": "is not before",
}
_LISTED: Final[Mapping[str, tuple[str, str]]] = {
    "$in": ("is", "is one of"),
    "$nin": ("is not", "is none of"),
    "$ini": ("is, in any case,", "is, in any case, one of"),
    "$nini": ("is not, in any case,", "is, in any case, none of"),
}


def node_phrase(node: Node, vocabulary: Vocabulary) -> str:
    """Return a part of a rule in words, joined parts in parentheses where they need them."""
    match node:
        case Condition(parts):
            return _joined("and", parts, vocabulary) if parts else "always"
        case Junction("$nor", parts):
            return f"not ({_joined('or', parts, vocabulary)})"
        case Junction(operator, parts):
            return _joined(operator.removeprefix("$"), parts, vocabulary) if parts else "always"
        case Negation(part):
            return f"not ({node_phrase(part, vocabulary)})"
        case Field():
            return field_phrase(node, vocabulary)
        case Did() | Sequence():
            return behaviour_phrase(node, vocabulary)


def behaviour_phrase(node: Did | Sequence, vocabulary: Vocabulary) -> str:
    """Return what somebody must have done, in words."""

    def of_condition(condition: Condition) -> str:
        return node_phrase(_short_names(condition), vocabulary)

    if isinstance(node, Did):
        return did_phrase(node, of_condition, lambda subject, did: value_phrase(subject, did.test))
    return sequence_phrase(node, of_condition)


def _short_names(condition: Condition) -> Condition:
    """Name properties without the word before them."""
    parts = (
        replace(part, name=part.name.removeprefix("properties.")) if isinstance(part, Field) else part
        for part in condition.parts
    )
    return replace(condition, parts=tuple(parts))


def field_phrase(field: Field, vocabulary: Vocabulary) -> str:
    """Return what one fact must fulfil, in words."""
    if field.name == SEGMENTS:
        return _membership(field.value, vocabulary)
    fact = vocabulary.find(field.name)
    subject = fact.label if fact else field.name
    return value_phrase(subject, field.value)


def value_phrase(subject: str, test: Value) -> str:
    """Return what one value must fulfil; ``$exists`` goes without saying beside another operator."""
    if isinstance(test, Constant):
        return f"{subject} is {_literal(test.value, subject)}"
    spoken = [
        item for item in test.tests if item.operator != "$exists" or not _is_true(item.operand)
    ] or list(test.tests)
    return _range(subject, spoken) or " and ".join(comparison_phrase(subject, item) for item in spoken)


def _range(subject: str, tests: list[Comparison]) -> str:
    """Return a beginning and an end in one phrase, or nothing where these are not the tests."""
    match tests:
        case [Comparison("$gte", Constant(low)), Comparison("$lt" | "$lte" as end, Constant(high))]:
            between, below = ("from {} to {}", "from {} to below {}")
            if _is_moment(low) and end == "$lt":
                below = "from {} until {}"
            spelled = between if end == "$lte" else below
            return f"{subject} is {spelled.format(_literal(low, subject), _literal(high, subject))}"
    return ""


def comparison_phrase(subject: str, comparison: Comparison) -> str:
    """Return one operator in words."""
    operator, operand = comparison.operator, comparison.operand
    if isinstance(operand, Constant):
        return f"{subject} {_predicate(operator, operand, subject)}"
    if isinstance(operand, Operators):
        return _nested(operator, subject, operand)
    if isinstance(operand, Choices):
        return f"{subject} contains {_list(_choices(operand), 'and')}"
    return f"{subject} has an item where {node_phrase(operand, Vocabulary())}"


def _predicate(operator: str, operand: Constant, subject: str) -> str:
    value = operand.value
    if operator == "$exists":
        return "is known" if value else "is not known"
    if operator == "$not":
        return f"is not {_literal(value, subject)}"
    if operator in _LISTED and isinstance(value, tuple):
        one, several = _LISTED[operator]
        words = [_literal(item, subject) for item in value]
        return f"{one if len(words) == 1 else several} {_list(words, 'or')}"
    verbs = _MOMENTS if operator in _MOMENTS and _is_moment(value) else _VERBS
    return f"{verbs.get(operator, operator)} {_literal(value, subject)}"


def _nested(operator: str, subject: str, operand: Operators) -> str:
    if operator == "$not":
        return f"not ({value_phrase(subject, operand)})"
    if operator == "$size":
        return value_phrase(f"the number of items of {subject}", operand)
    return f"{subject} has an item such that {value_phrase('it', operand)}"


def _membership(test: Operand, vocabulary: Vocabulary) -> str:
    if not isinstance(test, Operators):
        return f"segments is {_words(test)}"
    return " and ".join(_member(comparison, vocabulary) for comparison in test.tests)


def _member(comparison: Comparison, vocabulary: Vocabulary) -> str:
    operator, operand = comparison.operator, comparison.operand
    if operator == "$not":
        return f"not ({_membership(operand, vocabulary)})"
    if operator == "$elemMatch" and isinstance(operand, Operators):
        return f"visitor is in {_titles(operand.tests[0].operand, vocabulary, 'or')}"
    verb, word = {"$nin": ("is not in", "or"), "$all": ("is in", "and")}.get(operator, ("is in", "or"))
    return f"visitor {verb} {_titles(operand, vocabulary, word)}"


def _titles(operand: Operand, vocabulary: Vocabulary, word: str) -> str:
    keys = _choices(operand) if isinstance(operand, Choices) else _keys(operand)
    known = vocabulary.segments
    return _list([known[key].title or key if key in known else key for key in keys], word)


def _keys(operand: Operand) -> list[str]:
    value = operand.value if isinstance(operand, Constant) else ()
    return [coercion.text(item) for item in (value if isinstance(value, tuple) else (value,))]


def _choices(operand: Choices) -> list[str]:
    return [_words(item) for item in operand.items]


def _words(operand: Operand) -> str:
    if isinstance(operand, Constant):
        return _literal(operand.value, "")
    return value_phrase("it", operand) if isinstance(operand, Operators) else "…"


def _joined(word: str, parts: tuple[Any, ...], vocabulary: Vocabulary) -> str:
    inside = len(parts) > 1
    return f" {word} ".join(
        _wrapped(part, vocabulary, word) if inside else node_phrase(part, vocabulary) for part in parts
    )


def _wrapped(part: Node, vocabulary: Vocabulary, word: str) -> str:
    phrase, inner = node_phrase(part, vocabulary), _conjunction(part)
    return phrase if inner in (None, word) else f"({phrase})"


def _conjunction(node: Node) -> str | None:
    """Return the word that joins a phrase on its outside, if one does."""
    match node:
        case Condition((part,)):
            return _conjunction(part)
        case Condition(parts) if parts:
            return "and"
        case Junction("$and" | "$or" as operator, parts) if parts:
            return operator.removeprefix("$") if len(parts) > 1 else _conjunction(parts[0])
    return None


def _is_true(operand: Operand) -> bool:
    return isinstance(operand, Constant) and operand.value is True


def _is_moment(value: Any) -> bool:
    return isinstance(value, str) and (moments.instant(value) is not None or value[2:3] == ":")


def _literal(value: Any, subject: str) -> str:
    if subject in ("weekday", "context.weekday") and isinstance(value, int) and 1 <= value <= 7:
        return _WEEKDAYS[value - 1]
    if value is None:
        return "nothing"
    return coercion.text(thaw(value)) or "empty"


def _list(words: list[str], word: str) -> str:
    if len(words) < 2:
        return "".join(words) or "nothing"
    return f"{', '.join(words[:-1])} {word} {words[-1]}"
