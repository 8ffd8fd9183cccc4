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
  begins a ``href``, ``src`` or the like passes `address`, which lets only known schemes through.
- *Absent is empty.* An absent value and null print nothing, loop never, and compare as false.
- *Costs are bounded*: 20 kB, 500 nodes, two nested loops of 1,000 items, 512 kB and 50 ms a render.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from time import thread_time
from typing import Final

from jinja2 import Template, TemplateRuntimeError, TemplateSyntaxError

from cms.language.nodes import Problem
from cms.language.source.allowlist import Scope, faults
from cms.language.source.environment import ENVIRONMENT
from cms.language.source.limits import BUDGET, BUDGET_MS, LOCALE, Budget, SourceError, refuse, stopped
from cms.language.source.placing import follow_markup, rewrite
from cms.language.source.reading import parsed

ROOTS_PAGE: Final = frozenset({"page", "slots", "site"})
ROOTS_BLOCK: Final = frozenset({"fields", "block"})


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
        clock: Callable[[], float] = thread_time,
    ) -> str:
        """Render `context`, of which only the roots are seen.

        `locale` is that of numbers and dates; None takes it from ``page.locale`` or
        ``block.locale``. Raises `SourceError` (``output_too_large``, ``render_too_slow``,
        ``render_failed``); an absent value never raises. The budget is this thread's time of a core: a busy
        machine takes nothing of it.
        """
        budget = Budget(ends_at=clock() + budget_ms / 1000, clock=clock)
        seen: dict[str, object] = {root: context[root] for root in self.roots if root in context}
        hidden = {BUDGET: budget, LOCALE: locale or _locale_of(seen)}
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
            raise stopped("render_failed", f"The template could not be rendered: {error}.") from error


def _locale_of(values: Mapping[str, object]) -> str:
    for root in ("page", "block", "site"):
        value = values.get(root)
        if isinstance(value, Mapping) and value.get("locale"):
            return str(value["locale"])
    return "en"


@lru_cache(maxsize=512)
def _compiled(source: str, roots: frozenset[str]) -> Source:
    tree = parsed(source)
    refuse(faults(tree.body, Scope(roots, roots)))
    refuse(follow_markup(tree))
    rewrite(tree)
    tree.set_environment(ENVIRONMENT)
    try:
        code = ENVIRONMENT.compile(tree, "source", "<template source>")
    except (TemplateSyntaxError, SyntaxError, RecursionError) as error:
        raise stopped("template_syntax", f"Line 1: the template cannot be compiled ({error}).") from error
    return Source(Template.from_code(ENVIRONMENT, code, {}), roots)
