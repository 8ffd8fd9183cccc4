"""Which kind of device a user agent names. PURE."""

import re
from typing import Final

_KINDS: Final = (
    ("tablet", re.compile(r"iPad|Tablet|PlayBook|Silk|Android(?!.*Mobile)", re.IGNORECASE)),
    ("mobile", re.compile(r"Mobi|iPhone|iPod|Android.*Mobile|Windows Phone|Opera Mini", re.IGNORECASE)),
    ("desktop", re.compile(r"Windows NT|Macintosh|X11|CrOS|Linux x86_64", re.IGNORECASE)),
)
MAX_AGENT: Final = 512


def device_of(agent: str, mobile_hint: str | None = None) -> str:
    """Return `mobile`, `tablet`, `desktop` or `other`; the hint is the client hint `Sec-CH-UA-Mobile`."""
    if mobile_hint == "?1":
        return "mobile"
    for name, pattern in _KINDS:
        if pattern.search(agent[:MAX_AGENT]):
            return name
    return "other"
