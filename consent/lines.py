"""Files of lines outside the database: each line is JSON, added at the end, and on the disk before the call returns.

What is in them survives a restore of the database. Nobody changes a line; a half-written last one, after a crash, is
left out when it is read.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line, and wait until the disk has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, orjson.dumps(dict(line)) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines, the oldest first."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield orjson.loads(line)
