"""The ledger attacked: five ways are named by the audit, and a rewrite of everything contradicts a saved receipt."""

import datetime as dt
import json
import uuid
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pgtrigger
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction

from consent import lines
from consent.audit import audit
from consent.checkpoints import ledger_file, make, published
from consent.decisions import How, decide
from consent.ledger import hash_of
from consent.models import ConsentEvent, ConsentState, LedgerCheckpoint, PropagationJob
from consent.purposes import current_notice
from tests.flows.front import Front, agreed

pytestmark = pytest.mark.django_db
NOW = dt.datetime(2026, 11, 22, 8, 0, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, settings: Any) -> Path:
    """Keep the files outside the database in a folder of the test's own."""
    settings.LEDGER_DIR = tmp_path / "ledger"
    return tmp_path / "ledger"


def say(subject: uuid.UUID | None = None, **purposes: bool) -> uuid.UUID:
    how = How(method="test", notice=str(current_notice(1, now=NOW).n))
    decided = decide(subject, purposes, how=how, now=dt.datetime.now(dt.UTC)).subject_id
    assert decided is not None
    return decided


@pytest.fixture
def people() -> list[uuid.UUID]:
    """Six people with two decisions each, under a checkpoint."""
    found = [say(personalization=True, analytics=True) for _ in range(6)]
    for subject in found:
        say(subject, analytics=False)
    assert make(now=NOW) == 1
    return found


def findings() -> list[str]:
    return [f"{one.invariant}: {one.detail}" for one in audit(now=dt.datetime.now(dt.UTC))]


def attack(change: Callable[[], Any]) -> None:
    """Change the ledger as the owner of the database can, past the triggers."""
    with pgtrigger.ignore():
        change()


def row(seq: int = 2) -> ConsentEvent:
    return ConsentEvent.objects.filter(seq=seq).earliest("pk")


def edit() -> None:
    ConsentEvent.objects.filter(pk=row().pk).update(action="withdrawn")


def edit_the_moment() -> None:
    ConsentEvent.objects.filter(pk=row().pk).update(at=NOW)


def delete() -> None:
    ConsentEvent.objects.filter(pk=row().pk).delete()


def swap() -> None:
    one, other = ConsentEvent.objects.filter(subject_key=row().subject_key, seq__in=[1, 2]).order_by("seq")
    one.purpose, other.purpose, one.action, other.action = (
        other.purpose,
        one.purpose,
        other.action,
        one.action,
    )
    ConsentEvent.objects.bulk_update([one, other], ["purpose", "action"])


def truncate() -> None:
    """Cut the newest entries off, as if nobody had said them: every chain stays whole."""
    PropagationJob.objects.all().delete()
    for subject in ConsentEvent.objects.order_by().values_list("subject_key", flat=True).distinct():
        ConsentEvent.objects.filter(subject_key=subject).latest("seq").delete()


def rewrite() -> None:
    """Give one person another answer, and hash the whole chain anew, as it would have been."""
    subject = row().subject_key
    previous = ""
    for entry in ConsentEvent.objects.filter(subject_key=subject).order_by("seq"):
        if entry.action == "withdrawn":
            entry.action = "granted"
        entry.prev_hash = previous
        entry.hash = previous = hash_of(entry)
        ConsentEvent.objects.filter(pk=entry.pk).update(
            action=entry.action, prev_hash=entry.prev_hash, hash=entry.hash
        )


def test_an_untouched_ledger_has_no_finding(people: list[uuid.UUID]) -> None:
    assert findings() == []
    assert [line["n"] for line in published()] == [1]
    out = StringIO()
    call_command("consent_audit", stdout=out)
    assert out.getvalue() == (
        "Nothing found: as they should be (ledger, state, purpose, retention, registry).\n"
    )
    with pytest.raises(CommandError, match="invalid choice"):
        call_command("consent_audit", "--only", "ledgers")  # not: nothing was looked at, so nothing was found


@pytest.mark.parametrize(
    "how", [edit, edit_the_moment, delete, swap, truncate, rewrite], ids=lambda f: f.__name__
)
def test_an_attack_is_named_with_its_place(how: Callable[[], Any], people: list[uuid.UUID]) -> None:
    first = row().subject_key
    attack(how)
    found = [one for one in findings() if one.startswith("ledger")]
    assert found
    if how in (edit, edit_the_moment, delete, swap):
        assert any(str(first) in one for one in found), found
    if how in (delete, truncate, rewrite):
        assert any("are not those of checkpoint 1" in one for one in found), found
    with pytest.raises(CommandError):
        call_command("consent_audit", "--only", "ledger", stdout=StringIO())


