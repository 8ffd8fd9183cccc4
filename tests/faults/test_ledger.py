"""The ledger under attack, past every trigger, as its owner can: the audit names the first bad entry (R25)."""

from collections.abc import Callable

import psycopg
import pytest

from launcher import embedded
from tests.faults.conftest import make_var
from tests.faults.journal import new_person
from tests.faults.system import NO_REDIS, python, running

pytestmark = pytest.mark.faults
ATTACKS = {
    "edit": "UPDATE consent_consentevent SET action = 'refused' WHERE id = (SELECT min(id) FROM consent_consentevent WHERE seq = 2)",
    "delete": "DELETE FROM consent_consentevent WHERE id = (SELECT min(id) FROM consent_consentevent WHERE seq = 2)",
    "swap": (
        "UPDATE consent_consentevent a SET purpose = b.purpose, action = b.action FROM consent_consentevent b"
        " WHERE a.subject_key = b.subject_key AND a.seq = 3 - b.seq AND a.seq IN (1, 2)"
        " AND a.subject_key = (SELECT subject_key FROM consent_consentevent WHERE seq = 2 ORDER BY id LIMIT 1)"
    ),
    "truncate": "DELETE FROM consent_consentevent WHERE id > (SELECT max(id) - 3 FROM consent_consentevent)",
    "empty": "UPDATE consent_consentevent SET salt = NULL, payload_enc = NULL WHERE id = (SELECT min(id) FROM consent_consentevent WHERE seq = 2)",
    "rewrite": "UPDATE consent_consentevent SET hash = encode(sha256(hash::bytea), 'hex') WHERE seq = (SELECT max(seq) FROM consent_consentevent)",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_on_the_ledger_is_named(
    tmp_path_factory: pytest.TempPathFactory, attack: str, say: Callable[[str], None]
) -> None:
    var = make_var(tmp_path_factory)
    with running(var) as system:
        key = system.manage("api_key", "create", "faults", "--scope", "ingest")
        for _ in range(5):
            person = new_person(system, key)
            person.decide(analytics=False)
        make = "from consent.checkpoints import make; from django.utils import timezone; print(make(now=timezone.now()))"
        system.manage("shell", "-v", "0", "-c", make)
        assert system.manage("consent_audit", "--only", "ledger").startswith("Nothing found")
        with (
            embedded.session(var, environ=NO_REDIS) as services,
            psycopg.connect(services.database_url, autocommit=True) as connection,
        ):
            connection.execute(
                "SET session_replication_role = replica"
            )  # as the owner can: past every trigger
            changed = connection.execute(ATTACKS[attack]).rowcount
        found = python(var, ["manage.py", "consent_audit", "--only", "ledger"])
    first = found.stdout.splitlines()[0]
    say(f"{attack} ({changed} rows): {first}")
    assert found.returncode == 1
    assert first.startswith("ledger: The entries" if attack == "truncate" else "ledger: Entry ")
    assert attack != "truncate" or "They end at entry" in first
