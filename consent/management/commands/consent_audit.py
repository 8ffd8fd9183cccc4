"""`consent_audit`: prove the five invariants of consent over everything that is kept; exit 1 with what breaks one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from consent.audit import INVARIANTS, audit
from consent.restores import lost

MOST = 200


class Command(BaseCommand):
    help = "Check ledger, states, purposes, retention and the registry of personal data."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--only", choices=list(INVARIANTS), help="One invariant, and no other.")

    def handle(self, *args: Any, **options: Any) -> None:
        for gone in lost():
            self.stdout.write(
                f"Known: the entries of checkpoints {gone.first} to {gone.last} were lost to a restored backup, {gone.at:%Y-%m-%d %H:%M}."
            )
        found = list(audit(now=timezone.now(), only=options["only"]))
        for one in found[:MOST]:
            self.stdout.write(f"{one.invariant}: {one.detail}")
        if len(found) > MOST:
            self.stdout.write(f"… and {len(found) - MOST} more.")
        if found:
            raise CommandError(f"{len(found)} findings: consent is not what it should be.")
        looked_at = ", ".join([options["only"]] if options["only"] else INVARIANTS)
        self.stdout.write(f"Nothing found: as they should be ({looked_at}).")
