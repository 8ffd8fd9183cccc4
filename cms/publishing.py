"""Publish pages: draft → checks → compile → immutable plans → news.

`publish_page` refuses with every problem at its place, or makes one revision with one plan per locale.
A page with `go_live_at` in the future is compiled now and compared with the clock at the request, while the
plan before it keeps serving. Publishing a block compiles the pages that contain it again.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from django.db import transaction
from django.db.models import QuerySet

from cms.compiler import Compiled, compile_page, templates_of
from cms.content import known_to
from cms.errors import ContentError, errors_among
from cms.facts import vocabulary
from cms.fields import moment
from cms.language.nodes import Problem
from cms.language.source import ROOTS_BLOCK, ROOTS_PAGE, check_source
from cms.language.text import TextError, check_text, parse_text
from cms.language.vocabulary import Vocabulary
from cms.models import Block, Page, PageRevision, Plan, Site, Template
from cms.pages import content_of, content_problems, write_page
from cms.signals import published, unpublished
from cms.sources import Sources, load_sources

RECOMPILE_AT_ONCE = 50
KEPT_REVISIONS = 5  # whose plans still answer `?decision=KEY`
MAX_PERMUTATIONS = 1000
_BEGINNING = dt.datetime.min.replace(tzinfo=dt.UTC)


def page_problems(page: Page) -> tuple[Problem, ...]:
    """Say what stands in the way of publishing (errors), and what an editor may want to know (warnings)."""
    content = content_of(page)
    sources = load_sources(page.site, [content])
    compiled = [compile_page(content, sources=sources, locale=locale) for locale in page.site.locales]
    return _problems(content, compiled, sources, page.site)


def _problems(
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


@transaction.atomic
def publish_page(page: Page, *, now: dt.datetime, author: Any = None, cause: str = "") -> PageRevision | None:
    """Publish the working copy; return the new revision, or None when nothing changed.

    Raises ContentError with everything that stands in the way.
    """
    page = Page.objects.select_for_update(of=("self",)).select_related("site", "published").get(pk=page.pk)
    content = content_of(page)
    sources = load_sources(page.site, [content])
    compiled = [compile_page(content, sources=sources, locale=locale) for locale in page.site.locales]
    if errors := errors_among(_problems(content, compiled, sources, page.site)):
        raise ContentError(errors)
    if page.published and page.published.content == content and _same(page.published, compiled):
        return None
    begins = moment(content.get("go_live_at"))
    replaced = page.plans.filter(active=True)
    if begins is not None and begins > now:  # what serves today goes on until then
        replaced = replaced.filter(starts_at__gt=now)
    replaced.update(active=False)
    revision = _release(page, content, compiled, now=now, author=author, cause=cause)
    Page.objects.filter(pk=page.pk).update(published=revision)
    return revision


def _checksum(program: Mapping[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(program, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _same(revision: PageRevision, compiled: Sequence[Compiled]) -> bool:
    served = set(revision.plans.filter(active=True).values_list("locale", "checksum"))
    return served == {(one.program["page"]["locale"], _checksum(one.program)) for one in compiled}


def _release(
    page: Page,
    content: dict[str, Any],
    compiled: Sequence[Compiled],
    *,
    now: dt.datetime,
    author: Any,
    cause: str,
) -> PageRevision:
    """Store a revision and its plans, to be served while the dates in its content hold."""
    latest = page.revisions.first()
    revision = PageRevision.objects.create(
        page=page,
        n=latest.n + 1 if latest else 1,
        content=content,
        cause=cause,
        published_at=now,
        published_by=author,
    )
    Plan.objects.bulk_create(_plan(page, revision, one) for one in compiled)
    Plan.objects.filter(page=page, active=False, revision__n__lte=revision.n - KEPT_REVISIONS).delete()
    page.site.advance()
    transaction.on_commit(lambda: published.send(None, page_id=page.pk, revision=revision.n))
    return revision


def _plan(page: Page, revision: PageRevision, compiled: Compiled) -> Plan:
    return Plan(
        page=page,
        revision=revision,
        locale=compiled.program["page"]["locale"],
        program=compiled.program,
        checksum=_checksum(compiled.program),
        starts_at=moment(revision.content.get("go_live_at")),
        ends_at=moment(revision.content.get("expire_at")),
        blocks=sorted(compiled.blocks),
    )


@transaction.atomic
def unpublish_page(page: Page) -> None:
    """Take a page off the site at once; its working copy and its revisions stay."""
    page = Page.objects.select_for_update(of=("self",)).select_related("site").get(pk=page.pk)
    page.plans.all().delete()
    Page.objects.filter(pk=page.pk).update(published=None)
    page.site.advance()
    transaction.on_commit(lambda: unpublished.send(None, page_id=page.pk))


def revert_page(page: Page, *, to: PageRevision) -> Page:
    """Make an older revision the working copy again; it is published like any other draft."""
    return write_page({**to.content, "path": page.path}, site=page.site)[0]


def published_pages_with(blocks: Iterable[Block]) -> "QuerySet[Page]":
    """Return the published pages whose plans contain one of the blocks."""
    plans = Plan.objects.filter(active=True, blocks__overlap=[b.pk for b in blocks])
    return Page.objects.filter(pk__in=plans.values("page"), published__isnull=False).select_related(
        "site", "published"
    )


def recompile_with(blocks: Iterable[Block], *, now: dt.datetime, cause: str, author: Any = None) -> int:
    """Compile the published pages that contain one of the blocks again; return how many were done at once."""
    return recompile(published_pages_with(blocks).order_by("pk"), now=now, cause=cause, author=author)


def recompile_using(template: Template, *, now: dt.datetime, cause: str, author: Any = None) -> int:
    """Compile the published pages that use a template again."""
    pages = Page.objects.filter(templates__template=template, published__isnull=False).distinct()
    return recompile(
        pages.select_related("site", "published").order_by("pk"), now=now, cause=cause, author=author
    )


def recompile_all(site: Site, *, now: dt.datetime, cause: str, author: Any = None) -> int:
    """Compile every published page of a site again; those that come out the same stay as they are."""
    pages = Page.objects.filter(site=site, published__isnull=False).select_related("site", "published")
    return recompile(pages.order_by("pk"), now=now, cause=cause, author=author)


def recompile(pages: "QuerySet[Page]", *, now: dt.datetime, cause: str, author: Any = None) -> int:
    """Compile published pages again from what was published of them: 50 here, the rest by the worker."""
    from cms.tasks import recompile_pages  # the task calls back into this module

    todo = list(pages)
    for page in todo[:RECOMPILE_AT_ONCE]:
        recompile_page(page, now=now, cause=cause, author=author)
    later = [page.pk for page in todo[RECOMPILE_AT_ONCE:]]
    if later:
        transaction.on_commit(lambda: recompile_pages.delay(later, cause))
    return min(len(todo), RECOMPILE_AT_ONCE)


@transaction.atomic
def recompile_page(page: Page, *, now: dt.datetime, cause: str, author: Any = None) -> None:
    """Compile what is published of a page again: what serves now, and what is scheduled.

    A variant whose block went away is left out. The order of what is to come stays as it is.
    """
    page = Page.objects.select_for_update(of=("self",)).select_related("site").get(pk=page.pk)
    for revision in live_revisions(page, now=now):
        _recompile(page, revision, now=now, cause=cause, author=author)


def live_revisions(page: Page, *, now: dt.datetime) -> list[PageRevision]:
    """Return the revisions of a page that serve now or are scheduled, in the order in which they begin."""
    plans = page.plans.filter(active=True).select_related("revision")
    begins = {plan.revision: plan.starts_at for plan in plans}
    ordered = sorted(begins, key=lambda revision: (begins[revision] or _BEGINNING, revision.n))
    begun = [revision for revision in ordered if (begins[revision] or _BEGINNING) <= now]
    return [*begun[-1:], *ordered[len(begun) :]]


def _recompile(page: Page, revision: PageRevision, *, now: dt.datetime, cause: str, author: Any) -> None:
    sources = load_sources(page.site, [revision.content])
    compiled = [
        compile_page(revision.content, sources=sources, locale=locale, lenient=True)
        for locale in page.site.locales
    ]
    if _same(revision, compiled) or not all(one.program["layouts"] for one in compiled):
        return
    revision.plans.update(active=False)
    renewed = _release(page, revision.content, compiled, now=now, author=author, cause=cause)
    Page.objects.filter(pk=page.pk, published=revision).update(published=renewed)
