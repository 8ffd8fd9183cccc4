"""The allow-list: every node of a parsed source must be named here, with the check it passes."""

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from jinja2 import nodes

from cms.language.nodes import Problem
from cms.language.source.filters import FILTERS
from cms.language.source.limits import (
    LOOP_NAMES,
    MAX_ARGUMENT_CHARS,
    MAX_ITEMS,
    MAX_LITERALS,
    MAX_LOOPS,
    NAME,
    TESTS,
    problem,
)


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that may be read at one place, and how many loops lie around it."""

    roots: frozenset[str]
    names: frozenset[str]
    loops: int = 0

    def inside(self, variable: str) -> "Scope":
        """Enter a loop over `variable`."""
        return replace(self, names=self.names | {variable}, loops=self.loops + 1)


REFUSED: Final[Mapping[type[nodes.Node], str]] = {
    nodes.Call: "calls are",
    nodes.BinExpr: "arithmetic is",
    nodes.UnaryExpr: "arithmetic is",
    nodes.Concat: "joining with ~ is",
    nodes.Dict: "a dictionary is",
    nodes.Slice: "a slice is",
    nodes.Macro: "macros are",
    nodes.CallBlock: "macros are",
    nodes.FilterBlock: "filter blocks are",
    nodes.Include: "including other templates is",
    nodes.Import: "importing other templates is",
    nodes.FromImport: "importing other templates is",
    nodes.Extends: "extending other templates is",
    nodes.Block: "blocks are",
    nodes.Assign: "setting variables is",
    nodes.AssignBlock: "setting variables is",
    nodes.With: "setting variables is",
    nodes.ScopedEvalContextModifier: "switching the escaping is",
}


def faults(found: Iterable[nodes.Node], scope: Scope) -> Iterator[Problem]:
    for node in found:
        check = CHECKS.get(type(node))
        yield from check(node, scope) if check else _refused(node)


def _refused(node: nodes.Node) -> Iterator[Problem]:
    words = next((REFUSED[kind] for kind in type(node).__mro__ if kind in REFUSED), "this is")
    name = _callee(node) if isinstance(node, nodes.Call) else ""
    yield problem("not_allowed", node.lineno, f"{words} not allowed in a template{name}.")


def _callee(call: nodes.Call) -> str:
    match call.node:
        case nodes.Name(name=str(name)) | nodes.Getattr(attr=str(name)):
            return f" ({name[:40]})"
    return ""


def _allowed(node: nodes.Node, scope: Scope) -> Iterator[Problem]:
    return faults(node.iter_child_nodes(), scope)


def _check_name(node: nodes.Name, scope: Scope) -> Iterator[Problem]:
    if node.name not in scope.names or node.ctx != "load":
        known = ", ".join(sorted(scope.names))
        yield problem(
            "unknown_name", node.lineno, f"'{node.name[:40]}' is not known here; there are {known}."
        )


def _check_getattr(node: nodes.Getattr, scope: Scope) -> Iterator[Problem]:
    if isinstance(node.node, nodes.Name) and node.node.name == "loop":
        if not scope.loops or node.attr not in LOOP_NAMES:
            yield problem("unknown_name", node.lineno, "a loop has loop.index, loop.first and loop.last.")
        return
    if not NAME.fullmatch(node.attr):
        yield problem("bad_key", node.lineno, f"'{node.attr[:40]}' cannot be read after a dot.")
    yield from faults([node.node], scope)


def _check_getitem(node: nodes.Getitem, scope: Scope) -> Iterator[Problem]:
    if not _is_key(node.arg):
        message = "in [ ] stands a constant: a text without a leading underscore, or a small number."
        yield problem("computed_key", node.lineno, message)
    yield from faults([node.node], scope)


def _is_key(node: nodes.Node) -> bool:
    if not isinstance(node, nodes.Const):
        return False
    if isinstance(node.value, str):
        plain = unicodedata.normalize("NFKC", node.value).strip()
        return 0 < len(plain) <= MAX_ARGUMENT_CHARS and not plain.startswith("_")
    return type(node.value) is int and 0 <= node.value < MAX_ITEMS


def _check_const(node: nodes.Const, scope: Scope) -> Iterator[Problem]:
    value = node.value
    if isinstance(value, str) and re.search(r"[\x00\ud800-\udfff]", value):
        yield problem("bad_constant", node.lineno, "the text has a character that cannot be printed.")
    if isinstance(value, float) and not math.isfinite(value):
        yield problem("bad_constant", node.lineno, "the number is too large.")


def _check_compare(node: nodes.Compare, scope: Scope) -> Iterator[Problem]:
    yield from faults([node.expr], scope)
    for operand in node.ops:
        literal = operand.op in {"in", "notin"} and isinstance(operand.expr, nodes.List | nodes.Tuple)
        yield from _check_literal(operand.expr, scope) if literal else faults([operand.expr], scope)


def _check_literal(node: nodes.Expr, scope: Scope) -> Iterator[Problem]:
    items = list(node.iter_child_nodes())
    if len(items) > MAX_LITERALS or not all(isinstance(item, nodes.Const) for item in items):
        yield problem(
            "bad_list", node.lineno, f"a list has at most {MAX_LITERALS} constants and nothing else."
        )
    else:
        yield from faults(items, scope)


def _check_filter(node: nodes.Filter, scope: Scope) -> Iterator[Problem]:
    allowed = FILTERS.get(node.name)
    if allowed is None or node.node is None:
        yield problem("unknown_filter", node.lineno, f"the filter '{node.name[:40]}' is not allowed.")
    elif node.kwargs or node.dyn_args or node.dyn_kwargs or not allowed.takes(node.args):
        yield problem("bad_argument", node.lineno, f"the filter '{node.name}' takes {allowed.words}.")
    else:
        yield from faults([node.node, *node.args], scope)


def _check_test(node: nodes.Test, scope: Scope) -> Iterator[Problem]:
    if node.name not in TESTS:
        yield problem("unknown_test", node.lineno, f"the test '{node.name[:40]}' is not allowed.")
    elif node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
        yield problem("bad_argument", node.lineno, f"the test '{node.name}' takes no argument.")
    else:
        yield from faults([node.node], scope)


def _check_for(node: nodes.For, scope: Scope) -> Iterator[Problem]:
    yield from (problem("bad_loop", node.lineno, message) for message in _loop_faults(node, scope))
    yield from faults([node.iter], scope)
    variable = node.target.name if isinstance(node.target, nodes.Name) else ""
    yield from faults(node.body, scope.inside(variable))
    yield from faults(node.else_, scope)


def _loop_faults(node: nodes.For, scope: Scope) -> Iterator[str]:
    target = node.target.name if isinstance(node.target, nodes.Name) else ""
    if not NAME.fullmatch(target) or target in scope.names | {"loop"}:
        yield "a loop has one variable, with a name of its own."
    if node.recursive or node.test is not None:
        yield "a loop takes neither 'recursive' nor 'if'; put an if inside it."
    if not isinstance(node.iter, nodes.Name | nodes.Getattr | nodes.Getitem):
        yield "a loop goes over a named list, such as slots.main."
    if scope.loops >= MAX_LOOPS:
        yield f"loops are nested more than {MAX_LOOPS} deep."


def _nothing(node: nodes.Node, scope: Scope) -> Iterator[Problem]:
    return iter(())


Check = Callable[[Any, Scope], Iterator[Problem]]
CHECKS: Final[Mapping[type[nodes.Node], Check]] = {
    nodes.TemplateData: _nothing,
    nodes.Output: _allowed,
    nodes.If: _allowed,
    nodes.For: _check_for,
    nodes.Name: _check_name,
    nodes.Getattr: _check_getattr,
    nodes.Getitem: _check_getitem,
    nodes.Const: _check_const,
    nodes.Compare: _check_compare,
    nodes.And: _allowed,
    nodes.Or: _allowed,
    nodes.Not: _allowed,
    nodes.CondExpr: _allowed,
    nodes.Filter: _check_filter,
    nodes.Test: _check_test,
}
