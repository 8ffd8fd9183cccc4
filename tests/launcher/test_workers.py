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


def test_a_queue_of_somebodys_own_does_not_keep_a_worker_from_its_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hinted: list[str] = []
    monkeypatch.setattr("consent.hints.hint", hinted.append)
    queues = [SimpleNamespace(name="reports"), SimpleNamespace(name="privacy")]
    begin_at_once(sender=SimpleNamespace(task_consumer=SimpleNamespace(queues=queues)))
    assert hinted == ["consent.tasks.enforce"]
