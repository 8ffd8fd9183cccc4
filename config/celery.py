"""The Celery application; tasks live in the packages, the schedule in the settings."""

import os
from typing import Any, Final

from celery import Celery
from celery.signals import beat_init, worker_init, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# What a worker begins with, by the queue that it works on: what waits in the tables, whatever became of the hints.
AT_ONCE: Final = {
    "celery": "personalization.tasks.sweep",
    "privacy": "consent.tasks.enforce",
    "outgoing": "personalization.tasks.announce_changes",
}

app = Celery("tessera")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
@beat_init.connect
def refuse_without_keys(**_: Any) -> None:
    """End a worker or a clock that could not read what it is to work on."""
    from consent.seal import refuse_without_keys as refuse  # models can be read only now

    refuse()


@worker_ready.connect
def begin_at_once(sender: Any, **_: Any) -> None:
    """Let a worker look at the tables when it comes up: what the one before it was doing would wait for the sweep."""
    from consent.hints import hint

    for queue in sender.task_consumer.queues:
        if queue.name in AT_ONCE:  # an operator's own queues have their own business
            hint(AT_ONCE[queue.name])
