"""What the worker does for `cms`."""

from celery import shared_task
from django.utils import timezone

from cms import publishing


@shared_task
def recompile_waiting() -> int:
    """Compile the published pages that wait for it; return how many."""
    return publishing.recompile_waiting(now=timezone.now())
