"""What the worker does for `personalization`. Tasks are hints: each looks at the tables and does what is due."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from cms.models import Site
from personalization import exposures, partitions, retention, told, triggers, webhooks
from personalization.announcing import announce
from personalization.ingest import counts
from personalization.lanes import backfill, catch_up, fall_due
from personalization.plans import announce_epoch
from personalization.profiles import sweep_snapshots
from personalization.segments.directory import rebuild
from personalization.segments.refresh import refresh_changed, refresh_daily
from personalization.segments.sizes import note_sizes

TRIGGERS: Final = 1_000  # pieces of work that one call does; messages do not wait for more
LOG_KEPT: Final = timedelta(days=30)
ROUNDS: Final = 200  # of one batch each; what is left is the next hint's or the sweep's


def _until_done(step: Callable[[Site], int]) -> int:
    """Repeat a step for every site until there is nothing left to do; return how much was done."""
    done = 0
    for site in Site.objects.all():
        for _ in range(ROUNDS):
            did = step(site)
            done += did
            if not did:
                break
    return done


@shared_task
def fold_touched() -> int:
    """Fold in what happened; return how many claims were done."""
    return _until_done(lambda site: catch_up(site, now=timezone.now()))


@shared_task
def fall_due_now() -> int:
    """Look at the profiles of whom time changes something; return how many there were."""
    return _until_done(lambda site: fall_due(site, now=timezone.now()))


@shared_task
def backfill_behaviour() -> int:
    """Work out the behaviour of new rules; return for how many profiles."""
    return _until_done(lambda site: backfill(site, now=timezone.now()))


@shared_task
def announce_changes() -> int:
    """Announce who entered and left segments, and send and do what that leads to; return how many changes there were."""
    announced = 0
    for _ in range(ROUNDS):
        found = announce(now=timezone.now()).changes
        announced += found
        if not found:
            break
    run_triggers()
    send_webhooks()
    return announced


@shared_task
def run_triggers() -> int:
    """Do the work that is due because somebody entered or left a segment; return how much was done."""
    for done in range(TRIGGERS):
        if not triggers.run_next(now=timezone.now()):
            return done
    return TRIGGERS


@shared_task
def send_webhooks() -> int:
    """Send the messages that are due; return how many were."""
    sent = 0
    for _ in range(ROUNDS):
        did = webhooks.send_due(now=timezone.now())
        sent += did
        if not did:
            break
    return sent


@shared_task
def store_exposures() -> int:
    """Move what people were shown from Redis to the table."""
    moved = 0
    while found := exposures.store():
        moved += found
    return moved


@shared_task
def refresh_daily_segments() -> int:
    """Look at everybody where the day's time for it has come; return in how many sites it ran."""
    runs = [refresh_daily(site, now=timezone.now()) for site in Site.objects.all()]
    return sum(run is not None for run in runs)


@shared_task
def refresh_changed_segments() -> int:
    """Look at everybody where a rule changed; return in how many sites it ran."""
    runs = [refresh_changed(site, now=timezone.now()) for site in Site.objects.all()]
    return sum(run is not None for run in runs)


@shared_task
def refresh_bestsellers() -> int:
    """Compile the directory again, in case other items are bought most now."""
    return len([rebuild(site) for site in Site.objects.all()])


@shared_task
def note_segment_sizes() -> int:
    """Keep the sizes of this hour."""
    return sum(note_sizes(site, now=timezone.now()) for site in Site.objects.all())


@shared_task
def keep_house() -> int:
    """Make next month's partition, and delete what is past its time; return how many events were."""
    now = timezone.now()
    partitions.ensure(now.date())
    told.expire(before=now - LOG_KEPT)
    triggers.expire(before=now - LOG_KEPT)
    return retention.expire(now=now, days=settings.EVENT_RETENTION_DAYS)


@shared_task
def sweep() -> int:
    """Find what a hint, a crash or an absent Redis left behind; return how many snapshots were written."""
    now = timezone.now()
    for site in Site.objects.all():
        announce_epoch(site.epoch)
    fold_touched()
    fall_due_now()
    backfill_behaviour()
    refresh_changed_segments()
    counts.collect(now=now)
    store_exposures()
    return sweep_snapshots()
