"""The worker or the clock is away, dies, or comes twice: pages do not wait, and effects come once (R11, R12, R13, R15)."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psycopg
import pytest
import redis

from launcher import embedded
from tests.faults.conftest import BUNDLE, make_var
from tests.faults.crowd import Crowd
from tests.faults.journal import Person, headline, is_personalised, new_person
from tests.faults.system import NO_REDIS, ROOT, System, environ, running, wait_until

pytestmark = pytest.mark.faults
PEOPLE = 100
SOON_SECONDS = 15.0
AWAY_SECONDS = 60.0
WAITING = (
    "SELECT count(*)::int FROM consent_propagationjob WHERE state <> 'done' AND subject_key = ANY(%s::uuid[])"
)
HIKERS = (
    "SELECT count(*)::int FROM personalization_profile p JOIN personalization_segment s ON s.id = ANY(p.segments)"
    " WHERE s.key = 'hiker' AND p.subject_key = ANY(%s::uuid[])"
)
ENTERED = (
    "SELECT count(*)::int FROM personalization_segmentchange c JOIN personalization_segment s ON s.id = c.segment_id"
    " WHERE s.key = 'hiker' AND c.entered AND c.subject_key = ANY(%s::uuid[])"
)


def one(system: System, statement: str, *values: object) -> int:
    return int(system.rows(statement, *values)[0][0])


def is_for_hikers(person: Person) -> bool:
    return headline(person.page()).startswith("hiker: Bergen")


def test_pages_are_right_while_memberships_wait_for_the_worker(
    system: System, key: str, say: Callable[[str], None]
) -> None:
    people = [new_person(system, key) for _ in range(PEOPLE)]
    for process in (*system.workers(), *system.beats()):
        os.kill(process, signal.SIGSTOP)
    assert all(person.declare(sport="hiking", city="Bergen").status == 200 for person in people)
    assert all(is_for_hikers(person) for person in people)
    ids = [person.id for person in people]
    assert one(system, HIKERS, ids) == 0
    system.thaw()
    waited = wait_until(lambda: one(system, HIKERS, ids) == PEOPLE, SOON_SECONDS)
    say(f"{PEOPLE} memberships were right {waited:.1f} s after the worker was back")
    assert one(system, ENTERED, ids) == PEOPLE


def test_a_worker_that_is_killed_at_work_is_followed_and_counts_nothing_twice(
    system: System, key: str, say: Callable[[str], None]
) -> None:
    crowd = Crowd([new_person(system, key) for _ in range(60)], system, key)
    chance, waits = random.Random(5), []
    for _ in range(4):
        crowd.send(crowd.orders(1_500))
        time.sleep(chance.random() * 0.2)
        for process in system.workers():
            os.kill(process, signal.SIGKILL)
        waits.append(wait_until(lambda: not crowd.lags(), SOON_SECONDS))
    say(f"all was folded within {max(waits):.1f} s after each of {len(waits)} kills")
    assert crowd.counted() == len(crowd.acknowledged) == 6_000


def test_a_minute_without_celery_loses_nothing_and_withholds_at_once(
    system: System, key: str, say: Callable[[str], None]
) -> None:
    crowd = Crowd([new_person(system, key) for _ in range(60)], system, key)
    leaving = [new_person(system, key) for _ in range(50)]
    assert all(person.declare(sport="hiking", city="Bergen").status == 200 for person in leaving)
    assert all(is_personalised(person.page()) for person in leaving)
    for process in (*system.workers(), *system.beats()):
        os.kill(process, signal.SIGSTOP)
    began = time.monotonic()
    crowd.send(crowd.orders(3_000))
    for person in leaving:
        assert person.decide(personalization=False, analytics=False).status == 200
        assert not is_personalised(person.page())
    looked = 0
    while time.monotonic() - began < AWAY_SECONDS:
        assert not any(is_personalised(person.page()) for person in leaving)
        looked += len(leaving)
        time.sleep(1)
    ids = [person.id for person in leaving]
    assert one(system, WAITING, ids) > 0
    system.thaw()
    waited = wait_until(lambda: not crowd.lags() and one(system, WAITING, ids) == 0, 60)
    say(f"0 of {looked} pages personalised while Celery was away; drained {waited:.1f} s after it was back")
    assert crowd.counted() == 3_000
    assert (
        one(
            system,
            "SELECT count(*)::int FROM personalization_profile WHERE subject_key = ANY(%s::uuid[])",
            ids,
        )
        == 0
    )


def test_hints_that_are_lost_are_found_by_the_sweep(
    system: System, key: str, say: Callable[[str], None]
) -> None:
    crowd = Crowd([new_person(system, key) for _ in range(20)], system, key)
    for process in system.workers():
        os.kill(process, signal.SIGSTOP)
    crowd.send(crowd.orders(500))
    with embedded.session(system.var, environ={"DATABASE_URL": "not joined"}) as services:
        redis.Redis.from_url(
            services.redis_url + "&db=0" if "?" in services.redis_url else services.redis_url
        ).flushall()
    system.thaw()
    waited = wait_until(lambda: not crowd.lags(), 10)
    say(f"everything was folded {waited:.1f} s after all hints were lost")
    assert crowd.counted() == 500


def test_without_a_clock_hints_do_the_work_and_two_clocks_do_it_once(
    system: System, key: str, say: Callable[[str], None]
) -> None:
    for process in system.beats():
        os.kill(process, signal.SIGSTOP)
    people = [new_person(system, key) for _ in range(30)]
    ids = [person.id for person in people]
    assert all(person.declare(sport="hiking", city="Bergen").status == 200 for person in people)
    waited = wait_until(lambda: one(system, HIKERS, ids) == 30, 10)
    system.thaw()
    command = [
        sys.executable,
        "-m",
        "celery",
        "--quiet",
        "-A",
        "config",
        "beat",
        "--schedule",
        str(system.var / "second"),
        "--pidfile=",
    ]
    with embedded.session(system.var, environ={}) as services:
        second = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environ(system.var, DATABASE_URL=services.database_url, REDIS_URL=services.redis_url),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            crowd = Crowd(people, system, key)
            for _ in range(5):
                crowd.send(crowd.orders(400))
                time.sleep(2)
            wait_until(lambda: not crowd.lags(), SOON_SECONDS)
        finally:
            second.terminate()
            second.wait(20)
    say(f"without a clock: right after {waited:.1f} s; with two clocks: 2000 orders counted once")
    assert crowd.counted() == 2_000
    assert one(system, ENTERED, ids) == 30


def test_poison_holds_up_nobody_and_can_be_begun_again(
    tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]
) -> None:
    var = make_var(tmp_path_factory)
    with running(var, FAULT="poison:Poison") as system:
        system.manage("load_bundle", str(BUNDLE), "--publish")
        key = system.manage("api_key", "create", "faults", "--scope", "ingest")
        poisoned = new_person(system, key)
        bad = {"event": "Poison", "anonymousId": poisoned.id, "messageId": "bad", "writeKey": key}
        assert system.ask("POST", "/v1/track", body=bad).status == 200
        crowd = Crowd([new_person(system, key) for _ in range(20)], system, key)
        crowd.send(crowd.orders(1_000))
        waited = wait_until(lambda: not crowd.lags(), SOON_SECONDS)
        assert crowd.counted() == 1_000
        assert poisoned.page().status == 200
        letters = "SELECT count(*)::int FROM personalization_deadletter"

        def hurried() -> bool:
            with (
                embedded.session(var, environ=NO_REDIS) as services,
                psycopg.connect(services.database_url, autocommit=True) as connection,
            ):
                connection.execute("UPDATE personalization_touched SET next_at = now() WHERE attempts < 8")
            return one(system, letters) == 1

        wait_until(hurried, 90)
        cause = system.rows("SELECT error FROM personalization_deadletter")[0][0]
    say(f"the others were folded {waited:.1f} s after the last order; the letter says: {cause}")
    with running(var) as system:
        replay = (
            "from django.utils import timezone; from personalization.models import DeadLetter;"
            "from personalization.dead_letters import replay; print(replay(DeadLetter.objects.get(), now=timezone.now()))"
        )
        assert system.manage("shell", "-v", "0", "-c", replay) == "True"
        lag = "SELECT count(*)::int FROM personalization_touched"
        wait_until(lambda: one(system, lag) == 0, SOON_SECONDS)
