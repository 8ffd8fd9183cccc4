"""`load_bundle FILE [--publish] [--dry-run]`: import content; all or nothing, errors with JSON pointers."""

from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from cms.errors import errors_among
from personalization.bundle import load_bundle

MAX_BYTES = 64 * 1024 * 1024


class Command(BaseCommand):
    help = "Import content from a bundle. The same bundle twice changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--publish", action="store_true", help="Publish what the bundle names.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would change, and keep nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        if path.stat().st_size > MAX_BYTES:
            raise CommandError("A bundle has at most 64 MB.")
        try:
            bundle = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError as error:
            raise CommandError(f"{path} is not JSON: {error.msg} (line {error.lineno}).") from error
        report = load_bundle(
            bundle,
            now=timezone.now(),
            publish=options["publish"],
            dry_run=options["dry_run"],
            folder=path.parent,
        )
        for problem in report.problems:
            self.stderr.write(
                f"{problem.severity}: {problem.pointer or '/'}: {problem.message} ({problem.code})"
            )
        if errors_among(report.problems):
            raise CommandError("Nothing was loaded.")
        done = ", ".join(f"{count} {kind}" for kind, count in report.changed.items() if count) or "nothing"
        self.stdout.write(f"{'Would change' if options['dry_run'] else 'Changed'}: {done}.")
