"""`recipe` lists the recipes; `recipe KEY` prints the bundle of one, for `load_bundle`."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from personalization.recipes import recipe, recipes


class Command(BaseCommand):
    help = "List the recipes, or print the bundle of one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", nargs="?", help="The recipe whose bundle is printed.")

    def handle(self, *args: Any, **options: Any) -> None:
        key = options["key"]
        if not key:
            for one in recipes():
                self.stdout.write(f"{one.key:<24}{one.title}")
            return
        try:
            found = recipe(key)
        except KeyError:
            raise CommandError(f"There is no recipe '{key}'; without a key all are listed.") from None
        if found.when:
            self.stderr.write(f"Display rule of the variant: {json.dumps(found.when)}")
        if found.setting:
            self.stderr.write(f"A setting, no rule: {found.setting}")
        self.stdout.write(json.dumps(found.bundle, indent=1, ensure_ascii=False))
