"""A data directory and services for a short while: made empty, fast instead of durable, gone afterwards.

In: the environment. Out: the same with `TESSERA_VAR`, `DATABASE_URL` and `REDIS_URL`; what it names already stays.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from launcher import embedded


@contextmanager
def environment(environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Give the variables to set for the block."""
    with tempfile.TemporaryDirectory(prefix="tessera-scratch-") as directory:
        var = Path(directory)
        with embedded.session(var, durable=False, environ=environ) as services:
            yield {"TESSERA_VAR": str(var), **services.environment()}
