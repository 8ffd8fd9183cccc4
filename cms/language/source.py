"""Template sources: what an editor may write in Jinja2, checked when saved and rendered in bounds.

In goes the text of a template or of a block type's source; out comes a `Source` that renders a
context of plain values (mappings, lists, text, numbers; ``Markup`` where text is HTML already).

Which rules hold:

- *An allow-list, not a deny-list.* Every node of the parsed source must be named in `CHECKS`. There
  are no calls, no arithmetic, no assignments, no other files, no names but the given roots and loop
  variables, and no name that begins with an underscore.
- *Values are read by key, never by attribute*, so ``fields.items`` is the field "items", and no
  Python object can be walked.
- *Markup is followed* the way a browser reads it. An output in a ``style`` or ``on…`` attribute, in
  ``<script>`` or ``<style>``, in an unquoted attribute or in a tag's own words is refused; one that
  begins a ``href``, ``src`` or the like passes `_address`, which lets only known schemes through.
- *Absent is empty.* An absent value and null print nothing, loop never, and compare as false.
- *Costs are bounded*: 20 kB, 500 nodes, two nested loops of 1,000 items, 512 kB and 50 ms a render.
"""

import html
import math
import operator
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from time import perf_counter
from typing import Any, Final

from jinja2 import (
    ChainableUndefined,
    Template,
    TemplateRuntimeError,
    TemplateSyntaxError,
    nodes,
    pass_context,
)
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from cms.language import formats
from cms.language.nodes import Problem

ROOTS_PAGE: Final = frozenset({"page", "slots", "site"})
ROOTS_BLOCK: Final = frozenset({"fields", "block"})

MAX_SOURCE_BYTES: Final = 20_000
MAX_NODES: Final = 500
MAX_DEPTH: Final = 40
MAX_TOKENS: Final = 1_200
MAX_TAG_TOKENS: Final = 150
MAX_BRACKETS: Final = 20
MAX_LOOPS: Final = 2
MAX_ITEMS: Final = 1_000
MAX_LITERALS: Final = 20
MAX_ARGUMENT_CHARS: Final = 200
MAX_NUMBER_CHARS: Final = 15
MAX_OUTPUT_BYTES: Final = 512_000
BUDGET_MS: Final = 50.0

LOOP_NAMES: Final = frozenset({"index", "first", "last"})
TESTS: Final = frozenset({"defined", "none", "odd", "even"})
NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)


