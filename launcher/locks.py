"""Who uses a service and who keeps it, as advisory locks that the kernel drops when their holder dies.

Three files per service in the data directory, never deleted while in use:
`NAME.users` is held shared by every user, and exclusively by whoever stops the service;
`NAME.start` is held exclusively while one user starts a keeper;
`NAME.keeper` is held exclusively by the living keeper, and names the processes in JSON.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_SECONDS = 0.02


def open_lock(path: Path) -> int:
    """Open a lock file, making it if need be; the descriptor is not inherited by programs started later."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def take(descriptor: int, *, shared: bool = False) -> bool:
    """Lock without waiting; false when somebody else holds it."""
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take_within(descriptor: int, seconds: float, *, shared: bool = False) -> bool:
    """Lock, waiting at most `seconds`."""
    deadline = time.monotonic() + seconds
    while not take(descriptor, shared=shared):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold `path` exclusively for the block, waiting for it as long as it takes."""
    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def held(path: Path) -> bool:
    """Tell whether a living process holds `path` exclusively."""
    if not path.exists():
        return False
    descriptor = open_lock(path)
    try:
        return not take(descriptor, shared=True)
    finally:
        os.close(descriptor)


def wait_released(path: Path, seconds: float) -> bool:
    """Wait until nobody holds `path` exclusively."""
    deadline = time.monotonic() + seconds
    while held(path):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def write_processes(descriptor: int, processes: dict[str, int]) -> None:
    """Write the ids of the keeper and its server into the held keeper file."""
    text = (
        json.dumps(processes).encode().ljust(80)
    )  # of one length: a reader never sees half of an older text
    os.pwrite(descriptor, text, 0)


def read_processes(path: Path) -> dict[str, int]:
    """Return name → process id of a living keeper and its server; empty when no keeper lives."""
    if not held(path):
        return {}
    try:
        processes: dict[str, int] = json.loads(path.read_text() or "{}")
    except json.JSONDecodeError:  # read in the very moment of the first write
        return {}
    return processes
