"""Give the test run services and a data directory of its own (`-p launcher.pytest_plugin`).

They have to answer before pytest-django reads the settings, which is earlier than any conftest.py; they end with the
run, also after Ctrl-C, and by themselves when the run is killed. Where `DATABASE_URL` or `REDIS_URL` is set, nothing
of that kind is started.
"""

import os
from collections.abc import Generator
from contextlib import ExitStack

import pytest

from launcher import scratch


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Start the services around everything else that is loaded early."""
    stack = ExitStack()
    early_config.add_cleanup(stack.close)
    os.environ.update(stack.enter_context(scratch.environment(os.environ)))
    return (yield)
