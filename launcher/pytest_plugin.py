"""Give the test run services and a data directory of its own (`-p launcher.pytest_plugin`).

They have to answer before pytest-django reads the settings, which is earlier than any conftest.py; they end with the
run, also after Ctrl-C, and by themselves when the run is killed. Where `DATABASE_URL` or `REDIS_URL` is set, nothing
of that kind is started. A run that is divided among processes (`-n`) has services for each of them, and none for the
one that divides.
"""

import os
from collections.abc import Generator
from contextlib import ExitStack

import pytest

from launcher import scratch


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Start the services around everything else that is loaded early."""
    if _only_divides(early_config):
        return (yield)
    stack = ExitStack()
    early_config.add_cleanup(stack.close)
    os.environ.update(stack.enter_context(scratch.environment(os.environ)))
    return (yield)


def _only_divides(config: pytest.Config) -> bool:
    """Say whether this process hands the tests to others."""
    processes = getattr(config.known_args_namespace, "numprocesses", None)
    return bool(processes) and "PYTEST_XDIST_WORKER" not in os.environ
