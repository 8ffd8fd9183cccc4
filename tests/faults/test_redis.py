"""Redis dies or hangs for a whole run: pages and events go on, and consent is still obeyed (R6, R23)."""

import time
from collections.abc import Callable

import pytest

from tests.faults.journal import Load, Person, headline, is_personalised, stored
from tests.faults.system import System

pytestmark = pytest.mark.faults
RUN_SECONDS = 8.0
MOST_MILLISECONDS = 100.0


def fail(system: System, fault: str) -> None:
    """Kill Redis for good, or stop it where it stands."""
    (system.down if fault == "killed" else system.freeze)("valkey")


@pytest.mark.parametrize("fault", ["killed", "stopped"])
def test_pages_and_events_go_on_without_redis(
    system: System, hiker: Person, fault: str, say: Callable[[str], None]
) -> None:
    with Load(hiker) as before:
        time.sleep(RUN_SECONDS / 2)
    with Load(hiker) as during:
        fail(system, fault)
        time.sleep(RUN_SECONDS)
        health, ready = system.ask("GET", "/healthz"), system.ask("GET", "/readyz")
        page = hiker.page()
    figures = f"p99 {before.p99():.0f} ms before, {during.p99():.0f} ms without Redis; pages {dict(during.pages)}, events {dict(during.events)}"
    say(f"{fault}: {figures}; /healthz {health.seconds * 1000:.0f} ms")
    assert before.failures() == during.failures() == 0, figures
    assert set(during.pages) == set(during.events) == {200}, figures
    assert during.p99() < max(MOST_MILLISECONDS, 3 * before.p99()), figures
    assert headline(page).startswith("hiker: Bergen")
    assert health.status == 200
    assert (ready.status, ready.json["degraded"]) == (200, ["redis"])
    assert stored(system, during) == during.acknowledged


@pytest.mark.parametrize("fault", ["killed", "stopped"])
def test_a_withdrawal_without_redis_holds_from_its_answer_on(
    system: System, hiker: Person, fault: str, say: Callable[[str], None]
) -> None:
    assert is_personalised(hiker.page())
    fail(system, fault)
    answer = hiker.decide(personalization=False, analytics=False)
    say(f"{fault}: the withdrawal was answered after {answer.seconds:.1f} s")
    assert (answer.status, answer.json["purposes"]["personalization"]) == (200, "withdrawn")
    assert answer.seconds < 15
    assert not any(is_personalised(hiker.page()) for _ in range(20))
    system.mend()
    assert not any(is_personalised(hiker.page()) for _ in range(20))
