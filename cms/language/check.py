"""What is wrong with a rule before it is published.

Goes in: a parsed rule and the vocabulary. Comes out: problems in the order of the rule, errors and warnings. Rules: an
error refuses; the warning ``outside_authoring_profile`` says that the rule is read here, but that the other engines
need not agree with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cms.language.behaviour.checking import check_behaviour
from cms.language.fitness import check_value, hint
from cms.language.membership import OPERATORS as MEMBERSHIP
from cms.language.nodes import (
    SEGMENTS,
    Choices,
    Comparison,
    Constant,
    Field,
    Node,
    Operand,
    Operators,
    Problem,
    Value,
    behaviours,
    fields,
    segment_keys,
)
from cms.language.parse import ORDER, PATTERNS, VERSIONS
from cms.language.ranges import impossible_ranges
from cms.language.vocabulary import Fact, Vocabulary

_OUTSIDE: Final = PATTERNS | VERSIONS | {"$type", "$ini", "$nini", "$alli"}


def check(node: Node, vocabulary: Vocabulary) -> tuple[Problem, ...]:
    """Return every problem of a rule; it may be published when none is an error."""
    named = (problem for field in fields(node) for problem in _check_field(field, vocabulary))
    done = (problem for one in behaviours(node) for problem in check_behaviour(one, vocabulary))
    return (*named, *done, *impossible_ranges(node))


def _check_field(field: Field, vocabulary: Vocabulary) -> Iterator[Problem]:
    if field.name == SEGMENTS:
        yield from _check_segments(field, vocabulary)
        return
    fact = vocabulary.find(field.name)
    if fact is None:
        yield _unknown(field, vocabulary)
    elif fact.identifying:
        message = f"'{field.name}' tells who somebody is; a rule may not read it, a placeholder may."
        yield Problem("identifying_fact", field.pointer, message)
    else:
        yield from check_value(fact, field.value, field.pointer)
        yield from _outside(fact, field.value, field.pointer, known=False)


def _unknown(field: Field, vocabulary: Vocabulary) -> Problem:
    if field.name.startswith("$"):
        return Problem(
            "unknown_operator", field.pointer, f"The unknown operator {field.name} is not available."
        )
    suggestion = hint(field.name, (*vocabulary.names(), SEGMENTS))
    return Problem("unknown_fact", field.pointer, f"There is no fact '{field.name}'.{suggestion}")


def _check_segments(field: Field, vocabulary: Vocabulary) -> Iterator[Problem]:
    yield from _check_membership(field.value, field.pointer)
    for key, pointer in segment_keys(field.value):
        if key not in vocabulary.segments:
            message = f"There is no segment '{key}'.{hint(key, vocabulary.segments)}"
            yield Problem("unknown_segment", pointer, message)


def _check_membership(operand: Operand, pointer: str) -> Iterator[Problem]:
    tests = operand.tests if isinstance(operand, Operators) else ()
    if not tests:
        yield Problem(
            "operator_type", pointer, "'segments' is asked by $in, $nin, $all, $elemMatch or $not of these."
        )
    for test in tests:
        yield from _check_member(test)


def _check_member(test: Comparison) -> Iterator[Problem]:
    if test.operator not in MEMBERSHIP:
        message = f"{test.operator} does not fit 'segments'; $in, $nin, $all, $elemMatch and $not do."
        yield Problem("operator_type", test.pointer, message)
    elif test.operator == "$not":
        yield from _check_membership(test.operand, test.pointer)
    elif test.operator == "$elemMatch":
        yield from _check_element(test)
    elif not _are_keys(test.operand):
        yield Problem("operand_type", test.pointer, f"{test.operator} needs a list of segment keys.")


def _check_element(test: Comparison) -> Iterator[Problem]:
    match test.operand:
        case Operators((Comparison("$eq", Constant(str())),)):
            return
        case Operators((Comparison("$in", operand),)) if _are_keys(operand):
            return
    yield Problem(
        "operand_type", test.pointer, '$elemMatch on \'segments\' takes {"$eq": KEY} or {"$in": [KEYS]}.'
    )


def _are_keys(operand: Operand) -> bool:
    match operand:
        case Constant(tuple() as keys):
            return all(isinstance(key, str) for key in keys)
        case Choices(items):
            return all(isinstance(item, Constant) and isinstance(item.value, str) for item in items)
    return False


def _outside(fact: Fact, value: Value, pointer: str, *, known: bool) -> Iterator[Problem]:
    """Yield a warning for everything on which the engines need not agree."""
    if isinstance(value, Constant):
        yield _warning(pointer, "An equality without an operator converts types; write $eq.")
        return
    known = known or not fact.personal or any(_asks_existence(test) for test in value.tests)
    for test in value.tests:
        yield from _outside_test(fact, test, known=known)


def _outside_test(fact: Fact, test: Comparison, *, known: bool) -> Iterator[Problem]:
    if test.operator in _OUTSIDE:
        yield _warning(test.pointer, f"{test.operator} is not the same in every engine.")
    elif test.operator in ORDER and not known:
        yield _warning(
            test.pointer, f'Write "$exists": true beside {test.operator}: an unknown number counts as 0.'
        )
    elif isinstance(test.operand, Operators) and test.operator in ("$not", "$elemMatch", "$size"):
        inside = known or test.operator != "$not"  # a size or an item is there when it is compared
        yield from _outside(fact, test.operand, test.pointer, known=inside)


def _asks_existence(test: Comparison) -> bool:
    return test.operator == "$exists" and isinstance(test.operand, Constant) and test.operand.value is True


def _warning(pointer: str, message: str) -> Problem:
    return Problem("outside_authoring_profile", pointer, message, "warning")
