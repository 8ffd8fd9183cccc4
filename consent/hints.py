"""Hints to the worker: "look at the table". Sent by a background thread, so that no answer waits for the broker.

A hint that is lost costs at most the five seconds until the sweep; work itself is state in PostgreSQL.
"""

import logging
import threading

from celery import current_app

log = logging.getLogger(__name__)
_waiting: set[str] = set()  # equal hints are one, so that a broker that hangs piles up nothing
_changed = threading.Condition()
_sender: threading.Thread | None = None
_starting = threading.Lock()


def hint(task: str) -> None:
    """Ask the worker to run a task soon; never waits for the broker, never raises."""
    _start()
    with _changed:
        _waiting.add(task)
        _changed.notify()


def _start() -> None:
    global _sender
    with _starting:
        if _sender is None or not _sender.is_alive():
            _sender = threading.Thread(target=_send, name="hints", daemon=True)
            _sender.start()


def _send() -> None:
    while True:
        with _changed:
            _changed.wait_for(lambda: bool(_waiting))
            wanted = sorted(_waiting)
            _waiting.clear()
        for task in wanted:
            try:
                current_app.send_task(task, retry=False, expires=60)
            except Exception as error:  # noqa: BLE001  # whatever the broker's client raises: the sweep covers it
                log.warning("hint not sent: %s", type(error).__name__)
