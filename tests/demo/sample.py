"""A few real households as a source of their own, and the API as the whole application answers it."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from demo.households import export
from demo.households.api import Refused
from demo.households.source import Source
from tests.flows.front import Front

SAMPLE = Path(__file__).with_name("households.json")


def sample(folder: Path) -> Source:
    """Write the sample as the export writes the whole data set."""
    path = folder / "households.sqlite"
    with closing(sqlite3.connect(path)) as file:
        for table, rows in json.loads(SAMPLE.read_text()).items():
            file.execute(f"CREATE TABLE {table} ({getattr(export, table.upper())})")
            file.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(rows[0]))})", rows)
        file.commit()
    return Source(path)


class FrontApi:
    """The API without a socket; each call is a client of its own, as cookies are none of the loader's business."""

    threads = 1

    def __init__(self, *, calls: int | None = None) -> None:
        self.calls = calls
        self.made: list[str] = []

    def call(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Any:
        """Answer as the server would; after `calls` calls the connection is gone."""
        if self.calls is not None and len(self.made) >= self.calls:
            raise ConnectionError
        self.made.append(f"{method} {path}")
        answer = Front().generic(method, path, body, "application/json", headers=dict(headers or {}))
        if answer.status_code >= 400:
            raise Refused(answer.status_code, answer.content.decode())
        return orjson.loads(answer.content)
