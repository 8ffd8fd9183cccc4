"""Many people and many orders: what is sent, what was acknowledged, and whether it counts exactly once."""

import random
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Any

from tests.faults.journal import Person
from tests.faults.system import System

SENDERS = 4
TRIES = 200
CLOCKS_AHEAD = 23.5  # hours; more than 24 is dropped as clock_skew
ORDERS = (
    "SELECT coalesce(sum(orders), 0)::int FROM personalization_profile WHERE subject_key = ANY(%s::uuid[])"
)
STORED = (
    "SELECT count(*)::int, count(DISTINCT message_id)::int FROM personalization_event"
    " WHERE subject_key = ANY(%s::uuid[]) AND name = 'Order Completed'"
)
LAG = "SELECT count(*)::int FROM personalization_touched WHERE subject_key = ANY(%s::uuid[])"


@dataclass(slots=True)
class Crowd:
    """People, and the orders that they send, some of them several times."""

    people: Sequence[Person]
    system: System
    key: str
    acknowledged: set[str] = field(default_factory=set)
    failures: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ids(self) -> list[str]:
        return [person.id for person in self.people]

    def orders(self, count: int) -> list[dict[str, Any]]:
        """Return so many orders, spread over the people, their clocks up to a day behind or ahead."""
        chance, now = random.Random(11), datetime.now(UTC)
        return [
            {
                "type": "track",
                "event": "Order Completed",
                "anonymousId": self.people[n % len(self.people)].id,
                "messageId": f"order-{n}-{uuid.uuid4().hex[:8]}",
                "timestamp": (now + timedelta(hours=chance.uniform(-24, CLOCKS_AHEAD))).isoformat(),
                "properties": {"revenue": 1},
            }
            for n in range(count)
        ]

    def send(self, messages: Sequence[dict[str, Any]], *, times: int = 1, batch: int = 50) -> None:
        """Send every message so many times, shuffled, in batches; what is not acknowledged is sent again."""
        copies = [message for message in messages for _ in range(times)]
        random.Random(7).shuffle(copies)
        waiting: SimpleQueue[list[dict[str, Any]]] = SimpleQueue()
        for begin in range(0, len(copies), batch):
            waiting.put(copies[begin : begin + batch])
        threads = [threading.Thread(target=self._drain, args=(waiting,)) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _drain(self, waiting: "SimpleQueue[list[dict[str, Any]]]") -> None:
        while True:
            try:
                batch = waiting.get_nowait()
            except Empty:
                return
            for _ in range(TRIES):
                answer = self.system.ask(
                    "POST", "/v1/batch", body={"batch": batch, "writeKey": self.key}, timeout=10
                )
                with self._lock:
                    if answer.status == 200:
                        self.acknowledged |= {message["messageId"] for message in batch}
                        break
                    self.failures += 1
                time.sleep(0.1)

    def counted(self) -> int:
        """Return how many orders their profiles count."""
        return int(self.system.rows(ORDERS, self.ids)[0][0])

    def stored(self) -> tuple[int, int]:
        """Return how many orders are stored, and how many different ones."""
        rows, different = self.system.rows(STORED, self.ids)[0]
        return int(rows), int(different)

    def lags(self) -> bool:
        """Say whether anything of theirs waits to be folded in."""
        return bool(self.system.rows(LAG, self.ids)[0][0])
