"""`dump_bundle [FILE]`: content as code; loading it again changes nothing."""

from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandParser

from cms.models.site import current_site
from personalization.bundle import dump_bundle


class Command(BaseCommand):
    help = "Write the site's content as a bundle."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        text = orjson.dumps(dump_bundle(current_site()), option=orjson.OPT_INDENT_2).decode()
        if options["file"]:
            options["file"].write_text(text + "\n")
        else:
            self.stdout.write(text)
