"""Durations as rules spell them: ISO 8601 without months and years, which have no fixed length.

Goes in: ``P7D``, ``PT30M``, ``P1DT12H``, ``P2W``. Comes out: whole microseconds.
"""

from __future__ import annotations

import re
from typing import Final

_DURATION: Final = re.compile(
    r"P(?:(?P<w>\d{1,4})W)?(?:(?P<d>\d{1,5})D)?(?:T(?:(?P<h>\d{1,6})H)?(?:(?P<m>\d{1,8})M)?(?:(?P<s>\d{1,9})S)?)?",
    re.ASCII,
)
_SECONDS: Final = {"w": 7 * 86_400, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_WORDS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def duration(text: object) -> int | None:
    """Return a duration in microseconds; ``None`` when it is not spelled as one."""
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None or not any(found.groupdict().values()) or str(text).endswith("T"):
        return None
    seconds = sum(int(found[unit] or 0) * length for unit, length in _SECONDS.items())
    return seconds * 1_000_000


def words(microseconds: int) -> str:
    """Say a duration in words: ``1 hour``, ``2 days 12 hours``."""
    left, said = microseconds // 1_000_000, []
    for name, length in _WORDS:
        count, left = divmod(left, length)
        if count:
            said.append(f"{count} {name}{'' if count == 1 else 's'}")
    return " ".join(said) or "0 seconds"
