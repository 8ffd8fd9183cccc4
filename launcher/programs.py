"""Find the servers' binaries in their installed packages, and copy them where another account can reach them.

The packages are never imported: their own start-up code is not ours. A copy keeps the relative layout, because the
binaries find their libraries relative to themselves (RPATH), and carries the version in its name, so that an
upgrade of the package is copied anew.
"""

import importlib.metadata
import importlib.util
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from launcher.errors import LauncherError
from launcher.place import Place


def installed(package: str) -> Path:
    """Return the directory of an installed package without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LauncherError(f"{package} is not installed: run `make run`, or set DATABASE_URL and REDIS_URL.")
    return Path(spec.submodule_search_locations[0])


def reachable(place: Place, *, package: str, parts: Sequence[str]) -> Path:
    """Return the directory that holds `parts` (paths beside the package), where the place's account can run them.

    As an ordinary user that is the installation itself; as root a copy in the place.
    """
    source = installed(package).parent
    if place.account is None:
        return source
    target = place.home / f"programs-{importlib.metadata.version(package)}"
    if not target.exists():
        _copy(source, target, parts)
    return target


def _copy(source: Path, target: Path, parts: Sequence[str]) -> None:
    """Copy into a draft first, so that a copy cut short is never taken for a whole one."""
    draft = target.with_name(f"{target.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    for part in parts:
        _copy_part(source / part, draft / part)
    for path in (draft, *draft.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    draft.rename(target)


def _copy_part(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)
