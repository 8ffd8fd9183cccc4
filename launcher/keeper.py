"""The keeper of one service: a small process that starts it, restarts it, and stops it when nobody uses it.

    python -m launcher.keeper NAME VAR durable|volatile READY_DESCRIPTOR

It belongs to no user, so that the first one may leave before the last. It writes one line to the descriptor when
the service answers (empty) or cannot be started (the reason). Rules: one keeper per service and data directory; a
dead server is restarted after 0.5, 1, 2 … 30 s; with SIGTERM, or within a second of its last user, it stops the
server and ends; a volatile service leaves nothing behind. If the keeper itself is killed, its server ends too.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from launcher import locks, place
from launcher.backoff import Backoff
from launcher.errors import LauncherError
from launcher.postgres import Postgres
from launcher.server import Server, start
from launcher.valkey import Valkey

KINDS: dict[str, type[Postgres] | type[Valkey]] = {Postgres.name: Postgres, Valkey.name: Valkey}
READY_SECONDS = 60.0
TRY_SECONDS = 5.0
RETRY_SECONDS = 0.5
POLL_SECONDS = 0.02
STOP_SECONDS = 30.0
TICK_SECONDS = 0.1
USERS_EVERY_SECONDS = 0.5
LOG_BYTES = 5_000_000


@dataclass
class Keeper:
    """One service under way."""

    server: Server
    place: place.Place
    log: IO[bytes]
    lock: int  # held: `NAME.keeper`
    users: int  # `NAME.users`, taken when the last user is gone
    process: subprocess.Popen[bytes] | None = None
    ending: bool = False
    backoff: Backoff = field(default_factory=Backoff)

    def begin(self) -> None:
        """Start the server and wait until it answers.

        A server that was killed leaves children for a moment, and PostgreSQL does not start beside them: a start
        that fails is tried again for a few seconds.
        """
        began_at = time.monotonic()
        self._start()
        while not self.server.ready(self.place):
            waited = time.monotonic() - began_at
            if waited > (TRY_SECONDS if self._dead() else READY_SECONDS):
                raise LauncherError(f"{self.server.name} did not start.")
            time.sleep(POLL_SECONDS)
            if self._dead():
                time.sleep(RETRY_SECONDS)
                self._start()

    def keep(self) -> None:
        """Keep the server alive until it is no longer wanted."""
        asked_at = time.monotonic()
        while not self.ending:
            time.sleep(TICK_SECONDS)
            if self._dead():
                self._restart()
            if time.monotonic() - asked_at > USERS_EVERY_SECONDS:
                asked_at = time.monotonic()
                self.ending = self.ending or locks.take(self.users)

    def end(self) -> None:
        """Stop the server: politely, then not."""
        process = self.process
        if process is None or process.poll() is not None:
            return
        process.send_signal(self.server.stop_signal)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> None:
        self.server.prepare(self.place, self.log)
        command = self.server.command(self.place)
        self.process = start(command, place=self.place, log=self.log, death_signal=self.server.stop_signal)
        locks.write_processes(self.lock, {"keeper": os.getpid(), "server": self.process.pid})
        self.backoff.started(time.monotonic())

    def _dead(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def _restart(self) -> None:
        """Restart a dead server when its pause is over."""
        if not self.backoff.due(time.monotonic()):
            return
        try:
            self._start()
        except (LauncherError, OSError) as error:
            self.log.write(f"{self.server.name}: {error}\n".encode())
            self.process = None


def main(arguments: list[str]) -> int:
    """Run as a process of its own, detached from whoever started it."""
    name, var, kind, ready = arguments
    if os.fork():  # the starter waits for this one; the keeper belongs to nobody
        return 0
    os.chdir("/")
    return _run(Path(var), KINDS[name](durable=kind == "durable"), int(ready))


def _run(var: Path, server: Server, ready: int) -> int:
    lock = locks.open_lock(var / f"{server.name}.keeper")
    if not locks.take_within(lock, 1):
        os.close(ready)  # another keeper lives: the starter will see it
        return 0
    try:
        return _keep(var, server, ready, lock)
    except (LauncherError, OSError) as error:
        _say(ready, str(error))
        return 1


def _keep(var: Path, server: Server, ready: int, lock: int) -> int:
    users = locks.open_lock(var / f"{server.name}.users")
    with _log(var / f"{server.name}.log") as log:
        keeper = Keeper(server, place.locate(var, server.name), log, lock, users)
        signal.signal(signal.SIGTERM, _ending(keeper))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            keeper.begin()
            _say(ready, "")
            keeper.keep()
        finally:
            keeper.end()
            if not server.durable:
                place.remove(var, server.name)
    return 0


def _ending(keeper: Keeper) -> Callable[[int, FrameType | None], None]:
    def end(number: int, frame: FrameType | None) -> None:
        keeper.ending = True

    return end


def _say(descriptor: int, line: str) -> None:
    """Answer the starter, if it still listens."""
    with os.fdopen(descriptor, "w") as file:
        try:
            file.write(f"{line}\n")
            file.flush()
        except BrokenPipeError:
            return


def _log(path: Path) -> IO[bytes]:
    """Open the log for appending; a long one is put aside first."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab", buffering=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
