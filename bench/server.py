"""One granian worker on a core of its own; whoever measures stays on the other cores.

In: the name of a WSGI application. Out: the server, with its port and the processor time it has used; it ends with
the block.
"""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from launcher import embedded

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
SERVER_CORE = 0
PAGE = "/api/v1/pages/landing"


def cores() -> tuple[set[int], set[int]]:
    """Return the server's core and the others; the same for both where there is one core, or no way to choose."""
    if not hasattr(os, "sched_setaffinity"):
        return set(), set()
    every = sorted(os.sched_getaffinity(0))
    return {every[SERVER_CORE]}, set(every[1:]) or set(every)


def stay_on(chosen: set[int], process: int = 0) -> None:
    """Bind a process to cores."""
    if chosen:
        os.sched_setaffinity(process, chosen)


def move_services(var: Path, chosen: set[int]) -> None:
    """Let the embedded services leave the server's core to the server."""
    for ids in embedded.processes(var).values():
        stay_on(chosen, ids["server"])


@dataclass(frozen=True, slots=True)
class Server:
    """A server under way."""

    port: int
    process: int

    def cpu_seconds(self) -> float:
        """Return the processor time that the server and its worker have used; 0 where the system does not say."""
        try:
            children = Path(f"/proc/{self.process}/task/{self.process}/children").read_text().split()
            return sum(_cpu_seconds(process) for process in (self.process, *map(int, children)))
        except OSError:
            return 0.0


def _cpu_seconds(process: int) -> float:
    """Return user and system time (proc(5): fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(application: str, *, server_core: set[int], own_cores: set[int]) -> Iterator[Server]:
    """Serve the application for the block."""
    port = _free_port()
    stay_on(server_core)  # a child stays where its parent was when it began
    try:
        process = subprocess.Popen(_command(application, port), cwd=ROOT)
    finally:
        stay_on(own_cores)
    try:
        _wait(port, process)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait(15)


def _command(application: str, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", application, "--host", "127.0.0.1"),
        *("--port", str(port), "--workers", "1", "--blocking-threads", "4", "--log-level", "warning"),
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit("The server of the benchmark ended at once.")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", PAGE)
            connection.getresponse().read()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("The server of the benchmark does not answer.")