class SourceError(Exception):
    """Say why a source may not be used, or why one rendering of it was stopped."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(" ".join(problem.message for problem in problems))
        self.problems = problems


def check_source(source: str, *, roots: frozenset[str]) -> tuple[Problem, ...]:
    """List what keeps `source` from being used; an empty tuple means that it compiles."""
    try:
        _compiled(source, roots)
    except SourceError as error:
        return error.problems
    return ()


def compile_source(source: str, *, roots: frozenset[str]) -> "Source":
    """Compile `source` once, to be rendered often.

    Raises `SourceError` with every problem that `check_source` lists.
    """
    return _compiled(source, roots)


@dataclass(frozen=True, slots=True)
class Source:
    """A checked template. It holds no state between renderings and may be shared by threads."""

    template: Template
    roots: frozenset[str]

    def render(
        self,
        context: Mapping[str, object],
        *,
        locale: str | None = None,
        budget_ms: float = BUDGET_MS,
        clock: Callable[[], float] = perf_counter,
    ) -> str:
        """Render `context`, of which only the roots are seen.

        `locale` is that of numbers and dates; None takes it from ``page.locale`` or
        ``block.locale``. Raises `SourceError` (``output_too_large``, ``render_too_slow``,
        ``render_failed``); an absent value never raises.
        """
        budget = Budget(ends_at=clock() + budget_ms / 1000, clock=clock)
        seen: dict[str, object] = {root: context[root] for root in self.roots if root in context}
        hidden = {_BUDGET: budget, _LOCALE: locale or _locale_of(seen)}
        return "".join(self._pieces(seen | hidden, budget))

    def _pieces(self, values: dict[str, object], budget: "Budget") -> Iterator[str]:
        context = self.template.new_context(values)
        try:
            for piece in self.template.root_render_func(context):
                budget.spend(piece)
                yield piece
        except (
            TypeError,
            ValueError,
            LookupError,
            ArithmeticError,
            RecursionError,
            TemplateRuntimeError,
        ) as error:
            raise _stopped("render_failed", f"The template could not be rendered: {error}.") from error


@dataclass(slots=True)
class Budget:
    """What one rendering may still use. It is spent by every piece of output and every loop item."""

    ends_at: float
    clock: Callable[[], float]
    bytes_left: int = MAX_OUTPUT_BYTES

    def spend(self, piece: str) -> None:
        """Pay for `piece`, or raise `SourceError`."""
        self.bytes_left -= len(piece.encode("utf-8", "replace"))
        if self.bytes_left < 0:
            raise _stopped("output_too_large", f"The output is larger than {MAX_OUTPUT_BYTES} bytes.")
        self.look()

    def look(self) -> None:
        """Raise `SourceError` if the time is over."""
        if self.clock() > self.ends_at:
            raise _stopped("render_too_slow", "The template took too long to render.")


# Names that a source cannot spell, for what a rendering carries beside its context.
_BUDGET: Final = "_budget"
_LOCALE: Final = "_locale"


def _stopped(code: str, message: str) -> SourceError:
    return SourceError((Problem(code, "", message),))


def _problem(code: str, line: int, message: str) -> Problem:
    return Problem(code, "", f"Line {line}: {message}")


def _locale_of(values: Mapping[str, object]) -> str:
    for root in ("page", "block", "site"):
        value = values.get(root)
        if isinstance(value, Mapping) and value.get("locale"):
            return str(value["locale"])
    return "en"


# --- reading: from text to a tree that is small enough to walk -------------------------------------


@lru_cache(maxsize=512)
def _compiled(source: str, roots: frozenset[str]) -> Source:
    tree = _parsed(source)
    _refuse(_faults(tree.body, Scope(roots, roots)))
    _refuse(_follow_markup(tree))
    _rewrite(tree)
    tree.set_environment(_ENVIRONMENT)
    try:
        code = _ENVIRONMENT.compile(tree, "source", "<template source>")
    except (TemplateSyntaxError, SyntaxError, RecursionError) as error:
        raise _stopped("template_syntax", f"Line 1: the template cannot be compiled ({error}).") from error
    return Source(Template.from_code(_ENVIRONMENT, code, {}), roots)


def _refuse(problems: Iterable[Problem]) -> None:
    if found := tuple(dict.fromkeys(islice(problems, 50))):
        raise SourceError(found)


def _parsed(source: str) -> nodes.Template:
    _refuse(_text_faults(source))
    try:
        _refuse(_token_faults(source))
        tree = _ENVIRONMENT.parse(source)
    except TemplateSyntaxError as error:
        raise SourceError((_problem("template_syntax", error.lineno, _sentence(error)),)) from error
    except RecursionError as error:
        raise SourceError(
            (_problem("template_too_deep", 1, "the template is nested too deeply."),)
        ) from error
    _refuse(_size_faults(tree))
    return tree


def _sentence(error: TemplateSyntaxError) -> str:
    text = (error.message or "this is not a template").rstrip(".")
    return f"{text[:200]}."


def _text_faults(source: str) -> Iterator[Problem]:
    if len(source.encode("utf-8", "replace")) > MAX_SOURCE_BYTES:
        yield _problem("template_too_large", 1, f"the template is larger than {MAX_SOURCE_BYTES} bytes.")
    elif strange := re.search(r"[\x00-\x08\x0b\x0e-\x1f\ud800-\udfff]", source):
        line = source.count("\n", 0, strange.start()) + 1
        yield _problem("bad_character", line, f"the character U+{ord(strange[0]):04X} is not allowed.")


def _token_faults(source: str) -> Iterator[Problem]:
    """Bound what the parser will see, for its own recursion and its time have no bound."""
    tally = Tally()
    for line, kind, text in _ENVIRONMENT.lexer.tokeniter(source, None):
        tally.add(kind, text)
        if fault := tally.fault():
            yield _problem(fault[0], line, fault[1])
            return


@dataclass(slots=True)
class Tally:
    """What was counted so far: tokens, those of the present tag, open brackets and open blocks."""

    tokens: int = 0
    in_tag: int = 0
    brackets: int = 0
    blocks: int = 0
    digits: int = 0

    def add(self, kind: str, text: str) -> None:
        """Count one token."""
        if kind in {"data", "whitespace"}:
            return
        first_word = kind == "name" and self.in_tag == 1
        self.tokens += 1
        self.in_tag = 1 if kind.endswith("_begin") else self.in_tag + 1
        self.brackets += ((text in OPENING) - (text in CLOSING)) if kind == "operator" else 0
        self.blocks += ((text in {"if", "for"}) - text.startswith("end")) if first_word else 0
        self.digits = len(text) if kind in {"integer", "float"} else 0

    def fault(self) -> tuple[str, str] | None:
        """Give the code and the sentence of the first bound that is passed."""
        if self.tokens > MAX_TOKENS:
            return "template_too_large", f"the template has more than {MAX_TOKENS} words and signs."
        if self.in_tag > MAX_TAG_TOKENS:
            return "template_too_large", f"a tag has more than {MAX_TAG_TOKENS} words and signs."
        if max(self.brackets, self.blocks) > MAX_BRACKETS:
            return "template_too_deep", f"brackets or blocks are nested more than {MAX_BRACKETS} deep."
        if self.digits > MAX_NUMBER_CHARS:
            return "bad_constant", f"a number has more than {MAX_NUMBER_CHARS} digits."
        return None


OPENING: Final = frozenset("([{")
CLOSING: Final = frozenset(")]}")


def _size_faults(tree: nodes.Template) -> Iterator[Problem]:
    count, stack = 0, [(node, 1) for node in tree.body]
    while stack:
        node, depth = stack.pop()
        count += not isinstance(node, nodes.TemplateData)
        if depth > MAX_DEPTH:
            yield _problem(
                "template_too_deep", node.lineno, f"the template is nested more than {MAX_DEPTH} deep."
            )
            return
        if count > MAX_NODES:
            yield _problem(
                "template_too_large", node.lineno, f"the template has more than {MAX_NODES} nodes."
            )
            return
        stack.extend((child, depth + 1) for child in node.iter_child_nodes())


# --- the allow-list ---------------------------------------------------------------------------------


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


def _faults(found: Iterable[nodes.Node], scope: Scope) -> Iterator[Problem]:
    for node in found:
        check = CHECKS.get(type(node))
        yield from check(node, scope) if check else _refused(node)


def _refused(node: nodes.Node) -> Iterator[Problem]:
    words = next((REFUSED[kind] for kind in type(node).__mro__ if kind in REFUSED), "this is")
    name = _callee(node) if isinstance(node, nodes.Call) else ""
    yield _problem("not_allowed", node.lineno, f"{words} not allowed in a template{name}.")


def _callee(call: nodes.Call) -> str:
    match call.node:
        case nodes.Name(name=str(name)) | nodes.Getattr(attr=str(name)):
            return f" ({name[:40]})"
    return ""


def _allowed(node: nodes.Node, scope: Scope) -> Iterator[Problem]:
    return _faults(node.iter_child_nodes(), scope)


def _check_name(node: nodes.Name, scope: Scope) -> Iterator[Problem]:
    if node.name not in scope.names or node.ctx != "load":
        known = ", ".join(sorted(scope.names))
        yield _problem(
            "unknown_name", node.lineno, f"'{node.name[:40]}' is not known here; there are {known}."
        )


def _check_getattr(node: nodes.Getattr, scope: Scope) -> Iterator[Problem]:
    if isinstance(node.node, nodes.Name) and node.node.name == "loop":
        if not scope.loops or node.attr not in LOOP_NAMES:
            yield _problem("unknown_name", node.lineno, "a loop has loop.index, loop.first and loop.last.")
        return
    if not NAME.fullmatch(node.attr):
        yield _problem("bad_key", node.lineno, f"'{node.attr[:40]}' cannot be read after a dot.")
    yield from _faults([node.node], scope)


def _check_getitem(node: nodes.Getitem, scope: Scope) -> Iterator[Problem]:
    if not _is_key(node.arg):
        message = "in [ ] stands a constant: a text without a leading underscore, or a small number."
        yield _problem("computed_key", node.lineno, message)
    yield from _faults([node.node], scope)


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
        yield _problem("bad_constant", node.lineno, "the text has a character that cannot be printed.")
    if isinstance(value, float) and not math.isfinite(value):
        yield _problem("bad_constant", node.lineno, "the number is too large.")


def _check_compare(node: nodes.Compare, scope: Scope) -> Iterator[Problem]:
    yield from _faults([node.expr], scope)
    for operand in node.ops:
        literal = operand.op in {"in", "notin"} and isinstance(operand.expr, nodes.List | nodes.Tuple)
        yield from _check_literal(operand.expr, scope) if literal else _faults([operand.expr], scope)


def _check_literal(node: nodes.Expr, scope: Scope) -> Iterator[Problem]:
    items = list(node.iter_child_nodes())
    if len(items) > MAX_LITERALS or not all(isinstance(item, nodes.Const) for item in items):
        yield _problem(
            "bad_list", node.lineno, f"a list has at most {MAX_LITERALS} constants and nothing else."
        )
    else:
        yield from _faults(items, scope)


def _check_filter(node: nodes.Filter, scope: Scope) -> Iterator[Problem]:
    allowed = FILTERS.get(node.name)
    if allowed is None or node.node is None:
        yield _problem("unknown_filter", node.lineno, f"the filter '{node.name[:40]}' is not allowed.")
    elif node.kwargs or node.dyn_args or node.dyn_kwargs or not allowed.takes(node.args):
        yield _problem("bad_argument", node.lineno, f"the filter '{node.name}' takes {allowed.words}.")
    else:
        yield from _faults([node.node, *node.args], scope)


def _check_test(node: nodes.Test, scope: Scope) -> Iterator[Problem]:
    if node.name not in TESTS:
        yield _problem("unknown_test", node.lineno, f"the test '{node.name[:40]}' is not allowed.")
    elif node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
        yield _problem("bad_argument", node.lineno, f"the test '{node.name}' takes no argument.")
    else:
        yield from _faults([node.node], scope)


def _check_for(node: nodes.For, scope: Scope) -> Iterator[Problem]:
    yield from (_problem("bad_loop", node.lineno, message) for message in _loop_faults(node, scope))
    yield from _faults([node.iter], scope)
    variable = node.target.name if isinstance(node.target, nodes.Name) else ""
    yield from _faults(node.body, scope.inside(variable))
    yield from _faults(node.else_, scope)


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


# --- markup: where in the page does an output stand? --------------------------------------------------

URL_ATTRIBUTES: Final = frozenset(
    {
        "href",
        "src",
        "action",
        "formaction",
        "poster",
        "data",
        "cite",
        "background",
        "xlink:href",
        "ping",
        "manifest",
    }
)
# A browser reads what lies in these as text: an output there is escaped as text, or refused.
RAW_ELEMENTS: Final = frozenset(
    {"script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "noscript", "plaintext"}
)
TEXT_ELEMENTS: Final = frozenset({"title", "textarea"})
LOADING_ELEMENTS: Final = frozenset({"script", "base", "object", "embed"})
ANIMATING_ELEMENTS: Final = frozenset({"animate", "animatetransform", "animatemotion", "set"})
SCHEME: Final = re.compile(r"(https?|mailto|tel):", re.IGNORECASE)
SETTLED: Final = "/"
UNSETTLED: Final = ":"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in HTML, as the tokenizer of the HTML standard would name it.

    `kind` is ``text``, ``open`` (after <), ``bang`` (after <!), ``name``, ``tag``, ``before`` (after =),
    ``value``, ``raw``, ``comment``, or ``lost``: the template's own tags cut the markup so that
    branches disagree. `quote` is empty in an unquoted value; `value` is what it holds so far.
    """

    kind: str = "text"
    element: str = ""
    attribute: str = ""
    spaced: bool = True
    quote: str = ""
    value: str = ""

    def after(self, text: str) -> "Place":
        """Read on through `text`."""
        place, at = self, 0
        while at < len(text):
            place, at = STEPS[place.kind](place, text, at)
        return place

    def joined(self, other: "Place") -> "Place":
        """Meet another branch here."""
        if self == other:
            return self
        if (self.kind, self.element, self.quote) != (other.kind, other.element, other.quote):
            return LOST
        if self.kind == "tag":
            return replace(self, attribute="?", spaced=False)
        if self.kind == "value" and self.attribute == other.attribute:
            settled = _is_settled(self.value) and _is_settled(other.value)
            return replace(self, value=SETTLED if settled else UNSETTLED)
        return LOST


