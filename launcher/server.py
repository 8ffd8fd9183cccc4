"""What the keeper needs to know of a server, and how a program is started under the server's account."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, ClassVar, Protocol

from launcher.lifeline import tie
from launcher.place import Place

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C", "TZ": "UTC"}


class Server(Protocol):
    """A kind of service."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    @property
    def durable(self) -> bool:
        """Tell whether the data outlive the service."""

    def prepare(self, place: Place, log: IO[bytes]) -> None:
        """Make the data directory fit to start from: first start, or after a kill."""

    def command(self, place: Place) -> list[str]:
        """Return the command line of the server in the foreground."""

    def ready(self, place: Place) -> bool:
        """Tell whether the server answers."""

    def url(self, place: Place) -> str:
        """Return the address for `DATABASE_URL` or `REDIS_URL`."""


def start(
    command: Sequence[str],
    *,
    place: Place,
    log: IO[bytes],
    death_signal: signal.Signals,
    source: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program as the place's account, reading `source`; it gets `death_signal` when we die."""
    account = place.account
    return subprocess.Popen(
        command,
        cwd=place.home,
        env=ENVIRONMENT | {"HOME": str(place.home)},
        stdin=source or subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        umask=0o077,
        start_new_session=True,
        preexec_fn=tie(death_signal),  # the keeper has one thread
    )


def alive(process_id: int, program: Path) -> bool:
    """Tell whether `process_id` lives and runs `program`; without /proc, whether it lives at all."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, as another account
    link = Path(f"/proc/{process_id}/exe")
    if not Path("/proc/self/exe").exists():
        return True
    try:
        return link.resolve().name == program.name
    except OSError:
        return False
