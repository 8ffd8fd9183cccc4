"""Tie a child process to the life of its parent.

On Linux the kernel signals the child when the parent dies, even by `kill -9`; elsewhere nothing happens.
The tie belongs to the thread that starts the child: start children from the main thread.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h

# Loaded before any fork: between fork and exec a child must not load libraries.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def tie(death_signal: signal.Signals) -> Callable[[], None]:
    """Return a `preexec_fn` that has the kernel send `death_signal` when the present process dies."""
    parent = os.getpid()

    def apply() -> None:
        if _LIBC is None:
            return
        _LIBC.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before the tie held
            os._exit(1)

    return apply
