"""Work that failed too often: kept with its cause, until somebody replays it.

Whoever does such work registers how it is begun anew. A letter names what it was about by an id, never a person.
"""

import datetime as dt
from collections.abc import Callable

from personalization.models import DeadLetter

Replay = Callable[[str, dt.datetime], bool]
_kinds: dict[str, Replay] = {}


def register_work(kind: str, replay: Replay) -> None:
    """Say how work of a kind is begun anew: `replay(reference, now)` returns whether there was anything left of it."""
    if _kinds.get(kind, replay) is not replay:
        raise ValueError(f"There are two ways to replay '{kind}'.")
    _kinds[kind] = replay


def bury(kind: str, reference: str, *, attempts: int, error: str, now: dt.datetime) -> None:
    """Keep what failed for good; what was replayed and failed again is the same letter."""
    DeadLetter.objects.update_or_create(
        kind=kind,
        reference=reference,
        defaults={"attempts": attempts, "error": error, "created_at": now, "replayed_at": None},
    )


def replay(letter: DeadLetter, *, now: dt.datetime) -> bool:
    """Begin the work anew; return False when nothing is left of it, such as after an erasure."""
    begin = _kinds.get(letter.kind)
    if begin is None or not begin(letter.reference, now):
        return False
    letter.replayed_at = now
    letter.save(update_fields=["replayed_at"])
    return True
