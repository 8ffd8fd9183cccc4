"""A role of its own for what runs: it decides, serves, withdraws and erases, and cannot change what was decided."""

import datetime as dt
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from consent import withdrawals
from consent.audit import audit
from consent.checkpoints import make
from consent.decisions import How, decide
from consent.erasure import erase
from consent.models import ConsentEvent
from personalization import partitions
from tests.builders import NOW

pytestmark = pytest.mark.django_db
ROLE = f"tessera_{uuid.uuid4().hex[:8]}"


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, settings: Any) -> None:
    settings.LEDGER_DIR = tmp_path / "ledger"


@pytest.fixture
def as_role() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {ROLE} LOGIN")
        call_command("restrict_role", ROLE)
        cursor.execute(f"SET ROLE {ROLE}")
        yield
        cursor.execute("RESET ROLE")


def decided() -> uuid.UUID:
    made = decide(None, {"personalization": True}, how=How(method="api", notice="1"), now=NOW).subject_id
    assert made is not None
    decide(made, {"personalization": False}, how=How(method="api"), now=NOW + dt.timedelta(days=1))
    return made


CHANGES = (
    "UPDATE consent_consentevent SET action = 'granted'",
    "UPDATE consent_consentevent SET at = now()",
    "DELETE FROM consent_consentevent",
    "TRUNCATE consent_consentevent CASCADE",
    "ALTER TABLE consent_consentevent DISABLE TRIGGER USER",
    "SET session_replication_role = replica",
    "DROP TABLE consent_consentevent CASCADE",
    "UPDATE consent_ledgercheckpoint SET root = ''",
    "DELETE FROM consent_noticeversion",
    "UPDATE consent_consentevent SET payload_enc = 'x'",
    "SET pgtrigger.ignore = '{consent_consentevent:all}'; UPDATE consent_consentevent SET payload_enc = 'x'",
)


def test_it_cannot_change_what_was_decided(as_role: None) -> None:
    decided()
    assert [statement for statement in CHANGES if not refused(statement)] == []


def refused(statement: str) -> bool:
    """Say whether the database refuses a statement because of who asks."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except DatabaseError as error:
        return "permission denied" in str(error) or "must be owner" in str(error)
    return False


def test_it_runs_everything_else(as_role: None) -> None:
    somebody = decided()
    assert erase(somebody, now=NOW + dt.timedelta(days=2))
    assert not ConsentEvent.objects.filter(subject_key=somebody, payload_enc__isnull=False).exists()
    assert make(now=NOW + dt.timedelta(days=2)) == 1
    assert withdrawals.export() == 1
    call_command("replay_erasures")
    assert partitions.ensure(NOW.date() + dt.timedelta(days=200)) > 0
    assert [one for one in audit(now=NOW + dt.timedelta(days=2)) if one.invariant == "ledger"] == []


def test_a_role_that_would_protect_nothing_is_refused() -> None:
    with connection.cursor() as cursor:
        for statement in (
            "CREATE ROLE tessera_all_powerful SUPERUSER",
            "CREATE ROLE tessera_owner",
            "CREATE ROLE tessera_member IN ROLE tessera_owner",
            "ALTER TABLE consent_ledgercheckpoint OWNER TO tessera_owner",
        ):
            cursor.execute(statement)
    for role, said in (
        ("nobody_at_all", "no role"),
        ("tessera_all_powerful", "superuser"),
        ("tessera_owner", "owner of consent_ledgercheckpoint"),
        ("tessera_member", "owner of consent_ledgercheckpoint"),
    ):
        with pytest.raises(CommandError, match=said):
            call_command("restrict_role", role)
