"""Somebody else's server: takes webhooks, checks their signatures as its library does, and answers as it is told."""

import datetime as dt
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import time_machine
from standardwebhooks import Webhook


@dataclass
class Taken:
    """One message as it came in."""

    headers: Mapping[str, str]
    body: bytes
    at: float = 0.0  # Unix time

    @property
    def content(self) -> dict[str, Any]:
        read: dict[str, Any] = orjson.loads(self.body)
        return read

    @property
    def said(self) -> tuple[str, str]:
        return self.content["type"], self.content["data"]["segment"]

    def verify(self, secret: str) -> dict[str, Any]:
        """Check the signature with the receiver's own library, at the moment that the message names."""
        sent = dt.datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), dt.UTC)
        with time_machine.travel(sent, tick=False):
            verified: dict[str, Any] = Webhook(secret).verify(self.body, dict(self.headers))
        return verified


@dataclass
class Receiver:
    """Listens on loopback; `answers` are the statuses of the next answers, then 200."""

    answers: list[int] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)

    def __post_init__(self) -> None:
        mine = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {k.lower(): v for k, v in self.headers.items()}
                mine.taken.append(Taken(headers, body, time.time()))
                self.send_response(mine.answers.pop(0) if mine.answers else 200)
                self.end_headers()
                self.wfile.write(b"thank you")

            def log_message(self, *args: Any) -> None:
                """Say nothing on the test's terminal."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def said(self) -> list[tuple[str, str]]:
        return [one.said for one in self.taken]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
