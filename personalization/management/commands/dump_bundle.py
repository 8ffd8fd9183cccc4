"""`dump_bundle [FILE]`: content as code, its pictures in `media/` beside it; loading it again changes nothing."""

from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandParser

from cms.bundles.dump import write_pictures
from cms.models.site import current_site
from personalization.bundle import dump_bundle


class Command(BaseCommand):
    help = "Write the site's content as a bundle."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        site = current_site()
        text = orjson.dumps(dump_bundle(site), option=orjson.OPT_INDENT_2).decode()
        if options["file"]:
            options["file"].write_text(text + "\n")
            write_pictures(site, options["file"].resolve().parent)
        else:
            self.stdout.write(text)
