"""The loader waits when it is told to, tries again when a connection is lost, and says what it was refused."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from demo.households.api import HttpApi, Refused, answers

Server = tuple[HttpApi, list[tuple[int, str]]]


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that gives the answers of a list, one after the other; status 0 hangs up without any."""
    script: list[tuple[int, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = script.pop(0)
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if status == 429:
                self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        api = HttpApi(f"http://127.0.0.1:{running.server_address[1]}")
        yield api, script
        api.close()
        running.shutdown()
        thread.join()


def test_a_good_answer_is_its_body(server: Server) -> None:
    api, script = server
    script.append((200, '{"accepted": 3}'))
    assert api.call("POST", "/v1/batch", b"{}") == {"accepted": 3}


def test_too_fast_is_repeated_when_retry_after_has_passed(server: Server) -> None:
    api, script = server
    script += [(429, "{}"), (200, "{}")]
    began_at = time.monotonic()
    assert api.call("POST", "/v1/batch") == {}
    assert time.monotonic() - began_at >= 1


def test_a_lost_connection_is_tried_again(server: Server) -> None:
    api, script = server
    script += [(200, "{}"), (0, ""), (200, '{"success": true}')]
    api.call("POST", "/v1/batch")
    assert api.call("POST", "/v1/batch") == {"success": True}


def test_a_refusal_is_said_in_its_own_words(server: Server) -> None:
    api, script = server
    script.append((401, '{"errors": [{"detail": "Send a write key."}]}'))
    with pytest.raises(Refused, match="Send a write key"):
        api.call("POST", "/v1/batch")


def test_nobody_at_an_address_is_no_server() -> None:
    assert answers("http://127.0.0.1:9") is False
