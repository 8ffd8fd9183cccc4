"""A system that all fault tests share, mended after each; the ones that end it start their own."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.journal import Person, new_person
from tests.faults.system import ROOT, System, running

BUNDLE = ROOT / "bench" / "page-bundle.json"
# from the first count on, entering a segment is news
COUNT = (
    "import datetime as dt; from cms.models.site import current_site; from personalization.segments.refresh import refresh;"
    "refresh(current_site(), now=dt.datetime.now(dt.UTC))"
)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Start the shared system and publish the page that the tests read."""
    with running(make_var(tmp_path_factory)) as system:
        system.manage("load_bundle", str(BUNDLE), "--publish")
        system.manage("shell", "-v", "0", "-c", COUNT)
        yield system


def make_var(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("system")


@pytest.fixture(scope="session")
def key(shared: System) -> str:
    """Make a key that sends events, and is trusted."""
    return shared.manage("api_key", "create", "faults", "--scope", "ingest", "--scope", "manage")


@pytest.fixture
def system(shared: System) -> Iterator[System]:
    """Give the shared system, whole, and mend it afterwards."""
    shared.mend()
    yield shared
    shared.mend()


@pytest.fixture
def hiker(system: System, key: str) -> Person:
    """Give somebody who said yes and hikes, and whose page says so."""
    person = new_person(system, key)
    assert person.declare(sport="hiking", city="Bergen").status == 200
    return person


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Give a way to put a figure on the screen, whatever pytest captures."""

    def write(figure: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n    {figure}\n")

    return write
