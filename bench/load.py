"""Load over keep-alive connections, in one process and without a tool to install.

In: a port, a path, visitors' tokens, and for how long. Out: answers a second and the latencies. Each connection has
one request under way; each request is of the next visitor. An answer that is not 200 ends the benchmark.
"""

import itertools
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

CONNECTIONS = 8


@dataclass(slots=True)
class Connection:
    """One connection and its request under way."""

    socket: socket.socket
    began_at: float = 0.0
    missing: int = -1  # bytes of the answer that are still to come; -1 before its head was read
    head: bytes = b""


@dataclass(slots=True)
class Load:
    """What came back."""

    seconds: float
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Return a percentile of the latencies in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


def requests(path: str, tokens: Sequence[str]) -> list[bytes]:
    """Write one request per visitor."""
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
    return [f"{head}X-Visitor: {token}\r\n\r\n".encode() for token in tokens]


def run(port: int, wanted: Sequence[bytes], *, seconds: float, connections: int = CONNECTIONS) -> Load:
    """Ask for `seconds`, visitor after visitor."""
    load = Load(seconds)
    turns = itertools.cycle(wanted)
    with selectors.DefaultSelector() as selector:
        opened = [_open(port, selector) for _ in range(connections)]
        ends_at = time.perf_counter() + seconds
        for connection in opened:
            _ask(connection, turns)
        while time.perf_counter() < ends_at:
            for key, _ in selector.select(0.1):
                _read(key.data, load, turns)
        for connection in opened:
            connection.socket.close()
    return load


def _open(port: int, selector: selectors.BaseSelector) -> Connection:
    connection = Connection(socket.create_connection(("127.0.0.1", port), timeout=10))
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    selector.register(connection.socket, selectors.EVENT_READ, connection)
    return connection


def _ask(connection: Connection, turns: Iterator[bytes]) -> None:
    connection.missing, connection.head = -1, b""
    connection.began_at = time.perf_counter()
    connection.socket.sendall(next(turns))


def _read(connection: Connection, load: Load, turns: Iterator[bytes]) -> None:
    data = connection.socket.recv(262_144)
    if not data:
        raise SystemExit("The server closed a connection under load.")
    if connection.missing < 0:
        connection.head += data
        _read_head(connection)
    else:
        connection.missing -= len(data)
    if connection.missing == 0:
        load.latencies.append(time.perf_counter() - connection.began_at)
        _ask(connection, turns)


def _read_head(connection: Connection) -> None:
    head, end, rest = connection.head.partition(b"\r\n\r\n")
    if not end:
        return
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"An answer under load was {head[:40]!r}.")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    connection.missing = int(length) - len(rest)
