"""What was sent already: the loader's key, the moment that ends the year, and who each household became.

One SQLite file in the data directory, readable by its owner alone, because it holds visitors' tokens. It is written
after each acknowledgement, so that a run that was killed repeats at most what was under way; the events among that
are known by their message ids and count once.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TABLES = """
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS visitors (
  household INTEGER PRIMARY KEY, visitor TEXT NOT NULL, token TEXT NOT NULL, sent INTEGER NOT NULL DEFAULT 0
);
"""


@dataclass(frozen=True, slots=True)
class Person:
    """Who a household became, and whether all its baskets were acknowledged."""

    visitor: str
    token: str
    sent: bool


class Journal:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._file = sqlite3.connect(path)
        self._file.executescript(_TABLES)

    def close(self) -> None:
        self._file.close()

    def note(self, name: str) -> str | None:
        """Return what was noted under a name."""
        row = self._file.execute("SELECT value FROM notes WHERE name = ?", [name]).fetchone()
        return None if row is None else str(row[0])

    def write_note(self, name: str, value: str) -> None:
        with self._file:
            self._file.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", [name, value])

    def people(self) -> dict[int, Person]:
        """Return household → who it became."""
        rows = self._file.execute("SELECT household, visitor, token, sent FROM visitors")
        return {household: Person(visitor, token, bool(sent)) for household, visitor, token, sent in rows}

    def agreed(self, household: int, *, visitor: str, token: str) -> None:
        """Note that a household consented."""
        with self._file:
            self._file.execute("INSERT INTO visitors VALUES (?, ?, ?, 0)", [household, visitor, token])

    def sent(self, households: Iterable[int]) -> None:
        """Note that every basket of these households was acknowledged."""
        with self._file:
            self._file.executemany(
                "UPDATE visitors SET sent = 1 WHERE household = ?", [(one,) for one in households]
            )

    def forget(self) -> None:
        """Begin anew, for another database."""
        with self._file:
            self._file.execute("DELETE FROM notes")
            self._file.execute("DELETE FROM visitors")
