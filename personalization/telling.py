"""Say traits of somebody from the server's side: a back end, or the person who corrects what is known of them.

In: whose, and the traits. Out: what was kept and what was not allowed, as for an `identify` from a secret key.
"""

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

from personalization.ingest.message import Message
from personalization.ingest.store import Outcome, Sender, keep


def tell(subject: uuid.UUID, traits: Mapping[str, Any], *, sender: Sender, now: dt.datetime) -> Outcome:
    """Set traits, and remove those that are None; each only while its purpose is granted."""
    message = Message(
        kind="identify",
        name="identify",
        message_id=uuid.uuid4().hex,
        anonymous_id=str(subject),
        user_id="",
        user_hash="",
        properties={},
        traits=traits,
        happened_at=now,
    )
    return keep([message], sender=sender, now=now)
