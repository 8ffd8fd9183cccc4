"""`rotate_keys`: wrap every person's key, and the site's secrets, with the newest key of the ring, while serving.

`--check` only looks.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from consent.seal import missing_keks, rewrap


class Command(BaseCommand):
    help = "Wrap people's keys and webhook secrets with the first of TESSERA_KEKS; afterwards the others can be taken out of it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="Say whether a key of the ring is missing; change nothing."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        missing = missing_keks()
        if missing:
            raise CommandError(
                f"Something is wrapped with {', '.join(sorted(missing))}, which TESSERA_KEKS does not hold:"
                " what was encrypted with it cannot be read. Put the key back."
            )
        if options["check"]:
            self.stdout.write("Every key that is needed is in the ring.")
            return
        wrapped = 0
        while done := rewrap():
            wrapped += done
        self.stdout.write(
            f"{wrapped} keys wrapped anew. The first key of TESSERA_KEKS is the only one that is needed."
        )
