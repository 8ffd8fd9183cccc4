"""The three occasions on which profiles are brought up to date: something happened, time passed, a rule is new.

`catch_up` claims what ingestion touched, `fall_due` the profiles whose answer can change now, `backfill` those without
the behaviour of the newest rules. Each batch is one transaction; a killed one leaves its claims where they were, and
what pages read follows after the commit. A batch that fails is done again one by one, so that whoever cannot be folded
holds up nobody else: their claim is tried eight times, later and later, and then lies among the dead letters.
"""

import datetime as dt
import logging
import random
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Q, QuerySet

from cms.models import Site
from consent.causes import cause_of
from personalization.announcements import TRIES, retry_in
from personalization.dead_letters import bury
from personalization.folding import BATCH, bring_up
from personalization.models import Profile, SegmentChange, Touched
from personalization.segments.directory import directory_of
from personalization.statements import rows_of

log = logging.getLogger(__name__)
WORK: Final = "fold"
Cause = SegmentChange.Cause
_AWAY: Final = (OperationalError, InterfaceError)  # the database, and nobody's data
MOST_CLAIMS: Final = 2 * BATCH  # of a batch: about so many events at least
_LATER: Final = dt.timedelta(minutes=10)

# Whoever is folded is folded once: the later claims of a person go with the oldest, for their events do so, too. And few
# are folded at a time of whom much waits: an erasure waits for the batch that holds its person's profile.
_CLAIM = """
WITH oldest AS MATERIALIZED (
  SELECT id, subject_key FROM personalization_touched
  WHERE site_id = %(site)s AND (next_at IS NULL OR next_at <= %(now)s)
  ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), people AS MATERIALIZED (
  SELECT subject_key, sum(count(*)) OVER (ORDER BY min(id)) - count(*) AS before
  FROM personalization_touched
  WHERE site_id = %(site)s AND (next_at IS NULL OR next_at <= %(now)s) AND subject_key IN (SELECT subject_key FROM oldest)
  GROUP BY subject_key
)
DELETE FROM personalization_touched WHERE id IN (
  SELECT id FROM personalization_touched
  WHERE site_id = %(site)s AND (next_at IS NULL OR next_at <= %(now)s)
    AND subject_key IN (SELECT subject_key FROM people WHERE before < %(most)s)
  FOR UPDATE SKIP LOCKED
) RETURNING id, subject_key
"""


def catch_up(site: Site, *, now: dt.datetime, limit: int = BATCH) -> int:
    """Fold in what happened to the profiles that were touched; return how many claims were done."""
    claimed: list[tuple[int, uuid.UUID]] = []
    try:
        with transaction.atomic():
            claimed = rows_of(_CLAIM, {"site": site.pk, "now": now, "limit": limit, "most": MOST_CLAIMS})
            batch = (
                bring_up(site, {subject for _, subject in claimed}, cause=Cause.EVENT, now=now)
                if claimed
                else None
            )
    except _AWAY:
        raise
    except Exception as error:  # noqa: BLE001  # whatever is wrong with one of them: the others must not wait
        log.error("a batch failed (%s): its profiles are folded one by one", cause_of(error))
        for subject in sorted({subject for _, subject in claimed}):
            _alone(site, subject, now)
    else:
        if batch is not None:
            batch.publish()
    return len(claimed)


def _alone(site: Site, subject: uuid.UUID, now: dt.datetime) -> None:
    """Fold in what happened to one person; keep their claims for later where that fails."""
    try:
        with transaction.atomic():
            claims = list(_due(site, subject, now))
            if not claims:  # somebody else was faster, or they were erased
                return
            Touched.objects.filter(pk__in=[claim.pk for claim in claims]).delete()
            batch = bring_up(site, {subject}, cause=Cause.EVENT, now=now)
    except _AWAY:
        raise
    except Exception as error:  # noqa: BLE001  # whatever is wrong with it: it is kept with its cause
        _park(site, subject, error, now)
    else:
        batch.publish()


def _due(site: Site, subject: uuid.UUID, now: dt.datetime) -> "QuerySet[Touched]":
    """Return somebody's claims that may be done now, locked, the oldest first."""
    mine = Touched.objects.select_for_update(skip_locked=True).filter(site=site, subject_key=subject)
    return mine.filter(Q(next_at=None) | Q(next_at__lte=now)).order_by("pk")


