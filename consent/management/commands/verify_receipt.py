"""`verify_receipt FILE`: say whether a receipt that somebody saved still holds; exit 1 with what is wrong otherwise."""

from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser

from consent.proofs import problems_of


class Command(BaseCommand):
    help = "Check a saved receipt against the ledger and the published checkpoints."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            receipt = orjson.loads(options["file"].read_bytes())
        except (OSError, orjson.JSONDecodeError) as error:
            raise CommandError(f"{options['file']} cannot be read: {error}") from error
        if not isinstance(receipt, dict):
            raise CommandError("This is no receipt: a receipt is a JSON object.")
        problems = list(problems_of(receipt))
        for problem in problems:
            self.stdout.write(problem)
        if problems:
            raise CommandError("The receipt does not hold.")
        covered = sum(entry.get("checkpoint") is not None for entry in receipt["ledger"])
        self.stdout.write(
            f"The receipt holds: {len(receipt['ledger'])} entries, {covered} under a published checkpoint."
        )
