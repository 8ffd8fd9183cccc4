"""The public API over HTTP, and a private server on loopback when none runs.

In: a method, a path, a body. Out: the answer. A refusal for being too fast (429) or too early (503) is repeated when
its `Retry-After` has passed, and a lost connection a few times; every call of the loader may be repeated.
"""

import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import orjson

from launcher.lifeline import tie

ATTEMPTS: Final = 8
TIMEOUT_SECONDS: Final = 60
START_SECONDS: Final = 60
STOP_SECONDS: Final = 20


class Refused(Exception):
    """The API did not do what was asked; the message is its own."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    retry_after_seconds: float = 0.0


class Api(Protocol):
    """The public API, however it is reached; `threads` is how many calls may be under way at once."""

    threads: int

    def call(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Any:
        """Return the body of a good answer; raises Refused for any other."""
        ...


class HttpApi:
    """The API at an address; each thread keeps a connection of its own."""

    def __init__(self, url: str, *, threads: int = 3) -> None:
        parts = urlsplit(url)
        self.threads = threads
        self._secure = parts.scheme == "https"
        self._address = parts.netloc
        self._own = threading.local()

    def call(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Any:
        """Return the body of a good answer, after as many attempts as it takes; raises Refused."""
        for attempt in range(ATTEMPTS):
            try:
                answer = self._ask(method, path, body, headers or {})
            except (OSError, http.client.HTTPException) as error:
                self.close()
                answer = Answer(
                    503, {"errors": [{"detail": f"no answer: {error}"}]}, min(8.0, 0.25 * 2**attempt)
                )
            if answer.status not in (429, 503):
                break
            time.sleep(answer.retry_after_seconds or 1.0)
        if answer.status >= 400:
            raise Refused(answer.status, _sentence(answer))
        return answer.body

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()
            self._own.connection = None

    def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        connection = getattr(self._own, "connection", None) or self._connect()
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        raw = response.read()
        json_body = orjson.loads(raw) if "json" in response.headers.get("Content-Type", "") else None
        return Answer(response.status, json_body, float(response.headers.get("Retry-After", 0)))

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        self._own.connection = kind(self._address, timeout=TIMEOUT_SECONDS)
        connection: http.client.HTTPConnection = self._own.connection
        return connection


def _sentence(answer: Answer) -> str:
    errors = answer.body.get("errors") if isinstance(answer.body, dict) else None
    return "; ".join(str(e.get("detail")) for e in errors) if errors else f"status {answer.status}"


def answers(url: str) -> bool:
    """Say whether a server of ours is alive at an address."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def serving(url: str) -> Iterator[str]:
    """Give the address of a server: the one that answers already, else a private one for the block."""
    if answers(url):
        yield url
        return
    with _free_port() as port:
        process = _start(port)
    try:
        _await(process, f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        _stop(process)


@contextmanager
def _free_port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    yield port


def _start(port: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "config.wsgi:application"]
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "2", "--blocking-threads", "2"]
    return subprocess.Popen(  # noqa: S603 - our own words
        [*command, *options, "--log-level", "warning"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=tie(signal.SIGTERM),  # it ends with us, however we end
    )


def _await(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Refused(503, "The private server did not start.")
        time.sleep(0.1)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
