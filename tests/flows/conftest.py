"""The shop is open in every use case; keys are made once per test."""

import pytest

from tests.flows.front import make_key
from tests.flows.shop import reopen_shop


@pytest.fixture
def shop(db: None) -> None:
    """Open the shop."""
    reopen_shop()


@pytest.fixture
def write_key(db: None) -> str:
    """Make a publishable key."""
    return make_key("ingest")


@pytest.fixture
def server_key(db: None) -> str:
    """Make a secret key that sends events."""
    return make_key("ingest", "manage")


@pytest.fixture
def preview_key(db: None) -> str:
    """Make a key that previews."""
    return make_key("preview")


@pytest.fixture
def deliver_key(db: None) -> str:
    """Make a key that states context."""
    return make_key("deliver")
