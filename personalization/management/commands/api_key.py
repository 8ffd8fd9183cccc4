"""`api_key create NAME --scope S…`, `list`, `revoke PREFIX`. A key is printed once, alone, as the last line."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from cms.models.site import current_site
from personalization.models import ApiKey
from personalization.models.keys import SCOPES, check_scopes


class Command(BaseCommand):
    help = "Create, list and revoke API keys."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create")
        create.add_argument("name")
        create.add_argument(
            "--scope", action="append", default=[], help=f"One of {', '.join(SCOPES)}; repeatable."
        )
        actions.add_parser("list")
        revoke = actions.add_parser("revoke")
        revoke.add_argument("prefix")

    def handle(self, *args: Any, **options: Any) -> None:
        {"create": self._create, "list": self._list, "revoke": self._revoke}[options["action"]](options)

    def _create(self, options: dict[str, Any]) -> None:
        try:
            check_scopes(options["scope"])
        except ValidationError as error:
            raise CommandError(error.messages[0]) from error
        scopes = sorted(set(options["scope"]), key=SCOPES.index)
        _, key = ApiKey.objects.create_key(name=options["name"], site=current_site(), scopes=scopes)
        self.stdout.write(key)

    def _list(self, options: dict[str, Any]) -> None:
        for key in ApiKey.objects.order_by("created"):
            state = "revoked" if key.revoked else "in use"
            self.stdout.write(f"{key.prefix}  {state:8}  {','.join(key.scopes):30}  {key.name}")

    def _revoke(self, options: dict[str, Any]) -> None:
        if not ApiKey.objects.filter(prefix=options["prefix"]).update(revoked=True):
            raise CommandError(f"There is no key {options['prefix']}.")
        self.stdout.write("Revoked; every process has forgotten it within ten seconds.")