LOST: Final = Place("lost")


def _is_settled(start: str) -> bool:
    """Tell whether no continuation of `start` could give an address another scheme."""
    plain = re.sub(r"[\x00-\x20]", "", html.unescape(re.sub(r"&#?\w*$", "", start)))
    head = re.match(r"[^/?#]*", plain)
    first = head[0] if head else ""
    return bool(SCHEME.match(first)) if ":" in first else len(first) < len(plain)


def _in_text(place: Place, text: str, at: int) -> tuple[Place, int]:
    found = text.find("<", at)
    return (place, len(text)) if found < 0 else (Place("open"), found + 1)


def _in_open(place: Place, text: str, at: int) -> tuple[Place, int]:
    if text[at] == "!":
        return Place("bang"), at + 1
    if text[at] in "/?":
        return Place("name", element=text[at]), at + 1
    is_name = text[at].isascii() and text[at].isalpha()
    return (Place("name") if is_name else Place()), at


def _in_bang(place: Place, text: str, at: int) -> tuple[Place, int]:
    if text[at:] in {"-", "--", "---"}:
        return LOST, len(text)
    if text.startswith("--", at):
        empty = re.compile("--(-?>)").match(text, at)
        return (Place(), empty.end()) if empty else _in_comment(Place("comment"), text, at + 2)
    return Place("tag", element="!"), at


