"""`replay_erasures`: after a backup was restored, erase again whom it brought back, and let the ledger go on.

Run it before anybody is served.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from consent.enforcement import enforce
from consent.erasure import replay
from consent.restores import NotThisLedger, go_on


class Command(BaseCommand):
    help = "Erase again whom the tombstones name and a restored backup brought back."

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        try:
            gone = go_on(now=now)
        except NotThisLedger as error:
            raise CommandError(
                f"{error} Restore a backup of this ledger, or look for who changed it."
            ) from error
        if gone is not None:
            self.stdout.write(
                f"The ledger goes on behind checkpoint {gone.last}: the entries of {gone.first} to {gone.last} were not in the backup."
            )
        found = replay(now=now)
        done = enforce(now=timezone.now())
        self.stdout.write(f"{found} erased again, {done} duties done.")
