"""The log of accesses: added to, shortened by an erasure, deleted when old, and nothing else."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from cms.roles import AUTHORS, PUBLISHERS, ensure_roles
from consent import access_log
from consent.access_log import Kind, note
from consent.models import AccessLog
from tests.admin.content import client_of

pytestmark = pytest.mark.django_db
ADA = uuid.UUID(int=1)


def look(**more: Any) -> AccessLog:
    """Write down one look at a profile."""
    said = {"actor": "staff:cleo", "subject": ADA, "now": timezone.now()} | more
    note(Kind.PROFILE_SEEN, **said)
    return AccessLog.objects.latest("id")


def refused(statement: str) -> bool:
    """Say whether the database refuses a statement."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except DatabaseError:
        return True
    return False


def test_it_says_who_saw_whom_when_where_and_why() -> None:
    now = timezone.now()
    row = look(now=now, place="/admin/profile/", reason="A question on the phone", purposes={"b", "a"})
    assert (row.actor, row.subject_key, row.people, row.at) == ("staff:cleo", ADA, 1, now)
    assert (row.place, row.reason, row.purposes) == ("/admin/profile/", "A question on the phone", ["a", "b"])


def test_work_on_many_is_one_row_with_their_number() -> None:
    note(Kind.MODEL_TRAINED, actor=access_log.task("train"), people=1_234, now=timezone.now())
    assert AccessLog.objects.values_list("people", "subject_key").get() == (1_234, None)


def test_what_is_no_access_is_refused() -> None:
    with pytest.raises(ValueError, match="no kind"):
        note("gossip", actor="visitor", subject=ADA, now=timezone.now())
    with pytest.raises(ValueError, match="about whom"):
        note(Kind.PROFILE_SEEN, actor="visitor", now=timezone.now())


def test_the_database_refuses_to_change_or_delete_it() -> None:
    look()
    assert refused("UPDATE consent_accesslog SET actor = 'staff:nobody'")
    assert refused(f"UPDATE consent_accesslog SET subject_key = '{uuid.UUID(int=2)}'")
    assert refused("DELETE FROM consent_accesslog")
    assert refused("TRUNCATE consent_accesslog")
    assert AccessLog.objects.get().actor == "staff:cleo"


def test_it_is_deleted_when_its_time_is_over_and_not_before() -> None:
    now = timezone.now()
    look(now=now - dt.timedelta(days=366))
    kept = look(now=now - dt.timedelta(days=364))
    assert access_log.expire(now=now, days=365) == 1
    assert access_log.expire(now=now, days=1) == 1  # a setting below thirty days counts as thirty
    fresh = look(now=now - dt.timedelta(days=29))
    assert access_log.expire(now=now, days=1) == 0
    assert list(AccessLog.objects.all()) == [fresh]
    assert kept.pk != fresh.pk


def test_a_withdrawal_keeps_it_and_an_erasure_takes_the_subject_out() -> None:
    look()
    look(subject=uuid.UUID(int=2))
    assert access_log.HOLDER.erase(ADA, ["personalization"]) == 0
    assert len(access_log.export(ADA)["accesses"]) == 1
    assert access_log.HOLDER.erase(ADA, ["personalization", "necessary"]) == 1
    assert access_log.export(ADA) == {"accesses": []}
    assert AccessLog.objects.count() == 2


def test_one_is_told_that_somebody_of_the_office_looked_not_who() -> None:
    look(reason="A question")
    (shown,) = access_log.export(ADA)["accesses"]
    assert (shown["by"], shown["what"], shown["reason"]) == ("staff", "A profile was looked at", "A question")
    assert "cleo" not in str(shown)


def test_the_office_searches_it_and_changes_nothing() -> None:
    ensure_roles()
    row = look(place="/admin/profile/")
    look(actor="key:crm", subject=uuid.UUID(int=2))
    url = reverse("admin:consent_accesslog_changelist")
    publisher = client_of(PUBLISHERS)
    found = publisher.get(url, {"q": "crm"}).content.decode()
    assert "key:crm" in found
    assert "staff:cleo" not in found
    assert str(ADA) not in publisher.get(url).content.decode()
    assert publisher.post(reverse("admin:consent_accesslog_delete", args=[row.pk])).status_code == 403
    assert client_of(AUTHORS).get(url).status_code == 403
