"""`restrict_role ROLE`: let a database role run Tessera without being able to change what was decided.

Run it as the role that migrates, after each `migrate`; web, worker and beat then connect as ROLE. It may read and write
everything, but of the ledger, its checkpoints and the notices it may only add rows; of a ledger's entry it may take the
words, as an erasure does, and nothing else. It owns no table whose triggers it could switch off, but for those that are
partitioned by time: making next month's partition needs an owner.
"""

from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction
from psycopg import sql

from consent.models import ConsentEvent, LedgerCheckpoint, NoticeVersion

ONLY_ADDED: Final = (ConsentEvent, LedgerCheckpoint, NoticeVersion)
_PARTITIONED: Final = """
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
AND (c.relkind = 'p' OR c.relispartition) AND c.relkind IN ('p', 'r')
"""


class Command(BaseCommand):
    help = "Let a database role run Tessera without being able to change the ledger of decisions. Run it after each migrate."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "role", help="An existing role that web, worker and beat connect as; not the one that migrates."
        )

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        role = sql.Identifier(options["role"])
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT r.rolsuper, r.rolname = current_user FROM pg_roles r WHERE r.rolname = %s",
                [options["role"]],
            )
            found = cursor.fetchone()
            if found is None:
                raise CommandError(
                    f"There is no role '{options['role']}'. Make it first: CREATE ROLE … LOGIN."
                )
            if any(found):
                raise CommandError(
                    f"'{options['role']}' {'is a superuser' if found[0] else 'is the role that migrates'}:"
                    " it can change everything. Give another one."
                )
            for statement in _GRANTS:
                cursor.execute(sql.SQL(statement).format(role=role))
            for model in ONLY_ADDED:
                table = sql.Identifier(model._meta.db_table)
                cursor.execute(sql.SQL("REVOKE UPDATE, DELETE ON {} FROM {}").format(table, role))
            ledger = sql.Identifier(ConsentEvent._meta.db_table)
            cursor.execute(sql.SQL("GRANT UPDATE (salt, payload_enc) ON {} TO {}").format(ledger, role))
            cursor.execute(_PARTITIONED)
            for (name,) in cursor.fetchall():
                cursor.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier(name), role))
        self.stdout.write(
            f"'{options['role']}' can run Tessera: it adds to {', '.join(model._meta.db_table for model in ONLY_ADDED)} and changes nothing there."
        )


_GRANTS: Final = (
    "GRANT USAGE, CREATE ON SCHEMA public TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO {role}",
    "GRANT {role} TO CURRENT_USER",  # so that the next migrate can change what the role owns
)
