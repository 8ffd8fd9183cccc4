"""`replay_erasures`: after a backup was restored, erase again whom it brought back. Run it before anybody is served."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from consent.enforcement import enforce
from consent.erasure import replay


class Command(BaseCommand):
    help = "Erase again whom the tombstones name and a restored backup brought back."

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        found = replay(now=now)
        done = enforce(now=timezone.now())
        self.stdout.write(f"{found} erased again, {done} duties done.")
