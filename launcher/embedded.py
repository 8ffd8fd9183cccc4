"""Embedded PostgreSQL and Valkey of a data directory: join them, leave them.

In: the data directory (`TESSERA_VAR`) and the environment. Out: their addresses. Rules:
- what the environment already names (`DATABASE_URL`, `REDIS_URL`) is used as it is, and not started;
- whoever comes first starts, everybody after that reuses, the last one out stops; a user that is killed counts as
  gone, because its lock dies with it;
- two processes that begin at once start one service.
"""

import atexit
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from launcher import locks, place
from launcher.errors import LauncherError
from launcher.keeper import KINDS, READY_SECONDS, STOP_SECONDS
from launcher.server import Server

VARIABLES = {"postgres": "DATABASE_URL", "valkey": "REDIS_URL"}
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Services:
    """Where PostgreSQL and Redis answer; `started` when this call started one of them."""

    database_url: str
    redis_url: str
    started: bool

    def environment(self) -> dict[str, str]:
        """Return the addresses as environment variables."""
        return {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url}


@dataclass(frozen=True)
class Hold:
    """One user's share in one service: an open descriptor with a shared lock."""

    server: Server
    var: Path
    users: int
    url: str
    started: bool


_kept: list[Hold] = []  # of ensure(): until the process ends


def ensure(var: Path, *, durable: bool = True, environ: Mapping[str, str] | None = None) -> Services:
    """Make sure that the services answer, and use them until this process ends."""
    services, holds = _join_all(var, durable, environ)
    if holds and not _kept:
        atexit.register(_leave_kept)
    _kept.extend(holds)
    return services


@contextmanager
def session(
    var: Path, *, durable: bool = True, environ: Mapping[str, str] | None = None
) -> Iterator[Services]:
    """Use the services for the block; they are stopped behind it when nobody else uses them."""
    services, holds = _join_all(var, durable, environ)
    try:
        yield services
    finally:
        _leave_all(holds)


def running(var: Path) -> bool:
    """Tell whether both services of the data directory are kept by a living keeper."""
    return all(locks.held(_lock(var.resolve(), name, "keeper")) for name in KINDS)


def processes(var: Path) -> dict[str, dict[str, int]]:
    """Return service → ids of its `keeper` and its `server`; a service that does not run is left out."""
    found = {name: locks.read_processes(_lock(var.resolve(), name, "keeper")) for name in KINDS}
    return {name: ids for name, ids in found.items() if ids}


def revive(var: Path, *, environ: Mapping[str, str] | None = None) -> None:
    """Start the keepers anew that died under a user who still holds a share."""
    for name in _wanted(os.environ if environ is None else environ):
        if not locks.held(_lock(var.resolve(), name, "keeper")):
            _ready(var.resolve(), KINDS[name]())


def stop(var: Path) -> None:
    """Stop the services of the data directory now, whoever uses them."""
    for name, ids in processes(var).items():
        os.kill(ids["keeper"], signal.SIGTERM)
        locks.wait_released(_lock(var.resolve(), name, "keeper"), STOP_SECONDS)


def _join_all(var: Path, durable: bool, environ: Mapping[str, str] | None) -> tuple[Services, list[Hold]]:
    given = os.environ if environ is None else environ
    urls = {name: given.get(variable, "") for name, variable in VARIABLES.items()}
    holds: list[Hold] = []
    try:
        for name in _wanted(given):
            holds.append(_join(var.resolve(), KINDS[name](durable=durable)))
    except PermissionError as error:
        _leave_all(holds)
        raise LauncherError(f"{error.filename} belongs to another account; set TESSERA_VAR.") from error
    except BaseException:
        _leave_all(holds)
        raise
    urls |= {hold.server.name: hold.url for hold in holds}
    started = any(hold.started for hold in holds)
    return Services(urls["postgres"], urls["valkey"], started), holds


def _wanted(environ: Mapping[str, str]) -> list[str]:
    """Return the services that the environment does not name."""
    return [name for name, variable in VARIABLES.items() if not environ.get(variable)]


def _join(var: Path, server: Server) -> Hold:
    """Take a share in a service, starting its keeper when none lives."""
    users = locks.open_lock(_lock(var, server.name, "users"))
    if not locks.take_within(users, STOP_SECONDS + 5, shared=True):  # held by one that is stopping
        os.close(users)
        raise LauncherError(f"{server.name} is being stopped and does not end; see {server.name}.log.")
    try:
        started = _ready(var, server)
        url = server.url(place.locate(var, server.name))
    except BaseException:
        os.close(users)
        raise
    return Hold(server, var, users, url, started)


def _ready(var: Path, server: Server) -> bool:
    """Wait until the service answers; true when its keeper was started here."""
    keeper = _lock(var, server.name, "keeper")
    started = False
    with locks.locked(_lock(var, server.name, "start")):
        deadline = time.monotonic() + READY_SECONDS
        while not (locks.held(keeper) and server.ready(place.locate(var, server.name))):
            if time.monotonic() > deadline:
                raise LauncherError(f"{server.name} does not answer; see {var / server.name}.log.")
            if not locks.held(keeper):
                _start_keeper(var, server)
                started = True
            time.sleep(locks.POLL_SECONDS)
    return started


def _start_keeper(var: Path, server: Server) -> None:
    """Start a keeper and wait for its first word."""
    reader, writer = os.pipe()
    kind = "durable" if server.durable else "volatile"
    command = [sys.executable, "-m", "launcher.keeper", server.name, str(var), kind, str(writer)]
    log = var / f"{server.name}.log"
    with os.fdopen(reader) as answer:
        try:
            _spawn(command, writer, log)
        finally:
            os.close(writer)
        word = answer.readline()
    if word.strip():
        raise LauncherError(f"{word.strip()} See {log}.")
    if not word and not locks.held(_lock(var, server.name, "keeper")):  # neither it nor another one lives
        raise LauncherError(f"The keeper of {server.name} ended at once. See {log}.")


def _spawn(command: list[str], writer: int, log: Path) -> None:
    with log.open("ab") as output:
        subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *_python_path()])},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[writer],
            start_new_session=True,
            check=True,
        )


def _python_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _leave_all(holds: list[Hold]) -> None:
    """Give up shares; ask the keepers of those that nobody else uses to end, and wait for them."""
    last = [hold for hold in holds if locks.take(hold.users)]
    for hold in last:
        ids = locks.read_processes(_lock(hold.var, hold.server.name, "keeper"))
        if ids:
            os.kill(ids["keeper"], signal.SIGTERM)
    for hold in last:
        locks.wait_released(_lock(hold.var, hold.server.name, "keeper"), STOP_SECONDS + 5)
    for hold in holds:
        os.close(hold.users)


def _leave_kept() -> None:
    _leave_all(_kept)
    _kept.clear()


def _lock(var: Path, name: str, kind: str) -> Path:
    return var / f"{name}.{kind}"
