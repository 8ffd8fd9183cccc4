"""Where a process dies on purpose, when the fault tests want it (setting `FAULT`): what is committed must not need more."""

import os
import signal

from django.conf import settings


def crash_at(point: str) -> None:
    """Die here, as by `kill -9`."""
    if point == settings.FAULT:
        os.kill(os.getpid(), signal.SIGKILL)
