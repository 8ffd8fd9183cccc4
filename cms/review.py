"""Review a page before it is published: what stands in the way, and what an editor may want to know.

In: a page's content, compiled for every locale. Out: problems with their places; errors forbid, warnings tell.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cms.compiler import Compiled, compile_page, templates_of
from cms.content import known_to
from cms.facts import vocabulary
from cms.language.nodes import Problem
from cms.language.source import ROOTS_BLOCK, ROOTS_PAGE, check_source
from cms.language.text import TextError, check_text, parse_text
from cms.language.vocabulary import Vocabulary
from cms.models import Page, Site
from cms.pages import content_of, content_problems
from cms.sources import Sources, load_sources

MAX_PERMUTATIONS = 1000


def page_problems(page: Page) -> tuple[Problem, ...]:
    """Say what stands in the way of publishing (errors), and what an editor may want to know (warnings)."""
    content = content_of(page)
    sources = load_sources(page.site, [content])
    compiled = [compile_page(content, sources=sources, locale=locale) for locale in page.site.locales]
    return review(content, compiled, sources, page.site)


def review(
    content: Mapping[str, Any], compiled: Sequence[Compiled], sources: Sources, site: Site
) -> tuple[Problem, ...]:
    facts = vocabulary(site.pk)
    problems = content_problems(content, site=site, known=known_to(site), facts=facts)
    problems += _completeness(content, sources)
    problems += [p for one in compiled for p in one.problems]
    problems += [p for one in compiled for p in _text_problems(content, one.program, facts, site.locales)]
    problems += _permutations(content)
    for one in compiled:
        if one.untranslated and one.program["page"]["locale"] != site.default_locale:
            problems += [
                Problem(
                    "untranslated", pointer, f"Not translated to {one.program['page']['locale']}.", "warning"
                )
                for pointer in dict.fromkeys(one.untranslated)
            ]
    return tuple(dict.fromkeys(problems))


def _completeness(content: Mapping[str, Any], sources: Sources) -> Iterator[Problem]:
    """Yield what a draft may lack and a published page may not."""
    templates = templates_of(content)
    if not templates or [t for t in templates if t.get("default")] != [templates[-1]]:
        yield Problem(
            "default_missing", "/templates", "The last template, and only the last, is the default."
        )
    if not content.get("title"):
        yield Problem("required", "/title", "A page needs a title.")
    slots = {
        s["key"]: s
        for t in templates
        if (row := sources.templates.get(t["template"] or ""))
        for s in row.slots
    }
    for key, slot in slots.items():
        count = len(content.get("slots", {}).get(key, ()))
        if count < (slot.get("min") or 0):
            yield Problem(
                "too_few", f"/slots/{key}", f"The slot '{key}' needs at least {slot['min']} placements."
            )
    for slot_key, placements in content.get("slots", {}).items():
        for index, placement in enumerate(placements):
            yield from _variants_complete(
                placement.get("variants") or [], f"/slots/{slot_key}/{index}/variants"
            )


def _variants_complete(variants: Sequence[Mapping[str, Any]], place: str) -> Iterator[Problem]:
    defaults = [index for index, variant in enumerate(variants) if variant.get("default")]
    if defaults != [len(variants) - 1]:
        yield Problem("default_missing", place, "The last variant, and only the last, is the default.")
    always = next(
        (
            i
            for i, v in enumerate(variants)
            if not v.get("when") and not v.get("starts_at") and not v.get("ends_at") and not v.get("cap")
        ),
        None,
    )
    for index, variant in enumerate(variants):
        if variant.get("block") is None and variant.get("override") is None and not variant.get("hide"):
            yield Problem("required", f"{place}/{index}", "A variant needs one of block, override and hide.")
        if always is not None and always < index and not variants[always].get("default"):
            yield Problem(
                "unreachable", f"{place}/{index}", f"Never shown: '{variants[always]['key']}' before it always holds.", "warning"
            )  # fmt: skip


def _text_problems(
    content: Mapping[str, Any], program: Mapping[str, Any], facts: Vocabulary, locales: Sequence[str]
) -> Iterator[Problem]:
    """Check every text with placeholders that stands in a plan."""
    places = _places(content)
    for placement in program["placements"]:
        for variant in placement["variants"]:
            place = places.get((placement["key"], variant["key"]), "")
            for pointer, source, rich in texts_in(variant["block"], ""):
                try:
                    found = check_text(parse_text(source, rich=rich), facts, locales=locales, rich=rich)
                except TextError as error:
                    found = error.problems
                pointer = pointer.removeprefix("/fields")
                yield from (Problem(p.code, f"{place}{pointer}", p.message, p.severity) for p in found)


def _places(content: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Return where the block, or the override, of each variant stands: (placement, variant) → pointer."""
    return {
        (placement["placement"], variant["key"]): (
            f"/slots/{slot}/{index}/variants/{n}/{'override' if variant.get('override') else 'block'}"
        )
        for slot, placements in content.get("slots", {}).items()
        for index, placement in enumerate(placements)
        for n, variant in enumerate(placement.get("variants") or ())
    }


def texts_in(value: Any, pointer: str) -> Iterator[tuple[str, str, bool]]:
    """Yield (pointer, source, rich) of every text in a compiled block that is filled per request."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts_in(item, f"{pointer}/{index}")
    elif isinstance(value, Mapping):
        if "$text" in value or "$rich" in value:
            yield pointer, value.get("$text") or value.get("$rich") or "", "$rich" in value
            return
        for key, item in value.items():
            yield from texts_in(item, f"{pointer}/{key}")


def _permutations(content: Mapping[str, Any]) -> list[Problem]:
    count = 1
    for placements in content.get("slots", {}).values():
        for placement in placements:
            count *= max(1, len(placement.get("variants") or []))
    if count <= MAX_PERMUTATIONS:
        return []
    return [
        Problem(
            "many_permutations",
            "/slots",
            f"This page has {count:,} permutations; a CDN will hold few of them.",
            "warning",
        )
    ]


def source_problems(source: str, *, of_page: bool) -> tuple[Problem, ...]:
    """Say what is wrong with the Jinja2 source of a template or a block type."""
    return check_source(source, roots=ROOTS_PAGE if of_page else ROOTS_BLOCK) if source else ()
