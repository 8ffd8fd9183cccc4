"""By what visitors name a segment: handles, always the same, that tell nothing of the key, which is for colleagues.

In: names as decisions spell them, `segment:KEY` and `scores.KEY`. Out: the same with the handle in place of the key, and
back. Only who holds the site's secret can make them, so that nobody finds a key by trying words.
"""

from typing import Final

from django.utils.crypto import salted_hmac

from personalization.directory import Directory
from personalization.plan import SCORES

SEGMENT: Final = "segment:"
_OF_SEGMENTS: Final = (SEGMENT, SCORES)


def handle_of(key: str) -> str:
    """Return the handle of a segment's key."""
    return salted_hmac("tessera.segment", key, algorithm="sha256").hexdigest()[:16]


def outward(name: str) -> str:
    """Return a name as visitors read it."""
    kind = _kind(name)
    return kind + handle_of(name.removeprefix(kind)) if kind else name


def inward(name: str, directory: Directory) -> str:
    """Return a name that a visitor sent as decisions spell it; LookupError where no segment has that handle."""
    kind = _kind(name)
    if not kind:
        return name
    handle = name.removeprefix(kind)
    for key in directory.segments:
        if handle_of(key) == handle:
            return kind + key
    raise LookupError(name)


def _kind(name: str) -> str:
    return next((kind for kind in _OF_SEGMENTS if name.startswith(kind)), "")
