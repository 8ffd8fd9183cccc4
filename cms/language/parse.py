"""From JSON to a rule.

Goes in: any JSON value. Comes out: a ``Condition``, or ``RuleError`` with the place and a sentence for each fault.
Rules: at most 200 nodes, 10 levels, 1,000 items in a list, 256 characters in a pattern; the limits are met before
anything deep is walked, so no input exhausts the stack. What is well formed but senseless is left to ``check``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from cms.language.behaviour.reading import read_did, read_sequence
from cms.language.nodes import (
    Choices,
    Comparison,
    Condition,
    Constant,
    Did,
    Field,
    Frozen,
    Junction,
    Negation,
    Object,
    Operand,
    Operators,
    Problem,
    RuleError,
    Sequence,
    Value,
)

MAX_NODES: Final = 200
MAX_DEPTH: Final = 10
MAX_ITEMS: Final = 1000
MAX_PATTERN: Final = 256
MAX_PROBLEMS: Final = 50

JUNCTIONS: Final = frozenset({"$and", "$or", "$nor"})
ORDER: Final = frozenset({"$lt", "$lte", "$gt", "$gte"})
VERSIONS: Final = frozenset({"$veq", "$vne", "$vlt", "$vlte", "$vgt", "$vgte"})
EQUALITY: Final = frozenset({"$eq", "$ne"})
LISTS: Final = frozenset({"$in", "$nin", "$ini", "$nini"})
ALL: Final = frozenset({"$all", "$alli"})
PATTERNS: Final = frozenset({"$regex", "$regexi"})
GROUPS: Final = frozenset({"$inGroup", "$notInGroup"})
NESTED: Final = frozenset({"$not", "$size", "$elemMatch"})
OPERATORS: Final = (
    EQUALITY | ORDER | VERSIONS | LISTS | ALL | PATTERNS | GROUPS | NESTED | {"$exists", "$type"}
)
BEHAVIOUR: Final = frozenset({"$did", "$seq"})
TYPES: Final = ("string", "number", "boolean", "array", "object", "null", "undefined")


def parse(rule: object) -> Condition:
    """Read a rule from JSON; raise ``RuleError`` with every problem found (at most 50)."""
    reader = _Reader()
    node = reader.condition(rule, "", 0)
    if reader.problems:
        raise RuleError(tuple(reader.problems))
    return node


def step(pointer: str, key: object) -> str:
    """Extend a JSON pointer (RFC 6901) by one key."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


