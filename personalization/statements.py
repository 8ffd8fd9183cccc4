"""Run a statement of our own that Django's queries cannot say. In: SQL and its values. Out: its rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection


def rows_of(statement: str, values: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
    """Return the rows of a statement, in the caller's transaction if there is one."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows: list[Any] = cursor.fetchall()
        return rows
