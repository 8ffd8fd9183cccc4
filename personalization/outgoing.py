"""Send one request outside: to an address that was checked, within its time, and never where an answer points to.

In: a URL, a body, headers. Out: an `Answer`, or `Unreachable` with a sentence. The name is resolved once, every address
it stands for is checked, and the connection goes to the checked address, under the right name for Host and TLS: there
is no second look-up that could answer differently. Redirects are answers like any other. Nothing of the environment
(no proxy variable, no .netrc) is read.
"""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from personalization.addresses import Policy, Target, checked, target_of

CONNECT_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 3.0  # for all of the answer, however slowly it drips
ANSWER_BYTES: Final = 1024 * 1024
SHOWN_CHARACTERS: Final = 300

Resolver = Callable[[str, int], Iterable[str]]


class Unreachable(Exception):
    """No answer: `sentence` says why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, the beginning of the text, and what `Retry-After` asks for in seconds."""

    status: int
    text: str
    seconds: float
    retry_after: int | None = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses that a name stands for, as this machine's resolver says."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable("The host's name is not known.") from None
    return [str(one[4][0]) for one in found]


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    policy: Policy,
    resolver: Resolver = resolve,
    trust: ssl.SSLContext | None = None,
) -> Answer:
    """Post a body; raises Refused before anything is connected, and Unreachable when no answer came."""
    target = target_of(url, policy=policy)
    addresses = checked(resolver(target.host, target.port), policy=policy)
    try:
        with closing(_connect(target, addresses, trust)) as line:
            return _ask(line, target, body, headers)
    except TimeoutError:
        raise Unreachable("No answer within three seconds.") from None
    except ssl.SSLError as error:
        raise Unreachable(f"No secure connection: {_reason(error)}.") from None
    except http.client.HTTPException as error:
        raise Unreachable(f"The answer is not HTTP ({type(error).__name__}).") from None
    except OSError as error:
        raise Unreachable(f"No connection: {error.strerror or type(error).__name__}.") from None


def _connect(target: Target, addresses: list[str], trust: ssl.SSLContext | None) -> socket.socket:
    """Connect to the first of the checked addresses that takes the call."""
    deadline = time.monotonic() + CONNECT_SECONDS
    failed: OSError = OSError("no address")
    for address in addresses:
        try:
            plain = socket.create_connection((address, target.port), _left(deadline))
        except OSError as error:
            failed = error
            continue
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _secured(plain, target, trust, deadline) if target.secure else plain
    raise failed


def _secured(
    plain: socket.socket, target: Target, trust: ssl.SSLContext | None, deadline: float
) -> socket.socket:
    """Speak TLS with whoever proves to have the name that was asked for."""
    try:
        plain.settimeout(_left(deadline))
        return (trust or _trust()).wrap_socket(plain, server_hostname=target.host.rstrip("."))
    except BaseException:
        plain.close()
        raise


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _ask(line: socket.socket, target: Target, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send the request over a connection that stands, and read the answer."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(target.host, target.port)
    if target.secure:
        connection.default_port = 443  # so that Host names a port only where it is unusual
    connection.sock = _Timed(line, began + ANSWER_SECONDS)  # all of a socket that it calls
    connection.request("POST", target.path, body, {**headers, "Connection": "close"})
    response = connection.getresponse()
    return Answer(response.status, _text(response), time.monotonic() - began, _retry_after(response))


class _Timed:
    """A socket that gives up at one moment, not after each silence; as much of one as `http.client` uses."""

    def __init__(self, line: socket.socket, deadline: float) -> None:
        self.line, self.deadline = line, deadline

    def sendall(self, data: Any) -> None:
        self.line.settimeout(_left(self.deadline))
        self.line.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self))

    def close(self) -> None:
        """Leave the closing to who connected: the answer is still being read."""


class _Incoming(io.RawIOBase):
    def __init__(self, timed: _Timed) -> None:
        self.timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.timed.line.settimeout(_left(self.timed.deadline))
        return self.timed.line.recv_into(buffer)


def _text(response: http.client.HTTPResponse) -> str:
    """Return the beginning of the answer; it is only shown, so one that breaks off or is endless will do."""
    try:
        read = response.read(ANSWER_BYTES)
    except (OSError, http.client.HTTPException):
        return ""
    return read[: 4 * SHOWN_CHARACTERS].decode("utf-8", "replace")[:SHOWN_CHARACTERS]


def _retry_after(response: http.client.HTTPResponse) -> int | None:
    asked = response.headers.get("Retry-After", "")
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 8 else None


def _reason(error: ssl.SSLError) -> str:
    message = getattr(error, "verify_message", "") or error.reason or type(error).__name__
    return str(message).replace("_", " ").lower().rstrip(".")
