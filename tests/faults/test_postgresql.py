"""PostgreSQL dies: warm pages go on, events are refused and not lost, and health says which (R2, R23)."""

import time
from collections.abc import Callable

import pytest

from tests.faults.journal import Load, Person, headline, is_personalised, new_person, stored
from tests.faults.system import System, wait_until

pytestmark = pytest.mark.faults
GATES_SECONDS = 10.0
RECOVERED_SECONDS = 10.0
NEWCOMERS = 20


def warm(person: Person) -> None:
    """Let every web process see the page."""
    for _ in range(20):
        assert headline(person.page()).startswith("hiker: Bergen")


def test_warm_pages_go_on_without_postgresql_and_events_are_refused_not_lost(
    system: System, key: str, hiker: Person, say: Callable[[str], None]
) -> None:
    warm(hiker)
    with Load(hiker) as journal:
        time.sleep(1)
        system.down("postgres")
        time.sleep(4)
        health, ready = system.ask("GET", "/healthz"), system.ask("GET", "/readyz")
        refused = [system.ask("GET", path) for path in ("/api/v1/consent", "/privacy/")]
        system.thaw()
        gap = wait_until(lambda: system.ask("GET", "/readyz").status == 200, 60)
        recovered = wait_until(lambda: hiker.declare(city="Oslo").status == 200, RECOVERED_SECONDS)
    newcomers = [
        new_person(system, key) for _ in range(NEWCOMERS)
    ]  # every web process, none with a dead connection
    say(
        f"pages {dict(journal.pages)}, p99 {journal.p99():.0f} ms; events {dict(journal.events)}; "
        f"ready {gap:.1f} s after the keeper ran again, events {recovered:.1f} s later; /healthz {health.seconds * 1000:.0f} ms"
    )
    assert set(journal.pages) == {200}
    assert set(journal.events) == {200, 503}
    assert stored(system, journal) == journal.acknowledged
    assert [(answer.status, answer.retry_after) for answer in refused] == [(503, "2")] * 2
    assert len(newcomers) == NEWCOMERS
    assert health.status == 200
    assert (ready.status, ready.json["degraded"]) == (503, ["postgresql"])


def test_no_page_is_personalised_once_consent_can_no_longer_be_read(system: System, hiker: Person) -> None:
    warm(hiker)
    system.down("postgres")
    time.sleep(GATES_SECONDS + 1)
    answers = [hiker.page() for _ in range(10)]
    assert {answer.status for answer in answers} == {200}
    assert not any(is_personalised(answer) for answer in answers)