def _in_name(place: Place, text: str, at: int) -> tuple[Place, int]:
    end = _span(r"[^ \t\n\f\r/>]*", text, at)
    named = replace(place, element=place.element + text[at:end].lower())
    return (replace(named, kind="tag") if end < len(text) else named), end


def _in_tag(place: Place, text: str, at: int) -> tuple[Place, int]:
    if text[at] == ">":
        return (Place("raw", place.element) if place.element in RAW_ELEMENTS else Place()), at + 1
    if text[at] == "=" and place.attribute:
        return replace(place, kind="before"), at + 1
    if text[at] == "/":
        return replace(place, attribute="", spaced=True), at + 1
    if text[at] in " \t\n\f\r":
        return replace(place, spaced=True), _span(r"[ \t\n\f\r]*", text, at)
    end = _span(r"=?[^ \t\n\f\r/>=]*", text, at)
    start = "" if place.spaced else place.attribute
    return replace(place, attribute=start + text[at:end].lower(), spaced=False), end


def _in_before(place: Place, text: str, at: int) -> tuple[Place, int]:
    if text[at] in " \t\n\f\r":
        return place, at + 1
    if text[at] == ">":
        return _in_tag(place, text, at)
    quote = text[at] if text[at] in "\"'" else ""
    return replace(place, kind="value", quote=quote, value=""), at + len(quote)


