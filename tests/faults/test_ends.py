"""A process dies between commit and publish; the system is told to end under load (R16, R20)."""

import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import BUNDLE, make_var
from tests.faults.journal import Load, headline, new_person
from tests.faults.system import running, wait_until

pytestmark = pytest.mark.faults
SWEEP_SECONDS = 10.0
END_SECONDS = 30.0


def test_the_sweep_publishes_what_a_crash_after_the_commit_left_out(
    tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]
) -> None:
    var = make_var(tmp_path_factory)
    with running(var) as system:
        system.manage("load_bundle", str(BUNDLE), "--publish")
        key = system.manage("api_key", "create", "faults", "--scope", "ingest")
    with running(var, FAULT="after_commit") as system:
        person = new_person(system, key)
        assert headline(person.page()).startswith("default")
        answer = person.declare(sport="hiking", city="Bergen")
        crashed_at = time.monotonic()
        assert answer.status == 0, "the process died before it could answer"

        def followed() -> bool:
            page = person.page()  # who was connected to the process that died gets no answer
            assert page.status in (200, 0)
            return page.status == 200 and headline(page).startswith("hiker: Bergen")

        wait_until(followed, SWEEP_SECONDS)
        say(f"the page followed {time.monotonic() - crashed_at:.1f} s after the crash")
        lag = "SELECT count(*) FROM personalization_profile WHERE snapshot_version < version"
        wait_until(lambda: system.rows(lag) == [(0,)], SWEEP_SECONDS)


def test_told_to_end_under_load_it_finishes_what_it_began(
    tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]
) -> None:
    with running(make_var(tmp_path_factory)) as system:
        system.manage("load_bundle", str(BUNDLE), "--publish")
        person = new_person(system, system.manage("api_key", "create", "faults", "--scope", "ingest"))
        with Load(person, pause_seconds=0.01) as journal:
            time.sleep(2)
            started = time.monotonic()
            code = system.end()
            seconds = time.monotonic() - started
    say(
        f"ended after {seconds:.1f} s; pages {dict(journal.pages)}, events {dict(journal.events)}, {journal.broken}"
    )
    assert (code, journal.failures(), journal.broken) == (0, 0, [])
    assert seconds < END_SECONDS
    assert set(journal.pages) <= {200, 0}
