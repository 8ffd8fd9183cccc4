"""That a notice was shown: a signed, stateless statement that travels to the reader and comes back with the decision.

In: a notice, its locale, where it was shown, when. Out: the statement's text; and from a text that came back, the id
that the ledger keeps, or nothing. A decision without one is valid, and its receipt says `served: false`.
"""

import datetime as dt
import secrets
from typing import Final

from django.core import signing

_SALT: Final = "tessera.served"
_SECONDS: Final = 86_400


def statement(version: int, *, locale: str, surface: str, now: dt.datetime) -> str:
    """Return what says that this version was shown in this language, on the API (`api`) or on a page (`page`)."""
    said = {"v": version, "l": locale, "s": surface, "t": int(now.timestamp()), "n": secrets.token_hex(8)}
    return signing.dumps(said, salt=_SALT)


def served_id(text: object, version: int) -> str:
    """Return the id of a statement about this version, or nothing when it is none, or older than a day."""
    if not isinstance(text, str):
        return ""
    try:
        said = signing.loads(text, salt=_SALT, max_age=_SECONDS)
    except signing.BadSignature:
        return ""
    return str(said["n"]) if said.get("v") == version else ""
