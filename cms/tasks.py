"""What the worker does for `cms`."""

from celery import shared_task
from django.utils import timezone

from cms.models import Page


@shared_task
def recompile_pages(page_ids: list[int], cause: str) -> int:
    """Compile published pages again after something they contain changed; return how many."""
    from cms.publishing import recompile_page

    for page in Page.objects.filter(pk__in=page_ids).select_related("site", "published"):
        recompile_page(page, now=timezone.now(), cause=cause)
    return len(page_ids)
