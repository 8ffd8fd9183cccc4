"""What the worker does for `personalization`. Tasks are hints: each looks at the tables and does what is due."""

from celery import shared_task
from django.utils import timezone

from cms.models import Site
from personalization.models import SegmentRun
from personalization.plans import announce_epoch
from personalization.profiles import sweep_snapshots
from personalization.segments.directory import rebuild
from personalization.segments.refresh import refresh


@shared_task
def segment_changed() -> int:
    """Look at the profiles that changed; return in how many sites there were some."""
    runs = [refresh(site, scope=SegmentRun.Scope.CHANGED, now=timezone.now()) for site in Site.objects.all()]
    return sum(run is not None for run in runs)


@shared_task
def refresh_all_segments() -> int:
    """Look at everybody: dates pass without an event."""
    runs = [
        refresh(site, scope=SegmentRun.Scope.EVERYBODY, now=timezone.now()) for site in Site.objects.all()
    ]
    return sum(run is not None for run in runs)


@shared_task
def refresh_bestsellers() -> int:
    """Compile the directory again, in case other items are bought most now."""
    return len([rebuild(site) for site in Site.objects.all()])


@shared_task
def sweep() -> int:
    """Find what a hint, a crash or an absent Redis left behind; return how many snapshots were written."""
    for site in Site.objects.all():
        announce_epoch(site.epoch)
    written = sweep_snapshots()
    segment_changed()
    return written
