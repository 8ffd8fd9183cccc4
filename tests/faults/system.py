"""One running system: everything that `make run` starts, in a data directory and on a port of its own.

Rules: services are stopped by their process ids alone; a service that is kept down has its keeper frozen, because the
keeper would start it again. `mend` thaws everything and waits until nothing is degraded.
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psycopg

from launcher import embedded

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180.0
MEND_SECONDS = 60.0
OWN_SERVICES = ("DATABASE_URL", "REDIS_URL")  # those of the test run, which the system must not share

NO_REDIS = {
    "REDIS_URL": "not joined"
}  # who asks the database does not wait for a Redis that a test has killed


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 when nothing did, with the error's name as its body."""

    status: int
    body: bytes
    seconds: float
    retry_after: str | None = None

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass(slots=True)
class System:
    """A system under way."""

    var: Path
    port: int
    process: "subprocess.Popen[bytes]"

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30,
    ) -> Answer:
        """Send one request on a connection of its own."""
        started = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        spelled = {"Content-Type": "application/json", "Connection": "close", **(headers or {})}
        try:
            connection.request(method, path, None if body is None else orjson.dumps(body), spelled)
            response = connection.getresponse()
            took = time.perf_counter() - started
            return Answer(response.status, response.read(), took, response.headers["Retry-After"])
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, type(error).__name__.encode(), time.perf_counter() - started)
        finally:
            connection.close()

    def manage(self, *arguments: str) -> str:
        """Run a management command in the system's data directory; return its last line."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=environ(self.var), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return (done.stdout.strip().splitlines() or [""])[-1]

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the system's database."""
        with (
            embedded.session(self.var, environ=NO_REDIS) as services,
            psycopg.connect(services.database_url) as connection,
        ):
            return connection.execute(statement, values).fetchall()

    def down(self, service: str) -> None:
        """Kill a service with `kill -9` and keep it down."""
        ids = embedded.processes(self.var)[service]
        os.kill(ids["keeper"], signal.SIGSTOP)
        os.kill(ids["server"], signal.SIGKILL)

    def freeze(self, service: str) -> None:
        """Stop a service where it stands: it accepts, and answers nothing."""
        os.kill(embedded.processes(self.var)[service]["server"], signal.SIGSTOP)

    def thaw(self) -> None:
        """Let everything run again."""
        for ids in embedded.processes(self.var).values():
            for process in ids.values():
                send(process, signal.SIGCONT)
        for process in (*self.workers(), *self.beats()):
            send(process, signal.SIGCONT)

    def workers(self) -> list[int]:
        """Return the ids of the Celery workers' processes."""
        return self._celery(b"worker")

    def beats(self) -> list[int]:
        """Return the ids of the processes that send what is due by the clock."""
        return self._celery(b"beat")

    def _celery(self, kind: bytes) -> list[int]:
        return [pid for pid in descendants(self.process.pid) if kind in command_line(pid).split(b"\0")]

    def web_workers(self) -> list[int]:
        """Return the ids of the processes that answer requests, without the one that starts them."""
        web = [pid for pid in descendants(self.process.pid) if b"granian" in command_line(pid).split(b"\0")]
        return [pid for pid in web if parent(pid) in web]

    def mend(self) -> None:
        """Undo every fault, and wait until nothing is degraded."""
        self.thaw()
        wait_until(
            lambda: self.ask("GET", "/readyz", timeout=5).body.endswith(b'"degraded": []}'), MEND_SECONDS
        )

    def doors(self) -> int:
        """Return how many processes accept requests now: each web worker listens by itself (Linux)."""
        mine = f":{self.port:04X}"
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return sum(line.split()[1].endswith(mine) and line.split()[3] == "0A" for line in lines)

    def end(self) -> int:
        """Send SIGTERM and wait; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def environ(var: Path, **more: str) -> dict[str, str]:
    """Return the environment of a system that has services of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in OWN_SERVICES}
    return {**kept, "TESSERA_VAR": str(var), **more}


def python(var: Path, arguments: list[str], **more: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in the environment of a system; return how that ended."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environ(var, **more),
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def running(var: Path, **more: str) -> Iterator[System]:
    """Run a system for the block; `more` is added to its environment."""
    port = free_port()
    with (var / "system.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "launcher", "run"],
            cwd=ROOT,
            env=environ(var, PORT=str(port), **more),
            stdout=log,
            stderr=log,
        )
    system = System(var, port, process)
    try:
        wait_until(lambda: system.ask("GET", "/readyz", timeout=5).status == 200, START_SECONDS)
        yield system
    finally:
        system.thaw()
        if process.poll() is None:
            system.end()


def wait_until(true: Callable[[], bool], seconds: float) -> float:
    """Wait until something is true; return how long that took. Fails when it takes longer than `seconds`."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds, f"not true within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - started


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def send(process: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return


def parent(process: int) -> int:
    """Return the parent of a process (Linux); 0 when it has ended."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def command_line(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def descendants(process: int) -> list[int]:
    """Return the children of a process, theirs, and so on (Linux)."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return children + [one for child in children for one in descendants(child)]