class _Reader:
    """One reading of one rule: counts its nodes and gathers its problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._nodes = 0

    def condition(self, source: object, pointer: str, depth: int) -> Condition:
        self._enter(pointer, depth)
        if not isinstance(source, dict):
            self._report("not_an_object", pointer, f"A condition is a JSON object, not {_kind(source)}.")
            return Condition((), pointer)
        parts = (self._part(key, value, pointer, depth) for key, value in source.items())
        return Condition(tuple(part for part in parts if part is not None), pointer)

    def value(self, source: object, pointer: str, depth: int) -> Value:
        return self._value(source, pointer, depth)

    def enter(self, pointer: str, depth: int) -> None:
        self._enter(pointer, depth)

    def report(self, code: str, pointer: str, message: str) -> None:
        self._report(code, pointer, message)

    def _part(
        self, key: object, source: object, parent: str, depth: int
    ) -> Field | Junction | Negation | Did | Sequence | None:
        pointer = step(parent, key)
        if not self._is_name(key, pointer):
            return None
        if key in JUNCTIONS:
            return self._junction(str(key), source, pointer, depth)
        if key == "$not":
            return Negation(self.condition(source, pointer, depth + 1), pointer)
        if key in BEHAVIOUR:
            self._enter(pointer, depth)
            read = read_did if key == "$did" else read_sequence
            return read(source, pointer, depth, self)
        if key in OPERATORS:
            self._misplaced(str(key), pointer)
            return None
        return Field(str(key), self._value(source, pointer, depth), pointer)

    def _junction(self, operator: str, source: object, pointer: str, depth: int) -> Junction | None:
        self._enter(pointer, depth)
        if not isinstance(source, list):
            self._report(
                "operand_type", pointer, f"{operator} needs a list of conditions, not {_kind(source)}."
            )
            return None
        if not self._fits(source, pointer):
            return None
        parts = (self.condition(item, step(pointer, index), depth + 1) for index, item in enumerate(source))
        return Junction(operator, tuple(parts), pointer)

    def _value(self, source: object, pointer: str, depth: int) -> Value:
        self._enter(pointer, depth)
        if not isinstance(source, dict) or not any(_is_operator(key) for key in source):
            return Constant(self._freeze(source, pointer, depth), pointer)
        tests = (self._comparison(key, item, pointer, depth) for key, item in source.items())
        return Operators(tuple(test for test in tests if test is not None), pointer)

    def _comparison(self, key: object, source: object, parent: str, depth: int) -> Comparison | None:
        pointer = step(parent, key)
        self._enter(pointer, depth)
        if not self._is_name(key, pointer):
            return None
        operator = str(key)
        if operator not in OPERATORS:
            self._unknown(operator, pointer)
            return None
        operand = self._operand(operator, source, pointer, depth)
        return None if operand is None else Comparison(operator, operand, pointer)

    def _operand(self, operator: str, source: object, pointer: str, depth: int) -> Operand | None:
        wanted = _wanted(operator, source)
        if wanted:
            self._report("operand_type", pointer, f"{operator} needs {wanted}, not {_kind(source)}.")
            return None
        if operator in ("$not", "$size"):
            return self._value(source, pointer, depth + 1)
        if operator == "$elemMatch":
            return self._element(source, pointer, depth + 1)
        if operator in ALL and isinstance(source, list):
            return self._choices(source, pointer, depth)
        if operator in PATTERNS and len(str(source)) > MAX_PATTERN:
            self._report("pattern_too_long", pointer, f"A pattern has at most {MAX_PATTERN} characters.")
            return None
        return Constant(self._freeze(source, pointer, depth), pointer)

    def _element(self, source: object, pointer: str, depth: int) -> Operand:
        if isinstance(source, dict) and source and all(_is_operator(key) for key in source):
            return self._value(source, pointer, depth)
        return self.condition(source, pointer, depth)

    def _choices(self, source: list[Any], pointer: str, depth: int) -> Choices | None:
        if not self._fits(source, pointer):
            return None
        return Choices(
            tuple(self._choice(item, step(pointer, i), depth) for i, item in enumerate(source)), pointer
        )

    def _choice(self, source: object, pointer: str, depth: int) -> Value:
        if isinstance(source, dict):
            return self._value(source, pointer, depth + 1)
        return Constant(self._freeze(source, pointer, depth), pointer)

    def _freeze(self, source: object, pointer: str, depth: int) -> Frozen:
        """Copy a JSON literal into immutable values; report what no JSON text can hold."""
        if isinstance(source, list) and self._fits(source, pointer):
            self._within(pointer, depth)
            return tuple(
                self._freeze(item, step(pointer, index), depth + 1) for index, item in enumerate(source)
            )
        if isinstance(source, dict) and self._fits(source, pointer):
            self._within(pointer, depth)
            return Object(tuple(self._freeze_item(key, item, pointer, depth) for key, item in source.items()))
        return self._scalar(source, pointer)

    def _freeze_item(self, key: object, source: object, parent: str, depth: int) -> tuple[str, Frozen]:
        pointer = step(parent, key)
        self._is_name(key, pointer)
        return str(key), self._freeze(source, pointer, depth + 1)

    def _scalar(self, source: object, pointer: str) -> Frozen:
        if source is None or isinstance(source, bool | int):
            return source
        if isinstance(source, str):
            self._is_text(source, pointer)
            return source
        if isinstance(source, float) and math.isfinite(source):
            return source
        if not isinstance(source, list | dict):
            self._report("not_json", pointer, f"{_kind(source).capitalize()} is no JSON value.")
        return None

    def _is_name(self, key: object, pointer: str) -> bool:
        if isinstance(key, str):
            return self._is_text(key, pointer)
        self._report("not_json", pointer, f"A key is a text, not {_kind(key)}.")
        return False

    def _is_text(self, text: str, pointer: str) -> bool:
        good = "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
        if not good:
            self._report(
                "bad_text", pointer, "A text holds no NUL character and no half of a surrogate pair."
            )
        return good

    def _fits(self, source: list[Any] | dict[Any, Any], pointer: str) -> bool:
        if len(source) > MAX_ITEMS:
            self._report(
                "list_too_long", pointer, f"A list has at most {MAX_ITEMS:,} items; this has {len(source):,}."
            )
        return len(source) <= MAX_ITEMS

    def _enter(self, pointer: str, depth: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._give_up(
                "too_many_nodes", pointer, f"A rule has at most {MAX_NODES} conditions and operators."
            )
        self._within(pointer, depth)

    def _within(self, pointer: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            self._give_up("too_deep", pointer, f"Conditions lie at most {MAX_DEPTH} levels deep.")

    def _misplaced(self, operator: str, pointer: str) -> None:
        self._report(
            "misplaced_operator", pointer, f"{operator} stands below the name of a fact, not beside it."
        )

    def _unknown(self, operator: str, pointer: str) -> None:
        if operator in BEHAVIOUR:
            sentence = f"{operator} stands beside facts, not below one."
        elif not operator.startswith("$"):
            sentence = f"'{operator}' stands among operators, but is none."
        else:
            sentence = f"The unknown operator {operator} is not available."
        self._report("unknown_operator", pointer, sentence)

    def _report(self, code: str, pointer: str, message: str) -> None:
        self.problems.append(Problem(code, pointer, message))
        if len(self.problems) >= MAX_PROBLEMS:
            raise RuleError(tuple(self.problems))

    def _give_up(self, code: str, pointer: str, message: str) -> NoReturn:
        raise RuleError((*self.problems, Problem(code, pointer, message)))


def _is_operator(key: object) -> bool:
    return isinstance(key, str) and key.startswith("$")


def _wanted(operator: str, source: object) -> str | None:
    """Name the operand that an operator needs when ``source`` is not one, else return ``None``."""
    for operators, kinds, words in _OPERANDS:
        if operator in operators:
            plain = isinstance(source, kinds) and (bool in kinds or not isinstance(source, bool))
            return None if plain else words
    if operator == "$type" and source not in TYPES:
        return f"one of {', '.join(TYPES)}"
    return None


_OPERANDS: Final[tuple[tuple[frozenset[str], tuple[type, ...], str], ...]] = (
    (ORDER, (str, int, float), "a number or a text"),
    (VERSIONS, (str, int, float), "a version"),
    (PATTERNS, (str,), "a pattern"),
    (GROUPS, (str,), "the name of a group"),
    (frozenset({"$exists"}), (bool,), "true or false"),
    (frozenset({"$size"}), (int, float, dict), "a number or operators on a number"),
    (frozenset({"$elemMatch"}), (dict,), "an object"),
)

_KINDS: Final[Mapping[type, str]] = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _kind(source: object) -> str:
    return _KINDS.get(type(source), f"a {type(source).__name__}")
