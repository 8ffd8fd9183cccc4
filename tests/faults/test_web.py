"""The web process is killed ten times while ten thousand orders are sent three times each (R1, R14)."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable

import pytest

from tests.faults.crowd import Crowd
from tests.faults.journal import Load, Person, new_person
from tests.faults.system import System, wait_until

pytestmark = pytest.mark.faults
ORDERS = 10_000
KILLS = 10


def test_every_acknowledged_order_counts_exactly_once(
    system: System, key: str, hiker: Person, say: Callable[[str], None]
) -> None:
    crowd = Crowd([new_person(system, key) for _ in range(40)], system, key)
    orders = crowd.orders(ORDERS)
    killed = []
    done = threading.Event()

    def kill() -> None:
        """Kill the one that has lived longest, and give the next its time to start (granian: six seconds)."""
        chance = random.Random(3)
        while not done.wait(6 + chance.random()):
            if len(killed) < KILLS and system.doors() > 1:  # one goes on answering
                killed.append(min(system.web_workers()))
                os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    started = time.monotonic()
    killer.start()
    with Load(hiker) as journal:
        crowd.send(orders, times=3)
        while len(killed) < KILLS:  # what was sent before is sent once more until all were killed
            crowd.send(orders[:500], times=1)
    done.set()
    killer.join()
    took = time.monotonic() - started
    assert len(crowd.acknowledged) == ORDERS
    assert crowd.stored() == (ORDERS, ORDERS)
    waited = wait_until(lambda: not crowd.lags(), 60)
    assert crowd.counted() == ORDERS
    broken = sum(journal.pages[status] for status in journal.pages if status != 200)
    say(
        f"{ORDERS} orders, three times each, {len(killed)} kills, {took:.0f} s: all stored and counted once;"
        f" {crowd.failures} calls failed and were sent again; pages {dict(journal.pages)}; folded {waited:.1f} s later"
    )
    assert journal.failures() == 0
    assert broken <= 3 * KILLS


def test_a_late_withdrawal_is_resolved_by_the_servers_order(system: System, key: str) -> None:
    person = new_person(system, key)
    person.decide(personalization=False, analytics=False)
    person.decide(personalization=True, analytics=True)
    late = {
        "event": "Order Completed",
        "anonymousId": person.id,
        "writeKey": key,
        "timestamp": "2026-01-01T00:00:00Z",
    }
    assert system.ask("POST", "/v1/track", body=late | {"messageId": "late-1"}).json["accepted"] == 1
    person.decide(personalization=False, analytics=False)
    early = {**late, "messageId": "late-2", "timestamp": "2026-01-01T00:00:00Z"}
    assert system.ask("POST", "/v1/track", body=early).json["dropped"] == {"no_consent": 1}
