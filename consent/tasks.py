"""What the worker does for `consent`."""

from celery import shared_task
from django.utils import timezone

from consent import enforcement


@shared_task
def enforce() -> int:
    """Do the erasures that are due."""
    return enforcement.enforce(now=timezone.now())


@shared_task
def audit_flags() -> int:
    """Find consent that was changed in any other way than by a decision, and enforce it."""
    return enforcement.reconcile(now=timezone.now())
