"""Where a service's programs, data and sockets lie, and which account owns them.

In: the data directory and the service's name. Out: a `Place`. Rules:
- an ordinary user has everything in the data directory, and runs the installed programs as they are;
- root never runs a database: it drops to `nobody`, which needs programs and data that it can reach. They lie in
  the data directory when every directory above is open to it, else in a private one below /var/tmp, and the file
  `NAME.home` in the data directory points there;
- a socket path has at most 107 bytes (`sun_path` in unix(7)): a longer one moves to a short private directory,
  named by `NAME.sockets`.
"""

import os
import pwd
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import LauncherError

SOCKET_PATH_BYTES = 107
LONGEST_SOCKET_NAME = ".s.PGSQL.5432"
NOBODY_WITHOUT_ENTRY = 65534


@dataclass(frozen=True)
class Account:
    """The account that a server drops to."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Place:
    """The directories of one service; `account` is None when the server runs as whoever starts it."""

    home: Path
    sockets: Path
    account: Account | None

    @property
    def data(self) -> Path:
        """Where the server keeps its files."""
        return self.home / "data"

    def own(self, path: Path) -> None:
        """Give `path` to the server's account, closed to everybody else."""
        path.chmod(0o700)
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)

    def make_directory(self, path: Path) -> None:
        """Make a private directory of the server's account."""
        path.mkdir(parents=True, exist_ok=True)
        self.own(path)


def locate(var: Path, name: str) -> Place:
    """Find the place of a service, or choose and make it on the first call."""
    home = _pointed_home(var, name) or _chosen_home(var, name)
    account = _account(home)
    sockets = _sockets(var, name, home)
    place = Place(home=home, sockets=sockets, account=account)
    for directory in (home, place.data, sockets):
        place.make_directory(directory)
    return place


def remove(var: Path, name: str) -> None:
    """Delete data and sockets of a service that no longer runs, and the pointers to them."""
    for suffix in ("home", "sockets"):
        pointer = var / f"{name}.{suffix}"
        if pointer.exists():
            shutil.rmtree(pointer.read_text().strip(), ignore_errors=True)
            pointer.unlink()
    shutil.rmtree(var / name, ignore_errors=True)


def _pointed_home(var: Path, name: str) -> Path | None:
    pointer = var / f"{name}.home"
    if not pointer.exists():
        return None
    home = Path(pointer.read_text().strip())
    if not home.is_dir():
        raise LauncherError(
            f"The data of {name} was in {home}, which is gone. Delete {pointer} to begin with none."
        )
    return home


def _chosen_home(var: Path, name: str) -> Path:
    home = var / name
    if home.exists() or os.geteuid() != 0 or _open_to_all(var):
        return home
    elsewhere = Path(tempfile.mkdtemp(prefix=f"tessera-{name}-", dir=_lasting_directory()))
    (var / f"{name}.home").write_text(f"{elsewhere}\n")
    return elsewhere


def _account(home: Path) -> Account | None:
    owner = home.stat() if home.exists() else None
    if os.geteuid() != 0:
        if owner and owner.st_uid != os.geteuid():
            raise LauncherError(
                f"{home} belongs to another account (uid {owner.st_uid}): start as root, or set TESSERA_VAR."
            )
        return None
    if owner and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    return _nobody()


def _nobody() -> Account:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return Account(NOBODY_WITHOUT_ENTRY, NOBODY_WITHOUT_ENTRY)
    return Account(entry.pw_uid, entry.pw_gid)


def _sockets(var: Path, name: str, home: Path) -> Path:
    sockets = home / "run"
    if len(os.fsencode(sockets / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_BYTES:
        return sockets
    pointer = var / f"{name}.sockets"
    known = Path(pointer.read_text().strip()) if pointer.exists() else None
    if known and known.is_dir():
        return known
    short = Path(tempfile.mkdtemp(prefix="tessera-", dir="/tmp"))  # private (0700), and short on purpose
    pointer.write_text(f"{short}\n")
    return short


def _open_to_all(directory: Path) -> bool:
    resolved = directory.resolve()
    return all(parent.stat().st_mode & 0o001 for parent in (resolved, *resolved.parents))


def _lasting_directory() -> str:
    """Prefer /var/tmp, which outlives a restart of the machine."""
    lasting = "/var/tmp"  # noqa: S108 - only a private directory is made in it
    return lasting if os.path.isdir(lasting) else tempfile.gettempdir()
