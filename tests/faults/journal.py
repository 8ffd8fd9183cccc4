"""The client's side of the oracle: people who consent, send events and read pages, and a journal of every request.

An event is acknowledged (200), refused (any other status), or indeterminate (no answer). What is acknowledged must be
there; what is refused must not count; what is indeterminate may be either.
"""

import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.faults.system import Answer, System

LANDING = "/api/v1/pages/landing"
_numbers = itertools.count()


@dataclass(slots=True)
class Person:
    """A visitor who said yes."""

    id: str
    token: str
    system: System
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Visitor": self.token}

    def page(self) -> Answer:
        return self.system.ask("GET", LANDING, headers=self.headers)

    def declare(self, **traits: Any) -> Answer:
        """Say something of oneself through the event door."""
        message = {
            "anonymousId": self.id,
            "messageId": uuid.uuid4().hex,
            "traits": traits,
            "writeKey": self.key,
        }
        return self.system.ask("POST", "/v1/identify", body=message)

    def decide(self, **purposes: bool) -> Answer:
        return put_consent(self.system, purposes, self.headers)


def put_consent(system: System, purposes: dict[str, bool], headers: dict[str, str]) -> Answer:
    notice = system.ask("GET", "/api/v1/consent").json["notice"]["version"]
    return system.ask(
        "PUT", "/api/v1/consent", body={"purposes": purposes, "notice": notice}, headers=headers
    )


def new_person(system: System, key: str) -> Person:
    """Let somebody new say yes."""
    answer = put_consent(system, {"personalization": True, "analytics": True}, {})
    assert answer.status == 200, answer.body
    return Person(answer.json["visitor_id"], answer.json["token"], system, key)


def headline(answer: Answer) -> str:
    """Return the variant and the text of the page's headline, which names the visitor's town."""
    shown = answer.json["slots"]["headline"][0]
    return f"{shown['variant']}: {shown['fields']['text']}"


def is_personalised(answer: Answer) -> bool:
    return bool(answer.json["decision"]["purposes"]) or any(
        one["reason"] == "matched" for slot in answer.json["slots"].values() for one in slot
    )


@dataclass(slots=True)
class Journal:
    """Every request of a while: status → how often, and the latencies of those that were answered."""

    pages: Counter[int] = field(default_factory=Counter)
    events: Counter[int] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    page_seconds: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def p99(self) -> float:
        """Return the 99th percentile of the pages' latencies, in milliseconds."""
        ordered = sorted(self.page_seconds)
        return ordered[int(0.99 * (len(ordered) - 1))] * 1000

    def note_page(self, answer: Answer) -> None:
        self.pages[answer.status] += 1
        self.page_seconds.append(answer.seconds)
        self._note_broken(answer)

    def note_event(self, message_id: str, answer: Answer) -> None:
        self.events[answer.status] += 1
        if answer.status == 200:
            self.acknowledged.add(message_id)
        self._note_broken(answer)

    def _note_broken(self, answer: Answer) -> None:
        """Note an exchange that broke off; a connection that was never accepted is not one."""
        if answer.status == 0 and answer.body != b"ConnectionRefusedError":
            self.broken.append(answer.body.decode())

    def failures(self) -> int:
        """Count the answers of 500 and more."""
        return sum(n for counts in (self.pages, self.events) for status, n in counts.items() if status >= 500)


class Load:
    """Twenty pages and ten events a second or so, in the background, as long as the block lasts."""

    def __init__(self, person: Person, *, pause_seconds: float = 0.05) -> None:
        self.person, self.pause_seconds = person, pause_seconds
        self.journal = Journal()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(self._page, pause_seconds)),
            threading.Thread(target=self._repeat, args=(self._event, pause_seconds * 2)),
        ]

    def __enter__(self) -> Journal:
        for thread in self._threads:
            thread.start()
        return self.journal

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, once: Callable[[], None], pause: float) -> None:
        while not self._stop.is_set():
            once()
            time.sleep(pause)

    def _page(self) -> None:
        self.journal.note_page(self.person.page())

    def _event(self) -> None:
        name = f"fault-{next(_numbers)}-{uuid.uuid4().hex[:8]}"
        message = {
            "anonymousId": self.person.id, "messageId": name, "event": "Product Viewed",
            "properties": {"n": 1}, "writeKey": self.person.key,
        }  # fmt: skip
        self.journal.note_event(name, self.person.system.ask("POST", "/v1/track", body=message))


def stored(system: System, journal: Journal) -> set[str]:
    """Return which of the acknowledged events are in the database."""
    rows = system.rows(
        "SELECT message_id FROM personalization_event WHERE message_id = ANY(%s)",
        sorted(journal.acknowledged),
    )
    return {row[0] for row in rows}
