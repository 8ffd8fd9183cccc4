"""Publish pages: draft → checks → compile → immutable plans → news.

`publish_page` refuses with every problem at its place, or makes one revision with one plan per locale.
A page with `go_live_at` in the future is compiled now and compared with the clock at the request, while the
plan before it keeps serving. Publishing a block compiles the pages that contain it again.
"""

import datetime as dt
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from django.db import transaction
from django.db.models import QuerySet

from cms.compiler import Compiled, compile_page
from cms.content import save_block
from cms.errors import ContentError, errors_among
from cms.fields import moment
from cms.language.nodes import Problem
from cms.models import Block, Page, PageRevision, Plan, Site, Template
from cms.pages import content_of, write_page
from cms.review import review
from cms.signals import published, unpublished
from cms.sources import load_sources

log = logging.getLogger(__name__)
RECOMPILE_AT_ONCE = 50
KEPT_REVISIONS = 5  # whose plans still answer `?decision=KEY`
_BEGINNING = dt.datetime.min.replace(tzinfo=dt.UTC)


@transaction.atomic
def publish_page(page: Page, *, now: dt.datetime, author: Any = None, cause: str = "") -> PageRevision | None:
    """Publish the working copy; return the new revision, or None when nothing changed.

    Raises ContentError with everything that stands in the way.
    """
    page = Page.objects.select_for_update(of=("self",)).select_related("site", "published").get(pk=page.pk)
    content = content_of(page)
    sources = load_sources(page.site, [content])
    compiled = [compile_page(content, sources=sources, locale=locale) for locale in page.site.locales]
    if errors := errors_among(review(content, compiled, sources, page.site)):
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
    """Compile published pages again from what was published of them: 50 here, the rest by the worker.

    What the worker owes is written on the pages in the same transaction; until it is done the old plan serves.
    """
    todo = list(pages)
    for page in todo[:RECOMPILE_AT_ONCE]:
        recompile_page(page, now=now, cause=cause, author=author)
    later = [page.pk for page in todo[RECOMPILE_AT_ONCE:]]
    Page.objects.filter(pk__in=later).update(compile_cause=cause[:200] or "Changed")
    return min(len(todo), RECOMPILE_AT_ONCE)


def recompile_waiting(*, now: dt.datetime) -> int:
    """Compile the pages that wait for it, each in a transaction of its own; return how many there were."""
    done = 0
    while page := _claimed(now):
        log.info("compiled %s", page.path)
        done += 1
    return done


@transaction.atomic
def _claimed(now: dt.datetime) -> Page | None:
    waiting = Page.objects.exclude(compile_cause="").select_related("site", "published").order_by("pk")
    page = waiting.select_for_update(of=("self",), skip_locked=True).first()
    if page is not None:
        recompile_page(page, now=now, cause=page.compile_cause)
        Page.objects.filter(pk=page.pk).update(compile_cause="")
    return page


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


def publish_block(block: Block, *, now: dt.datetime, author: Any = None) -> bool:
    """Let pages show the working copy; return whether that changed anything."""
    return publish_blocks([block], now=now, author=author) == 1


@transaction.atomic
def publish_blocks(blocks: Sequence[Block], *, now: dt.datetime, author: Any = None) -> int:
    """Let pages show the working copies, each page compiled once; return how many blocks changed."""
    rows = Block.objects.select_for_update(of=("self",)).select_related("type", "site").order_by("pk")
    changed = [b for b in rows.filter(pk__in=[b.pk for b in blocks]) if _show(b, now=now, author=author)]
    if changed:
        changed[0].site.advance(catalogue=any(block.type.catalogue for block in changed))
        names = f"{changed[0].key} and {len(changed) - 1} more" if len(changed) > 1 else changed[0].key
        recompile_with(changed, now=now, cause=f"Block {names} published", author=author)
    return len(changed)


def _show(block: Block, *, now: dt.datetime, author: Any) -> bool:
    """Point a block at what is to be shown of it; return whether that changed anything."""
    before = (block.live, block.published_id)
    if block.type.catalogue:
        block.live = True
    else:
        block.published = block.revisions.first() or save_block(block, block.data, now=now, author=author)
    changed = before != (block.live, block.published_id)
    if changed:
        block.save()
    return changed


@transaction.atomic
def unpublish_block(block: Block, *, now: dt.datetime, author: Any = None) -> None:
    """Take a block off every page; refused while a published page has it as a default."""
    block = Block.objects.select_for_update(of=("self",)).select_related("type", "site").get(pk=block.pk)
    if paths := _default_on(block, now):
        sentence = f"'{block.key}' is the default on {', '.join(paths)}. Change those pages first."
        raise ContentError([Problem("block_in_use", "", sentence)])
    block.live, block.published = False, None
    block.save()
    block.site.advance(catalogue=block.type.catalogue)
    recompile_with([block], now=now, cause=f"Block {block.key} unpublished", author=author)


def _default_on(block: Block, now: dt.datetime) -> list[str]:
    """Return the paths of the pages that show the block as a default, now or as scheduled."""
    return [
        page.path
        for page in published_pages_with([block]).order_by("path")
        if any(
            variant.get("default") and variant.get("block") == block.key
            for revision in live_revisions(page, now=now)
            for variant in _variants(revision.content)
        )
    ]


def _variants(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [v for placements in content["slots"].values() for p in placements for v in p["variants"]]
