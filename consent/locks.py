"""One run at a time over all processes: advisory locks of PostgreSQL, which end with the connection that holds them.

In: one or two numbers that name what is done. Out: whether this is the only run of it; who gets False does nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import connection

SEGMENTS: Final = 0x7E55E7A  # with the number of a site
COPIES: Final = 0x7E55E7B
FLAGS: Final = 0x7E55E7C


@contextmanager
def alone(what: int, which: int = 0) -> Iterator[bool]:
    """Say whether nobody else does this now, and keep others from it until the block ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [what, which])
        mine = bool(cursor.fetchone()[0])
        try:
            yield mine
        finally:
            if mine:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [what, which])
