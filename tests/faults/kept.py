"""What a running system keeps of people, looked at from outside: rows now, and every row that was ever written."""

from collections.abc import Sequence

import psycopg

from launcher import embedded
from tests.faults.system import NO_REDIS, System

# every row that is stored, and every row in which more is said than before, leaves a line that no erasure takes away
WATCH = """
CREATE TABLE IF NOT EXISTS fault_stored (subject uuid, at timestamptz);
CREATE OR REPLACE FUNCTION fault_store() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN INSERT INTO fault_stored VALUES (NEW.subject_key, clock_timestamp()); RETURN NEW; END';
CREATE OR REPLACE TRIGGER fault_watch AFTER INSERT ON personalization_event FOR EACH ROW EXECUTE FUNCTION fault_store();
CREATE OR REPLACE TRIGGER fault_watch AFTER INSERT ON personalization_profile FOR EACH ROW EXECUTE FUNCTION fault_store();
CREATE OR REPLACE TRIGGER fault_watch_more AFTER UPDATE ON personalization_profile FOR EACH ROW
  WHEN (NOT NEW.traits <@ OLD.traits OR NEW.orders > OLD.orders) EXECUTE FUNCTION fault_store();
"""
AFTER = (
    "SELECT count(*)::int FROM fault_stored JOIN unnest(%s::uuid[], %s::float8[]) AS left_(subject, answered)"
    " USING (subject) WHERE extract(epoch FROM at) > answered"
)
WRITTEN = "SELECT count(*)::int FROM fault_stored WHERE subject = ANY(%s::uuid[])"
_KEPT = "SELECT " + " + ".join(
    f"(SELECT count(*) FROM personalization_{table} WHERE subject_key = ANY(%(ids)s::uuid[]))"
    for table in (
        "event",
        "profile",
        "segmentchange",
        "exposure",
        "membership",
        "touched",
        "webhookdelivery",
        "triggerrun",
    )
)


def one(system: System, statement: str, *values: object) -> int:
    """Return the one number that a statement gives."""
    return int(system.rows(statement, *values)[0][0])


def execute(system: System, statement: str) -> None:
    with (
        embedded.session(system.var, environ=NO_REDIS) as services,
        psycopg.connect(services.database_url, autocommit=True) as connection,
    ):
        connection.execute(statement)


def kept(system: System, ids: Sequence[str]) -> int:
    """Count what is kept of people."""
    with (
        embedded.session(system.var, environ=NO_REDIS) as services,
        psycopg.connect(services.database_url) as connection,
    ):
        return int(connection.execute(_KEPT, {"ids": list(ids)}).fetchone()[0])  # type: ignore[index]
