"""What the worker does for `consent`. Copies and the sweep take one thread each at most: the others are left to erasures."""

import logging

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from consent import access_log, audit, checkpoints, enforcement, rights, wishes, withdrawals
from consent.locks import COPIES, FLAGS, alone

log = logging.getLogger(__name__)


@shared_task
def enforce() -> int:
    """Do the erasures that are due."""
    return enforcement.enforce(now=timezone.now())


@shared_task
def answer_requests() -> int:
    """Build the exports and carry out the erasures that people asked for, one after the other."""
    with alone(COPIES) as mine:
        return rights.answer(now=timezone.now()) if mine else 0


@shared_task
def shorten_memories() -> int:
    """Delete what is older than the time that somebody chose for themselves."""
    return wishes.shorten_all(now=timezone.now())


@shared_task
def audit_flags() -> int:
    """Find consent that was changed in any other way than by a decision, and enforce it."""
    with alone(FLAGS) as mine:
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
