"""The first page of the admin: what there is, what waits, and what to do next."""

from typing import Any

from django.db.models import Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from cms.admin.notes import when
from cms.models import Block, BlockType, Page, Template
from cms.models.site import current_site
from cms.pages import content_of
from consent.models import PropagationJob
from personalization.admin.runs import duration_of
from personalization.models import EventCount, Segment, SegmentRun
from personalization.segments.directory import is_exempt
from personalization.segments.refresh import waiting

LOOKED_AT = 200  # pages whose drafts are compared with what is published


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the cards and the next steps; called by the admin's index."""
    cards = [one for one in (_pages(), _blocks(), _segments(), _run(), _events()) if one]
    if request.user.has_perm("consent.view_propagationjob"):
        cards.append(_duties())
    return {**context, "cards": cards, "steps": _steps()}


def _card(title: str, number: Any, said: str, url: str, *, look: str = "") -> dict[str, Any]:
    return {"title": title, "number": number, "said": said, "url": reverse(f"admin:{url}"), "look": look}


def _pages() -> dict[str, Any]:
    pages = list(Page.objects.select_related("published").order_by("-updated_at")[:LOOKED_AT])
    drafts = sum(one.published is None or one.published.content != content_of(one) for one in pages)
    said = f"{drafts} with changes that are not published" if drafts else "all published as they are"
    return _card("Pages", Page.objects.count(), said if pages else "none yet", "cms_page_changelist")


def _blocks() -> dict[str, Any]:
    served = Block.objects.filter(published__isnull=False).count() + Block.objects.filter(live=True).count()
    return _card("Blocks", Block.objects.count(), f"{served} published", "cms_block_changelist")


def _segments() -> dict[str, Any]:
    rows = list(Segment.objects.all())
    closed = [one for one in rows if not one.open and not is_exempt(one)]
    said = f"{len(closed)} waiting for more people" if closed else "all open"
    return _card("Segments", len(rows), said if rows else "none yet", "personalization_segment_changelist")


def _run() -> dict[str, Any]:
    run = SegmentRun.objects.first()
    lag = waiting(current_site())
    said = f"{when(run.started_at)}, {duration_of(run)}; {lag} waiting" if run else "not yet"
    number = f"{run.entered} in, {run.left} out" if run else "–"
    return _card("Last segment run", number, said, "personalization_segmentrun_changelist")


def _events() -> dict[str, Any]:
    today = EventCount.objects.filter(site=current_site(), day=timezone.now().date())
    came = today.filter(reason="").aggregate(n=Sum("count"))["n"] or 0
    refused = (
        today.exclude(reason="").exclude(reason__endswith="_warning").aggregate(n=Sum("count"))["n"] or 0
    )
    said = f"{refused:,} dropped or cut" if refused else "none dropped"
    return _card("Events today", f"{came:,}", said, "personalization_eventtype_changelist")


def _duties() -> dict[str, Any]:
    failed = PropagationJob.objects.filter(state=PropagationJob.State.FAILED).count()
    waiting = PropagationJob.objects.filter(state=PropagationJob.State.PENDING).count()
    said = f"{waiting} waiting" if waiting else "nothing waits"
    look = "bad" if failed else "good"
    return _card("Failed effects of consent", failed, said, "consent_propagationjob_changelist", look=look)


def _steps() -> list[tuple[str, str]]:
    """Return what to do next on a site that is not set up yet."""
    steps = (
        (BlockType, "Make a block type: it says which fields a block has.", "cms_blocktype_add"),
        (Template, "Make a template: it names the slots of a page.", "cms_template_add"),
        (Block, "Write the first block.", "cms_block_add"),
        (Page, "Compose the first page.", "cms_page_add"),
        (Segment, "Describe the first segment.", "personalization_segment_add"),
    )
    return [(said, reverse(f"admin:{url}")) for model, said, url in steps if not model.objects.exists()]
