"""Files of lines outside the database: each line is JSON, added at the end, and on the disk before the call returns.

What is in them survives a restore of the database. Nobody changes a line; one that a crash left half-written is ended by
the next, and left out when it is read.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson

_BLOCK = 1 << 16


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line, and wait until the disk has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        torn = (
            os.lseek(descriptor, 0, os.SEEK_END)
            and os.pread(descriptor, 1, os.fstat(descriptor).st_size - 1) != b"\n"
        )
        os.write(descriptor, (b"\n" if torn else b"") + orjson.dumps(dict(line)) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines, the oldest first."""
    if not path.exists():
        return
    with path.open("rb") as file:
        while (line := _next(file)) is not None:
            yield line


def last(path: Path) -> dict[str, Any] | None:
    """Return the last line that is whole, however long the file is; None where there is none."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        start = file.seek(0, os.SEEK_END)
        while start:
            start = max(0, start - _BLOCK)
            file.seek(start)
            if start:
                file.readline()  # the rest of a line that began before
            found = None
            while (line := _next(file)) is not None:
                found = line
            if found is not None:
                return found
    return None


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let nobody else who asks for the same be at the file during the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def rewrite(path: Path, kept: Iterable[Mapping[str, Any]]) -> None:
    """Put other lines in the place of all; a crash leaves the old ones or the new ones. Be `alone`."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    for line in kept:
        append(new, line)
    new.replace(path)


def since(path: Path, n: int) -> Iterator[dict[str, Any]]:
    """Yield the lines whose `n` is at least this, each once; the first is found by halving, however long the file is."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(_first_since(file, n))
        while (line := _next(file)) is not None:
            if line["n"] >= n:
                yield line
                n = line["n"] + 1


def _first_since(file: BinaryIO, n: int) -> int:
    """Return where the first line starts whose `n` is at least this; lines are written in the order of `n`."""
    low, high = 0, file.seek(0, os.SEEK_END)
    while low < high:
        middle = (low + high) // 2
        file.seek(max(middle - 1, 0))
        if middle:
            file.readline()  # to the end of the line that the middle fell into
        line = _next(file)
        if line is not None and line["n"] < n:
            low = file.tell()
        else:
            high = middle
    return low


def _next(file: BinaryIO) -> dict[str, Any] | None:
    """Return the next line that is whole, or None at the end."""
    for line in iter(file.readline, b""):
        try:
            read: dict[str, Any] = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        return read
    return None
