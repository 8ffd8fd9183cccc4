"""Whom and what an address or a body names: people by a visitor_id or a proven userId, keys by their name.

In: text. Out: a subject that the ledger knows, or NotFound, alike for everything that is nobody.
"""

import uuid

from rest_framework.exceptions import NotFound

from consent import access_log
from consent.identities import owner_of
from consent.merging import survivor
from consent.models import ConsentState
from personalization.models import ApiKey


class Nobody(NotFound):
    default_detail = "There is nobody of this name."


def named_subject(who: str) -> uuid.UUID:
    """Return the subject of `user:` and a userId, or of a visitor_id; raises Nobody."""
    if who.startswith("user:"):
        found = owner_of("user", who.removeprefix("user:"))
    else:
        try:
            found = survivor(uuid.UUID(who))
        except ValueError:
            found = None
    if found is None or not ConsentState.objects.filter(pk=found).exists():
        raise Nobody
    return found


def name_of_key(prefix: str) -> str:
    """Spell a key for the log of accesses."""
    name = ApiKey.objects.filter(prefix=prefix).values_list("name", flat=True).first() or prefix
    return access_log.api_key(name)
