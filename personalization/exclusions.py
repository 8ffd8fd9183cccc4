"""What somebody took out of use: facts, all that they did, a segment, a delicate topic.

In: whose, and the names. Out: whether that changed anything. What is excluded stays stored and is withheld from every
decision, like what was never allowed, until the person takes it back. It reaches the next page: the copy that pages
read is written when the transaction commits, and forgotten where it cannot be written.
"""

import datetime as dt
import uuid
from collections.abc import Collection
from typing import Final

from django.db import transaction

from cms.models import Site
from personalization.directory import Directory
from personalization.folding import touch
from personalization.handles import SEGMENT
from personalization.models import Profile
from personalization.models.segments import TOPICS
from personalization.profiles import forget_snapshot, make_missing, publish_snapshots
from personalization.segments.directory import directory_of
from personalization.visitor import BEHAVIOUR

MAX_EXCLUDED: Final = 200
TOPIC: Final = "topic:"


class NothingLikeIt(ValueError):
    """There is nothing by this name that could be taken out of use."""


@transaction.atomic
def change(
    subject: uuid.UUID,
    *,
    site_id: int,
    exclude: Collection[str] = (),
    include: Collection[str] = (),
    now: dt.datetime,
) -> bool:
    """Take names out of use, or back into it; raises NothingLikeIt for a name that nobody knows."""
    _check(exclude, site_id)
    make_missing([subject], site_id=site_id, now=now)
    profile = Profile.objects.select_for_update().get(pk=subject)
    wanted = sorted((set(profile.excluded) | set(exclude)) - set(include))[:MAX_EXCLUDED]
    if wanted == profile.excluded:
        return False
    profile.excluded = wanted
    profile.version += 1
    profile.save(update_fields=["excluded", "version"])
    touch([subject], site_id=site_id, now=now)
    transaction.on_commit(lambda: _follow(profile))
    return True


def excluded_by(subject: uuid.UUID) -> frozenset[str]:
    """Return what somebody took out of use."""
    found = Profile.objects.filter(pk=subject).values_list("excluded", flat=True).first()
    return frozenset(found or ())


def _follow(profile: Profile) -> None:
    if not publish_snapshots([profile]):
        forget_snapshot(profile.pk)


def _check(names: Collection[str], site_id: int) -> None:
    directory = directory_of(Site.objects.get(pk=site_id))
    for name in names:
        if not _is_known(name, directory):
            raise NothingLikeIt(name)


def _is_known(name: str, directory: Directory) -> bool:
    if name.startswith(SEGMENT):
        return name.removeprefix(SEGMENT) in directory.segments
    if name.startswith(TOPIC):
        return name.removeprefix(TOPIC) in dict(TOPICS)
    fact = directory.vocabulary.find(name)
    return name == BEHAVIOUR or (fact is not None and bool(fact.purposes))
