"""A withdrawal in the middle of much work: updates that race it, and a long queue in front of it (E2 and E8 of privacy)."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.conftest import BUNDLE, make_var
from tests.faults.crowd import Crowd
from tests.faults.journal import new_person
from tests.faults.kept import AFTER, WATCH, WRITTEN, execute, kept, one
from tests.faults.system import System, running, wait_until

pytestmark = pytest.mark.faults
UPDATES = 1_000
QUEUED = 100_000
LEAVING = 100
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


def test_a_withdrawal_that_races_a_thousand_updates_is_followed_by_none(
    system: System, key: str, say: Callable[[str], None]
) -> None:
    execute(system, WATCH)
    person = new_person(system, key)
    answered: list[float] = []

    def update(number: int) -> int:
        if number == UPDATES // 2:  # half of them are under way or done, half are still to come
            answer = person.decide(personalization=False, analytics=False)
            answered.append(time.time())
            return answer.status
        return person.declare(city=f"Town {number}").status

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(update, range(UPDATES + 1)))
    wait_until(lambda: kept(system, [person.id]) == 0, 60)
    written = one(system, WRITTEN, [person.id])
    later = one(system, AFTER, [person.id], answered)
    say(f"{UPDATES} updates race a withdrawal: {written} rows written before its answer, {later} after it")
    assert set(statuses) == {200}  # what may not be kept is accepted and dropped, with a reason
    assert written > 0
    assert later == 0


def test_a_withdrawal_does_not_wait_behind_a_hundred_thousand_events(
    tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]
) -> None:
    with running(make_var(tmp_path_factory)) as system:  # its own: what is queued takes minutes
        system.manage("load_bundle", str(BUNDLE), "--publish")
        key = system.manage("api_key", "create", "faults", "--scope", "ingest", "--scope", "manage")
        people = [new_person(system, key) for _ in range(500)]
        crowd = Crowd(people, system, key)
        crowd.send(crowd.orders(len(people)))
        wait_until(lambda: not crowd.lags(), 60)
        for process in system.workers():  # while they hold nothing
            os.kill(process, signal.SIGSTOP)
        crowd.send(crowd.orders(QUEUED), batch=250)
        assert crowd.stored()[0] == QUEUED + len(people)
        leaving = people[:LEAVING]
        for person in leaving:
            assert person.decide(personalization=False, analytics=False).status == 200
        for process in system.workers():
            os.kill(process, signal.SIGCONT)
        began = time.monotonic()
        left, gone = {person.id for person in leaving}, list[float]()

        def gone_now() -> bool:
            for who in [who for who in left if kept(system, [who]) == 0]:
                left.discard(who)
                gone.append(time.monotonic() - began)
            return not left

        wait_until(gone_now, 120)
        still = crowd.lags()
        drained = wait_until(lambda: not crowd.lags(), 600)
        audit = system.manage("consent_audit", "--only", "purpose")
        deadlocks = system.rows(DEADLOCKS)
    worst = sorted(gone)[int(0.99 * (len(gone) - 1))]
    say(
        f"{LEAVING} withdrawals behind {QUEUED:,} queued events: everything gone p50 {sorted(gone)[len(gone) // 2]:.1f} s,"
        f" p99 {worst:.1f} s, {'with events still queued' if still else 'the queue was empty by then'}; drained {drained:.1f} s later"
    )
    assert worst <= 60
    assert still  # the hundred did not wait for a hundred thousand
    assert audit.startswith("Nothing found")
    assert deadlocks == [(0,)]  # folding and erasing lock in one order
