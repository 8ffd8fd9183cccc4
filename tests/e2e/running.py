"""The product as a person starts it: `python -m launcher run`, on a port and a data directory of its own.

In: an empty directory. Out: a `System`, once "Tessera is running." was said; everything it started is gone afterwards.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0
END_SECONDS = 40.0


@dataclass(frozen=True)
class Login:
    """Who may enter the admin."""

    user: str
    password: str


@dataclass(frozen=True)
class System:
    """A running product; `other_origin` is a free address from which it accepts first decisions."""

    address: str
    other_origin: str
    var: Path

    def login(self, user: str) -> Login:
        """Read a demo login as an operator would."""
        logins = json.loads((self.var / "demo-logins.json").read_text())["logins"]
        return next(Login(user, one["password"]) for one in logins if one["user"] == user)

    def manage(self, *arguments: str) -> str:
        """Run one management command against the running services; return what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        environ = _environment(self.var)
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
        return done.stdout


@contextlib.contextmanager
def running(var: Path) -> Iterator[System]:
    """Start everything, and end it with SIGTERM; what is then still running is an error."""
    port, other = free_port(), free_port()
    system = System(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{other}", var)
    environ = _environment(var) | {"PORT": str(port), "SITE_ORIGINS": system.other_origin}
    log = var / "run.log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "launcher", "run"]
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=output)
        try:
            _wait_until_running(process, log)
            yield system
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(END_SECONDS)
    assert code == 0, log.read_text()[-4000:]
    assert _left_running(var) == []


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(var: Path) -> dict[str, str]:
    """Leave out what the test run has set for itself: this system has services of its own."""
    own = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
    return {key: value for key, value in os.environ.items() if key not in own} | {"TESSERA_VAR": str(var)}


def _wait_until_running(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while "Tessera is running." not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The product did not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.2)


def _left_running(var: Path) -> list[str]:
    """Name the processes whose command line or environment still knows the data directory."""
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended while we looked
            command = (process / "cmdline").read_bytes()
            known = str(var).encode() in command + (process / "environ").read_bytes()
            if known and int(process.name) != os.getpid():
                left.append(command.replace(b"\0", b" ").decode())
    return left
