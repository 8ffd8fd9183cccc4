"""What the worker does for `consent`."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from celery import shared_task
from django.conf import settings
from django.db import connection
from django.utils import timezone

from consent import access_log, audit, checkpoints, enforcement, rights, wishes, withdrawals

log = logging.getLogger(__name__)


_COPIES: Final = 7_305_001  # the numbers of two locks
_FLAGS: Final = 7_305_002


@contextmanager
def _alone(number: int) -> Iterator[bool]:
    """Say whether this is the only run of its kind, so that what takes long never holds every thread that erases."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
        mine = bool(cursor.fetchone()[0])
        try:
            yield mine
        finally:
            if mine:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [number])


@shared_task
def enforce() -> int:
    """Do the erasures that are due."""
    return enforcement.enforce(now=timezone.now())


@shared_task
def answer_requests() -> int:
    """Build the exports and carry out the erasures that people asked for, one after the other."""
    with _alone(_COPIES) as mine:
        return rights.answer(now=timezone.now()) if mine else 0


@shared_task
def shorten_memories() -> int:
    """Delete what is older than the time that somebody chose for themselves."""
    return wishes.shorten_all(now=timezone.now())


@shared_task
def audit_flags() -> int:
    """Find consent that was changed in any other way than by a decision, and enforce it."""
    with _alone(_FLAGS) as mine:
        return enforcement.reconcile(now=timezone.now()) if mine else 0


@shared_task
def audit_everything() -> int:
    """Prove the invariants of consent every night; what breaks one is an error in the log. Return how many did."""
    found = list(audit.audit(now=timezone.now()))
    for one in found:
        log.error("consent audit: %s: %s", one.invariant, one.detail)
    return len(found)


@shared_task
def checkpoint() -> int:
    """Tie the newest entries of the ledger together, and copy the line outside the database."""
    made = checkpoints.make(now=timezone.now())
    withdrawals.export()
    return made


@shared_task
def prune_withdrawals() -> int:
    """Take out of the file of withdrawals what is older than any backup, and whoever was erased."""
    return withdrawals.prune(now=timezone.now())


@shared_task
def expire_accesses() -> int:
    """Delete what the log of accesses has kept for its time."""
    return access_log.expire(now=timezone.now(), days=settings.ACCESS_LOG_DAYS)
