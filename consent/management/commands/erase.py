"""`erase WHO`: erase somebody, by their visitor_id or by `user:` and their userId, and do what every holder owes."""

import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from consent.access_log import task
from consent.enforcement import enforce
from consent.erasure import erase
from consent.identities import owner_of
from consent.merging import survivor


class Command(BaseCommand):
    help = "Erase a person: everything but the ledger's skeleton."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("who", help="A visitor_id, or user: and a userId.")
        parser.add_argument("--reason", default="", help="Why, for the log of accesses.")

    def handle(self, *args: Any, **options: Any) -> None:
        subject = _subject(options["who"])
        now = timezone.now()
        if subject is None or not erase(subject, now=now, actor=task("erase"), reason=options["reason"]):
            raise CommandError("There is nobody of this name.")
        self.stdout.write(f"Erased; {enforce(now=timezone.now())} duties done.")


def _subject(who: str) -> uuid.UUID | None:
    if who.startswith("user:"):
        return owner_of("user", who.removeprefix("user:"))
    try:
        return survivor(uuid.UUID(who))
    except ValueError:
        return None