@transaction.atomic
def _park(site: Site, subject: uuid.UUID, error: Exception, now: dt.datetime) -> None:
    """Try somebody's claims again later, as one; after the last try it stays, named by a dead letter that says where it failed."""
    claims = list(_due(site, subject, now))
    if not claims:
        return
    first, *others = claims
    Touched.objects.filter(pk__in=[claim.pk for claim in others]).delete()
    first.attempts = max(claim.attempts for claim in claims) + 1
    first.since = first.until = first.last_id = (
        None  # it stands for all of them: their events may lie anywhere
    )
    wait = retry_in(first.attempts, random=random.random())  # noqa: S311  # jitter
    first.next_at = now + wait if wait is not None else dt.datetime.max.replace(tzinfo=dt.UTC)
    first.save()
    if wait is None:
        bury(WORK, str(first.pk), attempts=TRIES, error=cause_of(error), now=now)


def replay_claim(reference: str, now: dt.datetime) -> bool:
    """Let a claim that failed be folded in again, from its first try."""
    return bool(Touched.objects.filter(pk=int(reference)).update(attempts=0, next_at=now))


_DUE = """
SELECT subject_key FROM personalization_profile
WHERE site_id = %s AND due_at <= %s ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
"""


def fall_due(site: Site, *, now: dt.datetime, limit: int = BATCH) -> int:
    """Look at the profiles of whom time alone changes something now; return how many there were."""
    return _look(site, _DUE, [site.pk, now, limit], Cause.TIME, now)


_OLD = """
SELECT subject_key FROM personalization_profile
WHERE site_id = %s AND behaviour_version < %s ORDER BY behaviour_version LIMIT %s FOR UPDATE SKIP LOCKED
"""


def backfill(site: Site, *, now: dt.datetime, limit: int = 2 * BATCH) -> int:
    """Work out the behaviour of new rules for profiles that have not got it yet; return for how many."""
    version = directory_of(site).behaviour_version
    return _look(site, _OLD, [site.pk, version, limit], Cause.SET, now)


def _look(site: Site, statement: str, values: Sequence[Any], cause: str, now: dt.datetime) -> int:
    """Bring up the profiles that a statement claims; where that fails, each becomes a claim of its own."""
    subjects: list[uuid.UUID] = []
    try:
        with transaction.atomic():
            subjects = [row[0] for row in rows_of(statement, values)]
            batch = bring_up(site, subjects, cause=cause, now=now) if subjects else None
    except _AWAY:
        raise
    except Exception as error:  # noqa: BLE001  # whatever is wrong with one of them: the others must not wait
        log.error("a batch failed (%s): its profiles are looked at one by one", cause_of(error))
        _claim_each(site, subjects, now)
        return len(subjects)
    if batch is not None:
        batch.publish()
    return len(subjects)


@transaction.atomic
def _claim_each(site: Site, subjects: Sequence[uuid.UUID], now: dt.datetime) -> None:
    """Let each be folded as a claim, and keep it out of the way of the others until then."""
    Touched.objects.bulk_create(Touched(site=site, subject_key=subject, at=now) for subject in subjects)
    version = directory_of(site).behaviour_version
    waiting = Profile.objects.filter(pk__in=subjects)
    waiting.filter(due_at__lte=now).update(due_at=now + _LATER)
    waiting.update(behaviour_version=version)


def lag(site: Site) -> Counter[str]:
    """Return how much waits: profiles touched, due, and without the behaviour of the newest rules."""
    directory = directory_of(site)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(DISTINCT subject_key) FROM personalization_touched WHERE site_id = %(site)s),"
            " (SELECT count(*) FROM personalization_profile WHERE site_id = %(site)s AND due_at <= now()),"
            " (SELECT count(*) FROM personalization_profile WHERE site_id = %(site)s AND behaviour_version < %(v)s)",
            {"site": site.pk, "v": directory.behaviour_version},
        )
        touched, due, old = cursor.fetchone()
    return Counter(touched=touched, due=due, old=old)
