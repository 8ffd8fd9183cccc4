"""What a worker begins with when it comes up."""

from types import SimpleNamespace

import pytest

from config.celery import AT_ONCE, app, begin_at_once


@pytest.mark.parametrize("queue", app.conf.task_queues, ids=lambda queue: queue.name)
def test_a_worker_looks_at_what_waits_for_its_queue_at_once(
    queue: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    hinted: list[str] = []
    monkeypatch.setattr("consent.hints.hint", hinted.append)
    begin_at_once(sender=SimpleNamespace(task_consumer=SimpleNamespace(queues=[queue])))
    assert hinted == [AT_ONCE[queue.name]]  # type: ignore[attr-defined]
    assert app.amqp.router.route({}, hinted[0])["queue"].name == queue.name  # type: ignore[attr-defined]
