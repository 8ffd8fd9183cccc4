"""`demo_data [--url URL]`: the real households, into a running or a fresh system; run it again to go on."""

import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from cms.models import BlockType, Page, Site
from cms.models.site import current_site
from demo.households.api import HttpApi, Refused, serving
from demo.households.journal import Journal
from demo.households.load import TYPE, Dropped, Loader, load_catalogue, load_consent, load_events
from demo.households.progress import Progress
from demo.households.report import compare, table, three_front_pages
from demo.households.source import NotFetched, Source, fetch
from demo.loading import load_demo
from personalization.models import ApiKey

KEY_NAME = "household loader"


class Command(BaseCommand):
    help = "Load 2,469 real households and their baskets through the public API; run it again to go on."

    def add_arguments(self, parser: CommandParser) -> None:
        port = os.environ.get("PORT") or "8000"
        parser.add_argument(
            "--url",
            default=f"http://127.0.0.1:{port}",
            help="The server; a private one is started when none answers.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        began_at = time.monotonic()
        folder = Path(settings.VAR) / "households"
        try:
            source = fetch(folder, say=self._say)
            site = self._prepared()
            with closing(Journal(folder / "journal.sqlite")) as journal:
                self._load(source, journal, site, options["url"])
        except (NotFetched, Dropped, Refused) as error:
            raise CommandError(f"{error} Run the command again: it goes on where it stopped.") from error
        finally:
            self._say(f"{time.monotonic() - began_at:.0f} seconds in all.")

    def _prepared(self) -> Site:
        """Return the site, its tables and the demo shop made first in a fresh system."""
        call_command("migrate", interactive=False, verbosity=0)
        Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)  # a private server looks for it
        site = current_site()
        if not BlockType.objects.filter(site=site, key=TYPE, catalogue=True).exists():
            if Page.objects.exists():
                raise CommandError("These pages are not the demo shop; load_demo adds it.")
            self._say("Loading the demo shop ...")
            load_demo(now=timezone.now())
        return site

    def _load(self, source: Source, journal: Journal, site: Site, url: str) -> None:
        key = self._key(journal, site)
        households = source.households()
        shift = _shift(journal, last=max(one.last_at for one in households))
        with serving(url) as address:
            api = HttpApi(address)
            loader = Loader(source, journal, api, key, self._progress)
            _check_key(loader)
            load_catalogue(loader)
            load_consent(loader, households)
            rate = load_events(loader, households, shift_seconds=shift)
            people = journal.people()
            rows = compare(source, people, site=site, shift_seconds=shift, now=timezone.now())
            self._say(f"\n{table(rows)}\n\n{three_front_pages(households, people, api)}\n")
        self._say(f"{rate:,.0f} events a second." if rate else "Every event was there already.")
        if wrong := [row.title for row in rows if not row.right]:
            raise CommandError(f"Not as in the source: {', '.join(wrong)}.")

    def _key(self, journal: Journal, site: Site) -> str:
        """Return the loader's key; a journal whose key this database never had belongs to another one."""
        key = journal.note("key")
        row = ApiKey.objects.filter(prefix=key.partition(".")[0]).first() if key else None
        if row is not None and row.revoked:
            raise CommandError(f"The key '{KEY_NAME}' was revoked; nothing was sent.")
        if key is None or row is None:
            journal.forget()
            _, key = ApiKey.objects.create_key(name=KEY_NAME, site=site, scopes=["ingest", "manage"])
            journal.write_note("key", key)
        return key

    def _progress(self, title: str, total: int, done: int) -> Progress:
        terminal = self.stdout.isatty()
        return Progress(title, total, self._write, terminal=terminal, done=done)

    def _write(self, text: str) -> None:
        self.stdout.write(text, ending="")
        self.stdout.flush()

    def _say(self, line: str) -> None:
        self._write(f"{line}\n")


def _shift(journal: Journal, *, last: int) -> int:
    """Return by how many seconds the year moves so that it ended when the first run began."""
    noted = journal.note("shift_seconds")
    if noted is None:
        noted = str(int(timezone.now().timestamp()) - last)
        journal.write_note("shift_seconds", noted)
    return int(noted)


def _check_key(loader: Loader) -> None:
    """Make sure that the server reads the same database, before anybody consents."""
    try:
        loader.api.call("POST", "/v1/batch", b'{"batch":[]}', loader.authorization)
    except Refused as error:
        raise CommandError(
            f"The server does not know this system's key: {error} Is it another one's?"
        ) from error
