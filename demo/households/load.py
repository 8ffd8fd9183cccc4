"""Send the households through the public API: the catalogue, a consent each, then who they are and what they bought.

In: the source, the journal, the API and its key. Out: everything acknowledged and noted. It may be ended at any
moment and run again: households that are done are skipped, and what was sent twice counts once.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import orjson

from demo.households.api import Api
from demo.households.journal import Journal
from demo.households.messages import category_of, identify, item_of, order
from demo.households.progress import Progress
from demo.households.source import POPULAR_HOUSEHOLDS, Basket, Household, Source

PURPOSES: Final = ("analytics", "personalization", "profiling")
ITEMS_AT_ONCE: Final = 1_000
MAX_BYTES: Final = 480_000  # a call carries at most 500 KB …
MAX_MESSAGES: Final = 2_500  # … and 2,500 messages
TYPE: Final = "product"

T = TypeVar("T")
R = TypeVar("R")
Started = Callable[[str, int, int], Progress]


@dataclass(frozen=True, slots=True)
class Loader:
    """What every step needs; `progress` starts a line from a title, a total and what is done already."""

    source: Source
    journal: Journal
    api: Api
    key: str
    progress: Started

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Api-Key {self.key}"}


@dataclass(slots=True)
class Call:
    """One call of the event API: its messages, and the households that are complete with it."""

    messages: list[bytes] = field(default_factory=list)
    complete: list[int] = field(default_factory=list)
    size: int = 0
    events: int = 0

    def fits(self, message: bytes) -> bool:
        return self.size + len(message) < MAX_BYTES and len(self.messages) < MAX_MESSAGES

    def add(self, message: bytes, *, events: int) -> None:
        self.messages.append(message)
        self.size += len(message) + 1
        self.events += events

    @property
    def body(self) -> bytes:
        return b'{"batch":[' + b",".join(self.messages) + b"]}"


def load_catalogue(loader: Loader, *, bought_by: int = POPULAR_HOUSEHOLDS) -> None:
    """Feed the products that at least so many households bought."""
    products = loader.source.products(bought_by=bought_by)
    line = loader.progress("Catalogue", len(products), 0)
    for some in _by(products, ITEMS_AT_ONCE):
        body = orjson.dumps({"items": [item_of(product) for product in some]})
        loader.api.call("POST", f"/api/v1/catalogue/{TYPE}", body, loader.authorization)
        line.add(len(some))
    line.end()


def _by(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]


def load_consent(loader: Loader, households: Sequence[Household]) -> None:
    """Let every household that has not yet done so allow the three purposes."""
    known = loader.journal.people()
    missing = [one.id for one in households if one.id not in known]
    notice = loader.api.call("GET", "/api/v1/consent")["notice"]["version"]
    body = orjson.dumps({"purposes": dict.fromkeys(PURPOSES, True), "notice": notice})
    line = loader.progress("Consent", len(households), len(households) - len(missing))

    def agree(household: int) -> tuple[int, dict[str, Any]]:
        return household, loader.api.call("PUT", "/api/v1/consent", body)

    for household, answer in in_order(agree, missing, threads=loader.api.threads):
        loader.journal.agreed(household, visitor=answer["visitor_id"], token=answer["token"])
        line.add(1)
    line.end()


def load_events(loader: Loader, households: Sequence[Household], *, shift_seconds: int) -> float:
    """Send who the households are and every basket; return how many events went out in a second."""
    people = loader.journal.people()
    done = [one.orders for one in households if people[one.id].sent]
    line = loader.progress("Events", sum(one.orders for one in households), sum(done))

    def send(call: Call) -> Call:
        answer = loader.api.call("POST", "/v1/batch", call.body, loader.authorization)
        refused = {k: n for k, n in answer["dropped"].items() if k != "duplicate"}
        if refused:
            raise Dropped(refused)
        return call

    calls = _calls(loader, {one.id: one for one in households}, shift_seconds)
    for call in in_order(send, calls, threads=loader.api.threads):
        loader.journal.sent(call.complete)
        line.add(call.events)
    return line.end()


class Dropped(Exception):
    """Events were not accepted; the reasons and their counts."""

    def __init__(self, reasons: dict[str, int]) -> None:
        super().__init__(", ".join(f"{count} × {reason}" for reason, count in sorted(reasons.items())))


def _calls(loader: Loader, households: dict[int, Household], shift_seconds: int) -> Iterator[Call]:
    """Yield full calls; a household is complete with the call that holds the last of its messages."""
    people = loader.journal.people()
    categories = {product.id: category_of(product) for product in loader.source.products()}
    call = Call()
    for household, baskets in loader.source.baskets(without={k for k, p in people.items() if p.sent}):
        visitor = people[household].visitor
        said = identify(households[household], visitor=visitor)
        for message, events in _messages(said, baskets, visitor, shift_seconds, categories):
            if not call.fits(message):
                yield call
                call = Call()
            call.add(message, events=events)
        call.complete.append(household)
    if call.messages:
        yield call


def _messages(
    said: dict[str, Any] | None,
    baskets: Iterable[Basket],
    visitor: str,
    shift_seconds: int,
    categories: dict[int, str],
) -> Iterator[tuple[bytes, int]]:
    """Yield each message with how many orders it is."""
    if said is not None:
        yield orjson.dumps(said), 0
    for basket in baskets:
        message = order(basket, visitor=visitor, shift_seconds=shift_seconds, categories=categories)
        yield orjson.dumps(message), 1


def in_order(call: Callable[[T], R], things: Iterable[T], *, threads: int) -> Iterator[R]:
    """Yield what the calls return, in the order of the things, with a few calls under way at once."""
    if threads < 2:
        yield from map(call, things)
        return
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for thing in things:
                waiting.append(pool.submit(call, thing))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
