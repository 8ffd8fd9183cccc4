"""`load_demo [--first-start]`: the demo shop, its people and its logins."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from cms.models import Page
from demo.loading import load_demo
from demo.state import loaded


class Command(BaseCommand):
    help = "Load the demo shop: content in two languages, six people, three logins."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--first-start", action="store_true", help="Do nothing when there is content already."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["first_start"] and (loaded() is not None or Page.objects.exists()):
            return
        demo = load_demo(now=timezone.now())
        self.stdout.write(f"The demo is loaded: {len(demo.personas)} people.")
