"""What may be said about how many people there are. PURE.

In: a count, of how many, and a digest of exactly who they are. Out: a number to the nearest ten, or a phrase. Rules: a
group under 50 is not told, and neither is one that leaves fewer than 50 out; the number is moved by up to five, by the
digest and a secret, before it is rounded. So the same people give the same number however they are asked for, while
the numbers for a group and for the same group without one person say nothing about that person.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

SMALL: Final = 50
STEP: Final = 10
_MOVED: Final = 11  # −5 … +5
FEW: Final = "fewer than 50"
NEARLY_ALL: Final = "all but fewer than 50"


@dataclass(frozen=True, slots=True)
class Shown:
    """A count as it is told; `number` is None where the phrase is all there is to say."""

    text: str
    number: int | None = None


def told(count: int, *, of: int | None, digest: str, secret: str) -> Shown:
    """Say how many there are, among `of` people where somebody would subtract."""
    if count < SMALL:
        return Shown(FEW)
    if of is not None and of - count < SMALL:
        return Shown(NEARLY_ALL)
    number = rounded(count + moved(digest, secret))
    return Shown(FEW) if number < SMALL else Shown(f"{number:,}", number)


def about(estimate: float, *, of: int, digest: str, secret: str) -> Shown:
    """Say about how many there are, found in a sample: two digits that mean something."""
    if estimate < SMALL:
        return Shown(FEW)
    if of - estimate < SMALL:
        return Shown(NEARLY_ALL)
    coarse = 10 ** max(1, len(str(int(estimate))) - 2)
    number = max(SMALL, round((estimate + moved(digest, secret)) / coarse) * coarse)
    return Shown(f"{number:,}", number)


def moved(digest: str, secret: str) -> int:
    """Return by how much the number of exactly these people is moved, always the same."""
    mac = hmac.new(secret.encode(), digest.encode(), hashlib.sha256).digest()
    return int.from_bytes(mac[:8], "big") % _MOVED - _MOVED // 2


def rounded(number: int) -> int:
    """Round to the nearest ten; a five goes up."""
    return (number + STEP // 2) // STEP * STEP


def share(part: Shown, whole: Shown) -> str:
    """Return the share that the numbers told have, such as `6.8 %`; nothing where one of them is not told."""
    if part.number is None or not whole.number:
        return ""
    return f"{min(100.0, 100 * part.number / whole.number):.1f} %"