def test_a_rewrite_of_ledger_and_checkpoints_contradicts_a_receipt_that_was_saved(
    people: list[uuid.UUID], tmp_path: Path
) -> None:
    front = agreed(personalization=True)
    make(now=NOW)
    (receipt, *_) = front.get("/api/v1/consent/history", headers={"X-Visitor": front.token}).json()
    saved = tmp_path / "receipt.json"
    saved.write_text(json.dumps(receipt))
    out = StringIO()
    call_command("verify_receipt", str(saved), stdout=out)
    assert out.getvalue() == "The receipt holds: 1 entries, 1 under a published checkpoint.\n"

    def everything() -> None:
        rewrite()
        LedgerCheckpoint.objects.all().delete()
        ledger_file().unlink()

    attack(everything)
    make(now=NOW + dt.timedelta(minutes=5))
    assert not [one for one in findings() if one.startswith("ledger")]  # the operator left no seam
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("verify_receipt", str(saved), stdout=out)
    assert "the ledger was rewritten" in out.getvalue() or "no longer published" in out.getvalue()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["ledger"][0]["clear"].update(action="refused"), "not those that were hashed"),
        (lambda r: r["ledger"][0].update(hash="0" * 64), "holds another entry"),
        (lambda r: r["ledger"][0]["clear"].update(seq=99), "does not hold it"),
        (lambda r: r["ledger"][0]["checkpoint"].update(root="0" * 64), "not what was signed"),
        (lambda r: r["ledger"][0].update(path=[{"side": "left", "hash": "0" * 64}]), "does not lead"),
        (lambda r: r.update(ledger=[]), "no receipt"),
        (lambda r: r["ledger"].append("nonsense"), "cannot be read"),
        (
            lambda r: r["purposes"][0].update(event_state="refused"),
            "purposes/personalization/event_state is not",
        ),
        (lambda r: r["purposes"].append(r["purposes"][0]), "purposes is not what the ledger's entries say"),
        (lambda r: r.update(event_time="2026-01-01T00:00:00Z"), "event_time is not what"),
        (lambda r: r.update(pii_principal_id=str(uuid.uuid4())), "pii_principal_id is not what"),
        (lambda r: r.pop("purposes"), "own words cannot be read"),
        (lambda r: r.update(ledger_key="another"), "names another key"),
    ],
)
def test_a_forged_receipt_fails_and_says_where(
    people: list[uuid.UUID], tmp_path: Path, change: Callable[[Any], Any], said: str
) -> None:
    front = agreed(personalization=True)
    make(now=NOW)
    (receipt, *_) = front.get("/api/v1/consent/history", headers={"X-Visitor": front.token}).json()
    change(receipt)
    saved = tmp_path / "receipt.json"
    saved.write_text(json.dumps(receipt))
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("verify_receipt", str(saved), stdout=out)
    assert said in out.getvalue()


def test_a_fresh_receipt_holds_before_its_checkpoint_is_made(tmp_path: Path) -> None:
    answer = Front().decide(personalization=True).json()
    saved = tmp_path / "receipt.json"
    saved.write_text(json.dumps(answer["receipt"]))
    out = StringIO()
    call_command("verify_receipt", str(saved), stdout=out)
    assert "0 under a published checkpoint" in out.getvalue()


@pytest.mark.parametrize("content", ["nonsense", "[]", "{}"])
def test_what_is_no_receipt_is_told_so(tmp_path: Path, content: str) -> None:
    saved = tmp_path / "receipt.json"
    saved.write_text(content)
    with pytest.raises(CommandError):
        call_command("verify_receipt", str(saved), stdout=StringIO())


def test_the_database_refuses_to_change_a_checkpoint(people: list[uuid.UUID]) -> None:
    for change in (
        LedgerCheckpoint.objects.all().delete,
        lambda: LedgerCheckpoint.objects.update(root="0" * 64),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


def test_a_checkpoint_that_a_crash_kept_inside_is_copied_later(people: list[uuid.UUID]) -> None:
    ledger_file().unlink()
    assert any("no copy outside" in one for one in findings())
    make(now=NOW)
    assert findings() == []
    with ledger_file().open("ab") as file:
        file.write(b'{"n": 2, "half')  # a crash while writing
    assert [line["n"] for line in lines.read(ledger_file())] == [1]


def test_checkpoints_follow_each_other_and_none_is_made_over_nothing(people: list[uuid.UUID]) -> None:
    assert make(now=NOW) == 0
    say(people[0], analytics=True)
    assert make(now=NOW) == 1
    first, second = LedgerCheckpoint.objects.order_by("n")
    assert (second.prev, second.from_id) == (first.hash, first.to_id)


def test_a_state_that_sql_changed_is_found(people: list[uuid.UUID]) -> None:
    ConsentState.objects.filter(pk=people[0]).update(
        state={"personalization": "granted", "analytics": "granted"}
    )
    assert findings() == [f"state: The state of {people[0]} is not what its chain adds up to."]


def test_all_states_are_compared_in_a_bounded_number_of_statements(
    people: list[uuid.UUID], django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(4):
        assert list(audit(now=NOW, only="state")) == []