def _in_value(place: Place, text: str, at: int) -> tuple[Place, int]:
    end = _span(r"[^ \t\n\f\r>]*" if not place.quote else f"[^{place.quote}]*", text, at)
    if end == len(text):
        return replace(place, value=place.value + text[at:]), end
    return Place("tag", place.element), end + len(place.quote)


def _in_raw(place: Place, text: str, at: int) -> tuple[Place, int]:
    closing = re.compile(rf"</{re.escape(place.element)}(?=[ \t\n\f\r/>])", re.IGNORECASE).search(text, at)
    inner = text[at : closing.start() if closing else len(text)]
    if place.element == "script" and "<!--" in inner:
        return LOST, len(text)
    if closing:
        return Place("tag", element=f"/{place.element}"), closing.end()
    return (LOST if _is_cut(inner, f"</{place.element}") else place), len(text)


def _is_cut(text: str, word: str) -> bool:
    tail = text[max(text.rfind("<"), 0) :].lower()
    return tail.startswith("<") and word.startswith(tail)


def _in_comment(place: Place, text: str, at: int) -> tuple[Place, int]:
    closing = re.compile("--!?>").search(text, at)
    if closing:
        return Place(), closing.end()
    return (LOST if text.endswith(("-", "-!")) else place), len(text)


