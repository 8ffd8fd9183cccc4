"""`restrict_role ROLE`: let a database role run Tessera without being able to change what was decided.

Run it as the role that migrates, after each `migrate`; web, worker and beat then connect as ROLE. It may read and write
everything, but of the ledger, its checkpoints and the notices it may only add rows. Words leave an entry by one function,
which takes them away and can do nothing else. ROLE owns none of these tables, so that it can switch no trigger off; what
is partitioned by time it owns, because making next month's partition needs an owner.
"""

from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import sql

from consent.models import ConsentEvent, LedgerCheckpoint, NoticeVersion

ONLY_ADDED: Final = (ConsentEvent, LedgerCheckpoint, NoticeVersion)
SINCE: Final = 170_000  # MAINTAIN, which lets a checkpoint lock the table, is new in PostgreSQL 17
_PARTITIONED: Final = """
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
AND (c.relkind = 'p' OR (c.relkind = 'r' AND c.relispartition))
"""
_GRANTS: Final = (
    "GRANT USAGE, CREATE ON SCHEMA public TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO {role}",
    "GRANT EXECUTE ON FUNCTION consent_shred(uuid[]) TO {role}",
)


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
            _refuse(cursor, options["role"])
            for statement in _GRANTS:
                cursor.execute(sql.SQL(statement).format(role=role))
            for model in ONLY_ADDED:
                table = sql.Identifier(model._meta.db_table)
                cursor.execute(sql.SQL("REVOKE UPDATE, DELETE, TRUNCATE ON {} FROM {}").format(table, role))
            ledger = sql.Identifier(ConsentEvent._meta.db_table)
            cursor.execute(sql.SQL("GRANT MAINTAIN ON {} TO {}").format(ledger, role))
            _own_partitions(cursor, options["role"])
        names = ", ".join(model._meta.db_table for model in ONLY_ADDED)
        self.stdout.write(
            f"'{options['role']}' can run Tessera: it adds to {names} and changes nothing there."
        )


def _refuse(cursor: CursorWrapper, role: str) -> None:
    """Raise CommandError for a role that would protect nothing."""
    if connection.connection.info.server_version < SINCE:
        raise CommandError("This needs PostgreSQL 17 or newer.")
    cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [role])
    found = cursor.fetchone()
    if found is None:
        raise CommandError(f"There is no role '{role}'. Make it first: CREATE ROLE … LOGIN.")
    if found[0]:
        raise CommandError(f"'{role}' is a superuser: it can change everything. Give another one.")
    tables = [model._meta.db_table for model in ONLY_ADDED]
    cursor.execute(
        "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND relnamespace = 'public'::regnamespace"
        " AND pg_has_role(%s, relowner, 'MEMBER')",
        [tables, role],
    )
    if owned := cursor.fetchone():
        raise CommandError(
            f"'{role}' is, or may become, the owner of {owned[0]}: it can change everything. Give another one."
        )


def _own_partitions(cursor: CursorWrapper, role: str) -> None:
    """Give what is partitioned by time to the role; whoever migrates has to be a member of it."""
    cursor.execute("SELECT pg_has_role(current_user, %s, 'MEMBER'), current_user", [role])
    member, me = cursor.fetchone() or (False, "")
    if not member:
        raise CommandError(f"Let the role that migrates act for it first: GRANT {role} TO {me}.")
    cursor.execute(_PARTITIONED)
    for (name,) in cursor.fetchall():
        cursor.execute(
            sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(role))
        )
