"""How soon a change shows: on the next page, in the tables, at a webhook, and when time alone causes it.

Against a whole system of its own (web, worker, clock), over HTTP. The next page is asked for right after an event was
acknowledged, with the worker running, behind, and dead; its baseline is the same page asked for once more. Tables and
webhooks are watched while two hundred events a second come in.
"""

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.rounds import Result, summed_up
from launcher import embedded
from tests.faults.journal import LANDING, Person, new_person
from tests.faults.system import NO_REDIS, ROOT, Answer, System, running
from tests.flows.receiver import Receiver

BUNDLE = ROOT / "bench" / "page-bundle.json"
RATE = 200
BATCH = 20  # what Segment's libraries gather before they send
QUIET_SECONDS = 5
TURN = 3.0  # seconds until the same person changes again
# who was told of nothing for five seconds: left by time alone
QUIET = '{"$did": {"event": "Product Viewed", "within": "PT5S"}}'
# a page that shows which side somebody's last turn was on: it is right only where the last event was folded in
TURNS = {
    "tessera": 1,
    "templates": [{"key": "turns", "title": "Turns", "slots": [{"key": "side"}], "source": ""}],
    "segments": [
        {
            "key": "odd",
            "title": "Odd",
            "min_size": 0,
            "rule": {"$did": {"event": "Turned", "last": {"of": "properties.side", "$eq": "odd"}}},
        }
    ],
    "blocks": [
        {"key": f"turns-{side}", "type": "bench-headline", "fields": {"text": side, "level": 1}}
        for side in ("odd", "even")
    ],
    "pages": [
        {
            "path": "/turns",
            "template": "turns",
            "title": {"en": "Turns"},
            "slots": {
                "side": [
                    {
                        "placement": "turns-side",
                        "variants": [
                            {"key": "odd", "when": {"segments": {"$in": ["odd"]}}, "block": "turns-odd"},
                            {"key": "even", "default": True, "block": "turns-even"},
                        ],
                    }
                ]
            },
        }
    ],
}
_CHANGES = (
    "SELECT c.id, c.subject_key::text, c.entered, extract(epoch FROM clock_timestamp()) FROM personalization_segmentchange c"
    " JOIN personalization_segment s ON s.id = c.segment_id WHERE s.key = %s AND c.id > %s AND c.id <> ALL(%s) ORDER BY c.id"
)


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds, in order."""

    seconds: Sequence[float]

    def at(self, share: float) -> float:
        return self.seconds[min(len(self.seconds) - 1, int(share * len(self.seconds)))]

    def __str__(self) -> str:
        return f"median {self.at(0.5):.2f} s, p95 {self.at(0.95):.2f} s, most {self.seconds[-1]:.2f} s, of {len(self.seconds)}"


def freshness_benchmarks(*, pages: int, seconds: float) -> tuple[list[Result], list[str]]:
    """Measure; return the lines of the table, and sentences for the screen. Exits when one page was not right."""
    with contextlib.ExitStack() as stack:
        var = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        var.chmod(0o755)
        receiver = Receiver()
        stack.callback(receiver.close)
        system = stack.enter_context(running(var, WEBHOOK_ALLOW_PRIVATE="1"))
        turns = var / "turns.json"
        turns.write_text(json.dumps(TURNS))
        for bundle in (BUNDLE, turns):
            system.manage("load_bundle", str(bundle), "--publish")
        system.manage("shell", "-v", "0", "-c", _prepared(receiver.url))
        key = system.manage("api_key", "create", "bench", "--scope", "ingest", "--scope", "manage")
        people = [new_person(system, key) for _ in range(40)]
        results, said = _next_pages(system, people, pages)
        said.append(_tables(system, people, receiver, seconds))
        said.append(_by_time(system, people))
    return results, said


def _prepared(url: str) -> str:
    """Return what makes a quiet segment, counts everything once, and tells an endpoint."""
    return (
        "import datetime as dt; from cms.models.site import current_site; from personalization.models import *;"
        "from personalization.segments.directory import rebuild; from personalization.segments.refresh import refresh;"
        "from personalization.endpoints import new_secret; site = current_site();"
        f"Segment.objects.create(site=site, key='busy', title='Busy', rule={QUIET}, min_size=0);"
        f"e = WebhookEndpoint(site=site, title='bench', url='{url}', purpose='personalization'); new_secret(e); e.save();"
        "e.segments.set(Segment.objects.filter(key='hiker'));"
        "rebuild(site); refresh(site, now=dt.datetime.now(dt.UTC))"
    )


def _next_pages(system: System, people: Sequence[Person], pages: int) -> tuple[list[Result], list[str]]:
    results, said = [], []
    for state, begin in (("running", _nothing), ("behind", _freeze), ("dead", _kill)):
        with begin(system):
            right, asked = _ask_after_each(people, pages // 3 + (pages % 3 if state == "dead" else 0))
        pairs = [(1 / first, 1 / again) for first, again, _ in asked]
        results.append(summed_up(f"next_page_{state}", "the same page once more", "requests/s", pairs))
        extra = _extra((first, again) for first, again, _ in asked)
        noise = _extra((again, third) for _, again, third in asked)
        said.append(
            f"worker {state}: {right} of {len(asked)} next pages reflect the event; its extra {extra},"
            f" where a page asked for again has {noise}"
        )
        print(said[-1], file=sys.stderr, flush=True)
        if right != len(asked):
            raise SystemExit(said[-1])
    return results, said


def _ask_after_each(people: Sequence[Person], pages: int) -> tuple[int, list[tuple[float, float, float]]]:
    """Return how many pages were right, and the seconds of each, of the same page again, and once more."""
    right, asked = 0, []
    for n in range(pages):
        person, turn = people[n % len(people)], n // len(people)
        path, expected = (_says if turn % 2 else _turns)(person, turn // 2)
        pages_of_one = [person.system.ask("GET", path, headers=person.headers) for _ in range(3)]
        right += expected in pages_of_one[0].body.decode()
        first, again, third = (page.seconds for page in pages_of_one)
        asked.append((first, again, third))
    return right, asked


def _says(person: Person, turn: int) -> tuple[str, str]:
    """Let somebody say where they live; return the page that names it, and what it must hold."""
    town = f"Town {turn} of {uuid.uuid4().hex}"
    _accepted(lambda: person.declare(sport="hiking", city=town))
    return LANDING, town


def _turns(person: Person, turn: int) -> tuple[str, str]:
    """Let somebody do something; return the page that rests on it, and what it must hold."""
    side = ("odd", "even")[turn % 2]
    message = {
        "event": "Turned", "properties": {"side": side}, "anonymousId": person.id,
        "messageId": uuid.uuid4().hex, "writeKey": person.key,
    }  # fmt: skip
    _accepted(lambda: person.system.ask("POST", "/v1/track", body=message))
    return "/api/v1/pages/turns", f'"text":"{side}"'


def _extra(pairs: Iterable[tuple[float, float]]) -> str:
    """Say by how much the first of two took longer."""
    extra = Delays(sorted(max(0.0, first - second) for first, second in pairs))
    return f"median {extra.at(0.5) * 1000:.1f}, p95 {extra.at(0.95) * 1000:.1f} ms"


def _accepted(send: Callable[[], Answer]) -> None:
    """Send what is to be reflected until it is acknowledged, as an SDK does."""
    for tries in range(5):
        answer = send()
        if answer.status == 200:
            return
        time.sleep(0.2 * 2**tries)
    raise SystemExit(f"An event of the benchmark was not accepted: {answer.status} {answer.body!r}.")


@contextlib.contextmanager
def _nothing(system: System) -> Iterator[None]:
    yield


@contextlib.contextmanager
def _freeze(system: System) -> Iterator[None]:
    for process in (*system.workers(), *system.beats()):
        os.kill(process, signal.SIGSTOP)
    yield
    system.mend()


@contextlib.contextmanager
def _kill(system: System) -> Iterator[None]:
    """Kill whatever works, again and again, so that nothing comes to work."""
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(0.2):
            for process in system.workers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    yield
    stop.set()
    thread.join()
    system.mend()


class _Watch(threading.Thread):
    """Looks twenty times a second which changes of a segment can be seen: (person, entered) → when first."""

    def __init__(self, system: System, segment: str) -> None:
        super().__init__(daemon=True)
        self.seen: dict[tuple[str, bool], list[float]] = {}
        self._system, self._segment, self._ended = system, segment, threading.Event()

    def run(self) -> None:
        with (
            embedded.session(self._system.var, environ=NO_REDIS) as services,
            psycopg.connect(services.database_url, autocommit=True) as connection,
        ):
            first = connection.execute(
                "SELECT coalesce(max(id), 0) FROM personalization_segmentchange"
            ).fetchone()[0]  # type: ignore[index]
            known: list[
                int
            ] = []  # numbers are not seen in their order: who commits later may have taken a lower one
            while not self._ended.wait(0.05):
                for number, subject, entered, at in connection.execute(
                    _CHANGES, [self._segment, first, known]
                ).fetchall():
                    known.append(number)
                    self.seen.setdefault((subject, entered), []).append(float(at))

    def end(self) -> None:
        self._ended.set()
        self.join()


def _tables(system: System, people: Sequence[Person], receiver: Receiver, seconds: float) -> str:
    """Let people become hikers and stop, while events come in; say how soon that shows."""
    for person in people:
        person.declare(sport="none")
    _wait_for_worker(system)
    receiver.taken.clear()
    watch = _Watch(system, "hiker")
    watch.start()
    stop = threading.Event()
    noise = [threading.Thread(target=_noise, args=(people[20:], stop, RATE / 2)) for _ in range(2)]
    for thread in noise:
        thread.start()
    sent: dict[tuple[str, bool], list[float]] = {}
    until, n = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        person, hikes = people[n % 20], (n // 20) % 2 == 0
        assert person.declare(sport="hiking" if hikes else "none").status == 200
        sent.setdefault((person.id, hikes), []).append(time.time())
        n += 1
        time.sleep(TURN / 20)
    stop.set()
    for thread in noise:
        thread.join()
    time.sleep(4)
    watch.end()
    told = {}
    for one in receiver.taken:
        content = one.content
        told.setdefault((content["data"]["visitor_id"], content["type"] == "segment.entered"), []).append(
            one.at
        )
    return f"at {RATE} events a second: tables {_delays(sent, watch.seen)}; webhooks {_delays(sent, told)}"


def _wait_for_worker(system: System) -> None:
    """Wait until everything that happened is in the tables: a worker that was killed may take a while to be back."""
    with (
        embedded.session(system.var, environ=NO_REDIS) as services,
        psycopg.connect(services.database_url, autocommit=True) as connection,
    ):
        for _ in range(240):
            time.sleep(0.25)
            if connection.execute("SELECT NOT EXISTS (SELECT FROM personalization_touched)").fetchone() == (
                True,
            ):
                return
    raise SystemExit("The worker did not catch up within a minute.")


def _noise(people: Sequence[Person], stop: threading.Event, rate: float) -> None:
    """Send so many events a second, a batch at a time as the libraries for servers do."""
    n, began = 0, time.monotonic()
    while not stop.is_set():
        batch = [
            {
                "type": "track",
                "event": "Product Viewed",
                "anonymousId": people[(n + k) % len(people)].id,
                "messageId": uuid.uuid4().hex,
            }
            for k in range(BATCH)
        ]
        people[0].system.ask("POST", "/v1/batch", body={"batch": batch, "writeKey": people[0].key})
        n += BATCH
        time.sleep(max(0.0, began + n / rate - time.monotonic()))


def _delays(sent: dict[tuple[str, bool], list[float]], seen: dict[tuple[str, bool], list[float]]) -> str:
    """Say how soon changes showed; one that the next overtook counts as late as that."""
    found, overtaken = [], 0
    for key, moments in sent.items():
        arrived = sorted(seen.get(key, ()))
        for moment in moments:
            after = next((at for at in arrived if moment - 0.05 <= at < moment + 2 * TURN), None)
            overtaken += after is None
            found.append(max(0.0, after - moment) if after is not None else 2 * TURN)
    return f"{Delays(sorted(found))}, {overtaken} overtaken by the next"


def _by_time(system: System, people: Sequence[Person]) -> str:
    """Let everybody do something once; say how long after its five seconds each is seen to have left."""
    time.sleep(QUIET_SECONDS + 3)
    watch = _Watch(system, "busy")
    watch.start()
    moments = {}
    for person in people:
        moment = time.time()
        message = {
            "event": "Product Viewed", "anonymousId": person.id, "messageId": uuid.uuid4().hex, "writeKey": person.key,
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z",
        }  # fmt: skip
        assert person.system.ask("POST", "/v1/track", body=message).status == 200
        moments[person.id] = moment + QUIET_SECONDS
        time.sleep(0.1)
    time.sleep(QUIET_SECONDS + 4)
    watch.end()
    delays = Delays(sorted(watch.seen[(who, False)][-1] - moment for who, moment in moments.items()))
    return f"caused by time alone, with nothing else happening: {delays}"
