"""`replay_erasures`: after a backup was restored, erase again whom it brought back, close again what they had closed,
and let the ledger go on.

Run it before anybody is served.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from consent import withdrawals
from consent.enforcement import enforce
from consent.erasure import replay
from consent.restores import NotThisLedger, go_on


class Command(BaseCommand):
    help = "Erase again whom a restored backup brought back, and close again what people had withdrawn since."

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
        closed = withdrawals.replay(now=timezone.now())
        done = enforce(now=timezone.now())
        self.stdout.write(f"{found} erased again, withdrawals of {closed} repeated, {done} duties done.")