def _in_lost(place: Place, text: str, at: int) -> tuple[Place, int]:
    return place, len(text)


def _span(pattern: str, text: str, at: int) -> int:
    found = re.compile(pattern).match(text, at)
    return found.end() if found else at


STEPS: Final[Mapping[str, Callable[[Place, str, int], tuple[Place, int]]]] = {
    "text": _in_text,
    "open": _in_open,
    "bang": _in_bang,
    "name": _in_name,
    "tag": _in_tag,
    "before": _in_before,
    "value": _in_value,
    "raw": _in_raw,
    "comment": _in_comment,
    "lost": _in_lost,
}


# An output by its node and position, and the place where it stands.
Places = dict[tuple[int, int], tuple[nodes.Output, Place]]


def _follow_markup(tree: nodes.Template) -> tuple[Problem, ...]:
    """Find the place of every output; wrap those in attributes, refuse those in bad places."""
    places: Places = {}
    _walk(tree.body, Place(), places)
    problems = [
        problem for (_, index), (node, place) in places.items() for problem in _misplaced(node, index, place)
    ]
    for (_, index), (node, place) in places.items():
        node.nodes[index] = _wrapped(node.nodes[index], place)
    return tuple(problems)


def _misplaced(node: nodes.Output, index: int, place: Place) -> Iterator[Problem]:
    if reason := _output_fault(place):
        yield _problem("unsafe_output", node.nodes[index].lineno, reason)


def _walk(body: Iterable[nodes.Node], place: Place, places: Places) -> Place:
    for node in body:
        if isinstance(node, nodes.Output):
            place = _walk_output(node, place, places)
        elif isinstance(node, nodes.If):
            place = _walk_if(node, place, places)
        elif isinstance(node, nodes.For):
            place = _walk_for(node, place, places)
    return place


def _walk_output(node: nodes.Output, place: Place, places: Places) -> Place:
    for index, part in enumerate(node.nodes):
        if isinstance(part, nodes.TemplateData):
            place = place.after(part.data)
            continue
        places[id(node), index] = (node, place)
        place = replace(place, value=SETTLED) if place.kind == "value" else place
    return place


def _walk_if(node: nodes.If, place: Place, places: Places) -> Place:
    ends = [_walk(branch.body, place, places) for branch in (node, *node.elif_)]
    last = _walk(node.else_, place, places)
    for end in ends:
        last = last.joined(end)
    return last


def _walk_for(node: nodes.For, place: Place, places: Places) -> Place:
    """Walk the body with every place that the item before may have left, until there is no new one."""
    start, end = place, _walk(node.body, place, places)
    while start.joined(end) != start:
        start = start.joined(end)
        end = _walk(node.body, start, places)
    return start.joined(_walk(node.else_, place, places))


def _output_fault(place: Place) -> str:
    if place.kind == "lost":
        return "before this output the markup is cut by a tag of the template; close it in each branch."
    if place.kind == "comment":
        return "an output cannot stand in an HTML comment; write the comment as {# … #}."
    if place.kind == "raw" and place.element not in TEXT_ELEMENTS:
        return f"an output cannot stand in <{place.element}>."
    if place.kind == "value":
        return _value_fault(place)
    if place.kind == "before":
        return _value_fault(place)
    if place.kind in {"open", "bang", "name", "tag"}:
        return "an output in a tag stands in the quoted value of an attribute."
    return ""


