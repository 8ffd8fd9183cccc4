"""What has to be done before the first request: tables, static files, demo content.

Out: a list of named management commands. Static files are collected again only when they, or the packages that
bring their own, have changed since the last time.
"""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from launcher.supervise import Program

STAMP = "static.stamp"


def steps(root: Path, var: Path) -> list[Program]:
    """Return the commands to run, in order."""
    commands: list[tuple[str, ...]] = [("migrate", "--noinput", "--verbosity", "0")]
    if _stamp(var) != fingerprint(root):
        commands.append(("collectstatic", "--noinput", "--verbosity", "0"))
    commands.append(("rotate_keys", "--check"))  # without a key that is needed nothing starts
    commands.append(("load_demo", "--first-start"))
    return [Program(command[0], [sys.executable, "manage.py", *command]) for command in commands]


def remember_static(root: Path, var: Path) -> None:
    """Note what the collected static files were made of."""
    (var / STAMP).write_text(fingerprint(root))


def fingerprint(root: Path) -> str:
    """Digest everything that static files come from: names, sizes, times, and the pinned packages."""
    digest = hashlib.sha256()
    for line in _sources(root):
        digest.update(line.encode())
    return digest.hexdigest()


def _sources(root: Path) -> Iterator[str]:
    for name in ("requirements.txt", "config/settings.py"):
        path = root / name
        yield path.read_text() if path.exists() else ""
    for path in sorted(root.glob("*/static/**/*")):
        status = path.stat()
        yield f"{path.relative_to(root)} {status.st_size} {status.st_mtime_ns}\n"


def _stamp(var: Path) -> str:
    path = var / STAMP
    return path.read_text() if path.exists() and (var / "static").is_dir() else ""
