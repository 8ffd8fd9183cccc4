"""The Celery application; tasks live in the packages, the schedule in the settings."""

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("tessera")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
@beat_init.connect
def refuse_without_keys(**_: Any) -> None:
    """End a worker or a clock that could not read what it is to work on."""
    from consent.seal import refuse_without_keys as refuse  # models can be read only now

    refuse()
