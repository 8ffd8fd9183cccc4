"""Where a process dies or fails on purpose, when the fault tests want it (setting `FAULT`).

`FAULT=after_commit` kills the process right after events are committed; `FAULT=poison:NAME` makes folding fail over
every event of that name. What is promised must hold all the same.
"""

import os
import signal
from collections.abc import Iterable

from django.conf import settings

from cms.language.behaviour.events import Happened


class Poisoned(RuntimeError):
    """The failure that the fault tests asked for."""


def crash_at(point: str) -> None:
    """Die here, as by `kill -9`; what is committed must not depend on more."""
    if point == settings.FAULT:
        os.kill(os.getpid(), signal.SIGKILL)


def fail_over(events: Iterable[Happened]) -> None:
    """Raise over an event that is poison."""
    kind, _, name = settings.FAULT.partition(":")
    if kind == "poison" and any(event.name == name for event in events):
        raise Poisoned