def _value_fault(place: Place) -> str:
    name, loads = place.attribute, place.element in LOADING_ELEMENTS and place.attribute in URL_ATTRIBUTES
    if not place.quote:
        return f'an attribute with an output is written in quotes: {name[:40]}="…".'
    if name.startswith("on") or name in {"style", "srcdoc"} or "?" in name:
        return f"an output cannot stand in the attribute '{name[:40]}'."
    if loads or place.element in ANIMATING_ELEMENTS:
        return f"an output cannot stand in the attribute '{name[:40]}' of <{place.element}>."
    if name in URL_ATTRIBUTES and place.value.strip() and not _is_settled(place.value):
        return f"the address in '{name}' begins with /, http:, https:, mailto: or tel:, or is one output."
    return ""


def _wrapped(part: nodes.Expr, place: Place) -> nodes.Expr:
    if place.kind == "text":
        return part
    begins = place.kind == "value" and place.attribute in URL_ATTRIBUTES and not place.value.strip()
    return _filtered(part, "_address" if begins else "_plain")


def _filtered(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


def _rewrite(tree: nodes.Template) -> None:
    """Put comparisons and loops through filters of our own, which never raise and stay in bounds."""
    for loop in tree.find_all(nodes.For):
        loop.iter = _filtered(loop.iter, "_rows")
    _rewrite_compares(tree)


def _rewrite_compares(node: nodes.Node) -> None:
    for field, value in list(node.iter_fields()):
        items = value if isinstance(value, list) else [value]
        for item in items:
            if isinstance(item, nodes.Node):
                _rewrite_compares(item)
        fresh = [_compared(item) if isinstance(item, nodes.Compare) else item for item in items]
        setattr(node, field, fresh if isinstance(value, list) else fresh[0])


def _compared(node: nodes.Compare) -> nodes.Expr:
    left: nodes.Expr = node.expr
    found: nodes.Expr | None = None
    for operand in node.ops:
        sign = nodes.Const(operand.op, lineno=node.lineno)
        step = _filtered(left, "_compare", sign, operand.expr)
        found = nodes.And(found, step, lineno=node.lineno) if found else step
        left = operand.expr
    return found or left


# --- rendering: values ---------------------------------------------------------------------------------


class Empty(ChainableUndefined):
    """What an absent value and null are in a template: nothing, at every depth."""

    __slots__ = ()
    __hash__ = ChainableUndefined.__hash__

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Empty)

    def __ne__(self, other: object) -> bool:
        return not self == other


class SourceEnvironment(ImmutableSandboxedEnvironment):
    """Jinja2 without globals, whose values are read by key or position and never by attribute."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Read `attribute` as a key."""
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Read the key or position `argument`; what is not there is `Empty`."""
        value = _value_at(obj, argument)
        return Empty(name=str(argument)) if value is None else value

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Refuse: there are no attributes."""
        return False

    def is_safe_callable(self, obj: Any) -> bool:
        """Refuse: there are no calls."""
        return False


def _value_at(obj: object, key: object) -> object:
    if isinstance(obj, LoopContext):
        return getattr(obj, str(key)) if key in LOOP_NAMES else None
    if isinstance(obj, Mapping):
        return obj.get(key)
    if isinstance(obj, list | tuple) and isinstance(key, int):
        return obj[key] if 0 <= key < len(obj) else None
    return None


def _show(value: object) -> object:
    """Give what is printed for `value`: nothing for null, a list or a mapping."""
    return "" if value is None or isinstance(value, Mapping | list | tuple | LoopContext) else value


def _plain(value: object) -> Markup:
    """Escape for an attribute or a title, where HTML is text too."""
    if not isinstance(value, Markup):
        return escape(_show(value))
    signs = (("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;"))
    text = str(value)
    for sign, entity in signs:
        text = text.replace(sign, entity)
    return Markup(text)  # noqa: S704 (its quotes and angle brackets were just replaced)


def _address(value: object) -> Markup:
    """Let a web, mail or telephone address and a relative one through; anything else is "#".

    A relative address gets a leading "./" where it has no slash of its own, so that nothing that
    follows it in the attribute can turn it into a scheme.
    """
    raw = html.unescape(str(value)) if isinstance(value, Markup) else str(_show(value))
    text = re.sub(r"[\x00-\x1f\x7f]", "", raw).strip()
    head = re.split(r"[/?#]", text.replace("\\", "/"), maxsplit=1)[0]
    if not text or (":" in head and not SCHEME.match(head)):
        return Markup("#")
    return escape(text if ":" in head or len(head) < len(text) else f"./{text}")


