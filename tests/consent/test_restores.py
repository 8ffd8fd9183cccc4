"""A backup is restored: the ledger goes on behind what it lost, says what that was, and refuses what is not its own."""

import datetime as dt
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from cms.models import Site
from consent.audit import audit
from consent.checkpoints import make, published
from consent.decisions import How, decide, history_of, record_gpc
from consent.erasure import erase
from consent.merging import merge
from consent.models import ConsentEvent, ConsentState, LedgerCheckpoint, PropagationJob
from consent.proofs import problems_of
from consent.receipts import receipts_of
from consent.restores import restores_file
from consent.tombstones import of_subject
from consent.withdrawals import export, prune, read, withdrawals_file

pytestmark = pytest.mark.django_db
NOW = dt.datetime(2026, 11, 22, 8, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, settings: Any) -> None:
    settings.LEDGER_DIR = tmp_path / "ledger"
    Site.objects.get_or_create(pk=1, defaults={"key": "main", "title": "Main"})


def agree() -> Any:
    return decide(None, {"personalization": True}, how=How(method="test"), now=NOW).subject_id


def ledger() -> list[str]:
    return [one.detail for one in audit(now=NOW) if one.invariant == "ledger"]


def restored() -> None:
    """Take the database back to an older state, as a restore does with it and its sequences; the files stay."""
    ada = agree()
    make(now=NOW)
    before = transaction.savepoint()
    for minutes in (1, 2):
        agree()
        make(now=NOW + dt.timedelta(minutes=minutes))
    assert len(published()) == 3
    transaction.savepoint_rollback(before)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('consent_consentevent', 'id'), max(id)) FROM consent_consentevent"
        )
    assert ConsentEvent.objects.filter(subject_key=ada).exists()


def replay() -> str:
    said = StringIO()
    call_command("replay_erasures", stdout=said)
    return said.getvalue()


def test_it_goes_on_behind_what_it_lost() -> None:
    restored()
    found = ledger()
    assert {one for one in found if "no longer in it" in one} == {
        f"Checkpoint {n} is outside the database and no longer in it." for n in (2, 3)
    }
    assert sum("are not those of checkpoint" in one for one in found) == 2
    assert "the entries of 2 to 3 were not in the backup" in replay()
    assert ledger() == []
    ben = agree()
    make(now=NOW + dt.timedelta(minutes=9))
    assert [line["n"] for line in published()] == [1, 2, 3, 4]
    assert ledger() == []
    row = ConsentState.objects.get(pk=ben)
    (receipt,) = receipts_of(history_of(ben), row)
    assert list(problems_of(receipt)) == []
    said = StringIO()
    call_command("consent_audit", "--only", "ledger", stdout=said)
    assert "Known: the entries of checkpoints 2 to 3 were lost" in said.getvalue()
    assert "The ledger goes on" not in replay()  # nothing is lost twice


def test_what_was_withdrawn_after_the_backup_is_withdrawn_again() -> None:
    people = {name: agree() for name in ("ada", "ben", "cleo", "dora")}
    decide(people["dora"], {"personalization": False}, how=How(method="test"), now=NOW)
    decide(
        people["dora"],
        {"personalization": True},
        how=How(method="test"),
        now=NOW + dt.timedelta(seconds=1),
    )
    follow(NOW + dt.timedelta(seconds=2))
    backup = transaction.savepoint()
    later = NOW + dt.timedelta(minutes=5)
    decide(people["ada"], {"personalization": False}, how=How(method="test"), now=later)
    record_gpc(people["ben"], site_id=1, now=later)
    decide(people["cleo"], {"analytics": True}, how=How(method="test"), now=later)
    follow(later)
    outside = withdrawals_file().read_text()
    assert not any(str(one) in outside or one.hex in outside for one in people.values())
    transaction.savepoint_rollback(backup)
    assert {name: state_of(one) for name, one in people.items()} == dict.fromkeys(people, "granted")
    assert "withdrawals of 2 repeated" in replay()
    assert {name: state_of(one) for name, one in people.items()} == {
        "ada": "withdrawn", "ben": "granted", "cleo": "granted", "dora": "granted",
    }  # fmt: skip
    assert ConsentState.objects.get(pk=people["ben"]).gpc is True
    assert PropagationJob.objects.filter(subject_key=people["ada"]).exists()
    assert "withdrawals of 0 repeated" in replay()


def test_whoever_was_joined_is_closed_under_every_name() -> None:
    ada, tablet = agree(), agree()
    follow(NOW)
    backup = transaction.savepoint()
    later = NOW + dt.timedelta(minutes=5)
    merge(tablet, ada, now=later)
    decide(ada, {"personalization": False}, how=How(method="test"), now=later + dt.timedelta(minutes=1))
    follow(later + dt.timedelta(minutes=2))
    transaction.savepoint_rollback(backup)
    replay()
    assert (state_of(ada), state_of(tablet)) == ("withdrawn", "withdrawn")


def test_withdrawals_are_kept_as_long_as_backups_and_not_of_the_erased() -> None:
    ada, ben = agree(), agree()
    for one in (ada, ben):
        decide(one, {"personalization": False}, how=How(method="test"), now=NOW)
    follow(NOW)
    assert prune(now=NOW + dt.timedelta(days=300)) == 0
    erase(ada, now=NOW)
    assert prune(now=NOW + dt.timedelta(days=300)) == 1
    assert [one.digest for one in read()] == [of_subject(ben)]
    assert prune(now=NOW + dt.timedelta(days=366)) == 1
    assert list(read()) == []
    agree()
    make(now=NOW)
    assert export() == 1  # it goes on where it was


def follow(now: dt.datetime) -> None:
    """Do what every minute does with the ledger."""
    make(now=now)
    export()


def state_of(subject: Any) -> str:
    state: str = ConsentState.objects.get(pk=subject).state["personalization"]
    return state


def test_what_nobody_signed_hides_nothing() -> None:
    restored()
    replay()
    line = restores_file().read_text()
    restores_file().write_text(line.replace('"first":2', '"first":1'))
    assert any("entries" in one for one in ledger())


def test_another_ledger_is_refused() -> None:
    restored()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE consent_ledgercheckpoint DISABLE TRIGGER USER")
        LedgerCheckpoint.objects.update(root="0" * 64)
        cursor.execute("ALTER TABLE consent_ledgercheckpoint ENABLE TRIGGER USER")
    with pytest.raises(CommandError, match="Checkpoint 1 differs"):
        replay()
