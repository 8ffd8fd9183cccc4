"""The warm page against finished bytes, and the page with gates against the same page with gates forced open."""

import http.client
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench import load, server, shop
from bench.rounds import Result, compare, summed_up
from bench.urls import finished_key
from consent.hot_store import hot_store

FINISHED = "/bench/finished"


def page_benchmarks(
    visitors: Sequence[uuid.UUID], *, rounds: int, seconds: float, cores: tuple[set[int], set[int]]
) -> list[Result]:
    """Measure pages on a shop that is already open, asked for by these visitors in turn."""
    server_core, own_cores = cores
    with (
        server.serving("config.wsgi:application", server_core=server_core, own_cores=own_cores) as real,
        server.serving("bench.gated:application", server_core=server_core, own_cores=own_cores) as forced,
    ):
        tokens = shop.tokens(visitors)
        finish(real.port, tokens, visitors)
        wanted = load.requests(server.PAGE, tokens)
        page = Source(real, wanted, seconds, lambda: shop.warm(visitors))
        finished = Source(real, load.requests(FINISHED, tokens), seconds)
        ungated = Source(forced, wanted, seconds)
        return [
            *_compare("page_warm", "finished page, one Redis GET", page, finished, rounds),
            *_compare("consent_gates", "the same page, gates forced open", page, ungated, rounds),
        ]


@dataclass(slots=True)
class Source:
    """One way to be answered; `per_cpu_second` are the rates of its rounds by the server's own clock."""

    server: server.Server
    wanted: Sequence[bytes]
    seconds: float
    prepare: Callable[[], None] = lambda: None
    per_cpu_second: list[float] = field(default_factory=list)

    def rate(self) -> float:
        """Measure one round; return answers a second."""
        self.prepare()
        before = self.server.cpu_seconds()
        done = load.run(self.server.port, self.wanted, seconds=self.seconds)
        if used := self.server.cpu_seconds() - before:
            self.per_cpu_second.append(len(done.latencies) / used)
        return done.rate


def _compare(name: str, baseline: str, measured: Source, against: Source, rounds: int) -> list[Result]:
    """Compare by the clock on the wall, and by the server's processor time, which other programs disturb less."""
    measured.per_cpu_second, against.per_cpu_second = [], []
    wall = compare(
        name=name,
        baseline=baseline,
        unit="requests/s",
        measured=measured.rate,
        against=against.rate,
        rounds=rounds,
    )
    if not measured.per_cpu_second:
        return [wall]
    pairs = list(zip(measured.per_cpu_second[-rounds:], against.per_cpu_second[-rounds:], strict=True))
    return [wall, summed_up(f"{name}_cpu", baseline, "requests/CPU s", pairs)]


def finish(port: int, tokens: Sequence[str], visitors: Sequence[uuid.UUID]) -> None:
    """Keep each visitor's page as the product answers it now, for the baseline to answer from."""
    shop.warm(visitors)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for token in tokens:
        connection.request("GET", server.PAGE, headers={"X-Visitor": token})
        response = connection.getresponse()
        content = response.read()
        if response.status != 200 or b'"purposes":["personalization"]' not in content:
            raise SystemExit(f"The page of the benchmark answered {response.status}: {content[:200]!r}")
        hot_store().put(finished_key(token), content, version=1, ttl_seconds=3600)
