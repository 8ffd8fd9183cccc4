"""The application behind a real socket, within a test's own transaction: for clients that speak HTTP themselves.

The server's thread borrows the test's database connection; the test's thread waits for its answers meanwhile.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, connections


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Say nothing on the test's terminal."""


@contextmanager
def serving() -> Iterator[str]:
    """Serve for the block; gives the address."""
    handler, shared = WSGIHandler(), connection._connections["default"]  # type: ignore[attr-defined]  # the test's own

    def application(environ: dict[str, Any], start: Any) -> Any:
        connections["default"] = shared
        return list(handler(environ, start))

    shared.inc_thread_sharing()
    closing, shared.close = shared.close, lambda: None  # a request's end must not close the test's connection
    server = make_server("127.0.0.1", 0, application, server_class=_Server, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        shared.close = closing
        shared.dec_thread_sharing()