def _compare(left: object, sign: str, right: object) -> bool:
    """Compare without raising: what cannot be compared is different, and is in no order."""
    if isinstance(left, Empty) or isinstance(right, Empty):
        left, right = (None if isinstance(side, Empty) else side for side in (left, right))
    try:
        return bool(COMPARISONS[sign](left, right))
    except TypeError:
        return sign in {"ne", "notin"}


COMPARISONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda item, items: item in items,
    "notin": lambda item, items: item not in items,
}


@pass_context
def _rows(context: Context, value: object) -> Iterator[object]:
    """Give the items of a list, 1,000 at most, watching the time."""
    budget: Budget = context[_BUDGET]
    for item in _items(value):
        budget.look()
        yield Empty() if item is None else item


def _items(value: object) -> Sequence[object]:
    return value[:MAX_ITEMS] if isinstance(value, list | tuple) else ()


# --- rendering: the filters an editor may name -----------------------------------------------------------


def _cased(change: Callable[[str], str]) -> Callable[[object], object]:
    """Change text, but leave HTML as it is: another case could turn its text into other markup."""

    def apply(value: object) -> object:
        return value if isinstance(value, Markup) else change(str(_show(value)))

    return apply


def _join(value: object, between: str = "") -> str:
    items = [item if isinstance(item, Markup) else str(_show(item)) for item in _items(value)]
    has_html = any(isinstance(item, Markup) for item in items)
    return escape(between).join(items) if has_html else between.join(items)


@pass_context
def _join_within(context: Context, value: object, between: str = "") -> str:
    budget: Budget = context[_BUDGET]
    budget.look()
    return _join(value, between)


def _length(value: object) -> int:
    return len(value) if isinstance(value, str | list | tuple | Mapping) else 0


def _first(value: object) -> object:
    return next((item for item in _items(value)[:1] if item is not None), Empty())


def _last(value: object) -> object:
    found = value[-1] if isinstance(value, list | tuple) and value else None
    return Empty() if found is None else found


def _default(value: object, instead: object = "") -> object:
    return instead if value is None or value == "" or isinstance(value, Empty) else value


@pass_context
def _number(context: Context, value: object) -> object:
    return _written(formats.number(value, locale=str(context[_LOCALE])), value)


@pass_context
def _currency(context: Context, value: object, code: str = "EUR") -> object:
    return _written(formats.currency(value, code=code, locale=str(context[_LOCALE])), value)


@pass_context
def _date(context: Context, value: object, style: str = "short") -> object:
    is_day = isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII)
    instant = f"{value}T00:00:00Z" if is_day else value
    return _written(formats.date(instant, style=style, locale=str(context[_LOCALE])), value)


def _written(text: str | None, value: object) -> object:
    """Fall back to the value itself where it is not of the filter's type."""
    return _show(value) if text is None else text


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
    "escape": Allowed(_plain),
    "e": Allowed(_plain),
    "length": Allowed(_length),
    "join": Allowed(_join_within, "a text of at most 200 characters", _is_short_text),
    "first": Allowed(_first),
    "last": Allowed(_last),
}


def _environment() -> SourceEnvironment:
    environment = SourceEnvironment(autoescape=True, undefined=Empty, finalize=_show)
    environment.globals.clear()
    environment.filters = {name: allowed.apply for name, allowed in FILTERS.items()}
    environment.filters |= {"_rows": _rows, "_compare": _compare, "_plain": _plain, "_address": _address}
    environment.tests = {
        "defined": lambda value: not isinstance(value, Empty),
        "none": lambda value: value is None or isinstance(value, Empty),
        "odd": lambda value: isinstance(value, int) and value % 2 == 1,
        "even": lambda value: isinstance(value, int) and value % 2 == 0,
    }
    return environment


_ENVIRONMENT: Final = _environment()
