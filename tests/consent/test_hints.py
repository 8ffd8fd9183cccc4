"""Hints to the worker: none waits for the broker, and a broker that hangs piles up nothing."""

import threading
from typing import Any

import pytest

from consent import hints


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a broker that takes one hint and then hangs until it is let go."""
    sent: list[str] = []
    taken, go_on = threading.Event(), threading.Event()

    def send_task(task: str, **options: Any) -> None:
        sent.append(task)
        taken.set()
        if not go_on.wait(20):
            raise TimeoutError

    monkeypatch.setattr(hints.current_app, "send_task", send_task)
    return sent, taken, go_on


def test_a_broker_that_hangs_piles_up_nothing_and_loses_nothing(
    broker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sent, taken, go_on = broker
    hints.hint("first")
    assert taken.wait(5)
    for _ in range(5_000):  # while the first one hangs
        hints.hint("fold")
        hints.hint("enforce")
    taken.clear()
    go_on.set()
    assert taken.wait(5)
    for _ in range(100):
        if len(sent) == 3:
            break
        threading.Event().wait(0.05)
    assert sent == ["first", "enforce", "fold"]
    assert not caplog.records
