"""The ledger: a chain per subject that shows every tampering, and a database that refuses it."""

import datetime as dt
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from consent.audit import audit
from consent.decisions import How, decide
from consent.erasure import erase
from consent.ledger import broken_entries
from consent.models import ConsentEvent, SubjectKey
from tests.builders import NOW, unprotected

pytestmark = pytest.mark.django_db


@pytest.fixture
def subject() -> uuid.UUID:
    """Let somebody decide three times."""
    how = How(method="api", notice="1")
    made = decide(None, {"analytics": True, "personalization": True}, how=how, now=NOW).subject_id
    assert made is not None
    decide(made, {"analytics": False}, how=how, now=NOW + dt.timedelta(days=1))
    decide(made, {"marketing": True}, how=how, now=NOW + dt.timedelta(days=2))
    return made


def broken(subject: uuid.UUID) -> list[int]:
    return [row.seq for row in broken_entries(subject)]


def test_an_untouched_chain_is_whole(subject: uuid.UUID) -> None:
    assert ConsentEvent.objects.filter(subject_key=subject).count() == 4
    assert broken(subject) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE consent_consentevent SET action = 'granted'",
        "UPDATE consent_consentevent SET at = now()",
        "UPDATE consent_consentevent SET payload_enc = 'x'",
        "UPDATE consent_consentevent SET salt = NULL",
        "DELETE FROM consent_consentevent",
        "TRUNCATE consent_consentevent CASCADE",
    ],
)
def test_the_database_refuses_to_change_what_was_written(subject: uuid.UUID, statement: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert broken(subject) == []


CLEAR = {
    "action": "granted", "purpose": "sensitive", "notice_version": "7", "served_id": "x", "method": "admin",
    "actor": "staff", "regime": "none", "gpc": True, "at": NOW, "tc_string": "x", "gpp_string": "x", "site_id": 2,
}  # fmt: skip


@pytest.mark.parametrize("column", sorted(CLEAR))
def test_an_edited_column_is_found(subject: uuid.UUID, column: str) -> None:
    with unprotected():
        ConsentEvent.objects.filter(subject_key=subject, seq=3).update(**{column: CLEAR[column]})
    assert broken(subject) == [3]


def test_a_deleted_entry_is_found_at_the_one_after_it(subject: uuid.UUID) -> None:
    with unprotected():
        ConsentEvent.objects.filter(subject_key=subject, seq=2)._raw_delete("default")
    assert broken(subject) == [3]


def test_swapped_entries_are_found(subject: uuid.UUID) -> None:
    with unprotected():
        rows = ConsentEvent.objects.filter(subject_key=subject)
        for old, new in ((2, 99), (3, 2), (99, 3)):
            rows.filter(seq=old).update(seq=new)
    assert broken(subject)


def test_another_payload_is_found(subject: uuid.UUID) -> None:
    first, second = ConsentEvent.objects.filter(subject_key=subject, seq__in=(1, 3)).order_by("seq")
    with unprotected():
        ConsentEvent.objects.filter(pk=first.pk).update(payload_enc=second.payload_enc)
    assert broken(subject) == [1]


def test_shredding_payloads_leaves_the_chain_whole(subject: uuid.UUID) -> None:
    ConsentEvent.objects.filter(subject_key=subject).update(salt=None, payload_enc=None)
    assert broken(subject) == []


def test_words_that_are_gone_although_nobody_was_erased_are_found(
    subject: uuid.UUID, tmp_path: Path, settings: Any
) -> None:
    settings.LEDGER_DIR = tmp_path
    assert [one for one in audit(now=NOW) if one.invariant == "ledger"] == []
    ConsentEvent.objects.filter(subject_key=subject, seq__in=(2, 3)).update(salt=None, payload_enc=None)
    (found,) = [one.detail for one in audit(now=NOW) if one.invariant == "ledger"]
    assert found.endswith(f"(number 2 of {subject}) has lost its words, and nobody was erased.")
    erase(subject, now=NOW)
    assert [one for one in audit(now=NOW) if one.invariant == "ledger"] == []


def test_destroying_the_key_leaves_the_chain_whole(subject: uuid.UUID) -> None:
    SubjectKey.objects.filter(pk=subject).update(destroyed_at=NOW)
    assert broken(subject) == []


def test_chains_of_two_people_do_not_touch(subject: uuid.UUID) -> None:
    other = decide(None, {"analytics": True}, how=How(method="api"), now=NOW).subject_id
    assert other is not None
    assert ConsentEvent.objects.get(subject_key=other).prev_hash == ""
    assert broken(other) == []


def test_a_notice_is_immutable(subject: uuid.UUID) -> None:
    from consent.purposes import current_notice

    notice = current_notice(1, now=NOW)
    with pytest.raises(DatabaseError), transaction.atomic():
        type(notice).objects.filter(pk=notice.pk).update(texts={})
