"""What takes long is done once at a time: a second connection that is at it keeps a worker's thread free."""

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection

from consent import rights, tasks
from consent.locks import COPIES, FLAGS, alone
from consent.models import PrivacyRequest, Subject
from consent.seal import new_key

pytestmark = pytest.mark.django_db


@contextmanager
def elsewhere() -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    """Give another connection to the same database; afterwards it has ended, and PostgreSQL has noticed."""
    known = connection.get_connection_params()
    address = {
        name: known[name] for name in ("dbname", "user", "host", "port", "password") if known.get(name)
    }
    with psycopg.connect(**address, autocommit=True) as other:
        pid = other.info.backend_pid
        yield other
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_stat_clear_snapshot(), count(*) FROM pg_stat_activity WHERE pid = %s", [pid]
            )
            if cursor.fetchone()[1] == 0:
                return
        time.sleep(0.01)
    raise AssertionError("The other connection did not end.")


@pytest.mark.parametrize("what", [COPIES, FLAGS])
def test_only_one_is_at_it_and_the_next_may_when_it_is_done_or_dead(what: int) -> None:
    with elsewhere() as other:
        other.execute("SELECT pg_advisory_lock(%s, 0)", [what])
        with alone(what) as mine:
            assert not mine
    with alone(what) as mine:  # the other connection has ended
        assert mine
    with elsewhere() as other:
        assert other.execute("SELECT pg_try_advisory_lock(%s, 0)", [what]).fetchone() == (True,)


def test_a_copy_waits_for_the_one_that_is_being_made() -> None:
    now = dt.datetime.now(dt.UTC)
    person = Subject.objects.create(created_at=now)
    new_key(person.pk).save()
    rights.ask("export", person.pk, channel="dashboard", verification="token", now=now)
    with elsewhere() as other:
        other.execute("SELECT pg_advisory_lock(%s, 0)", [COPIES])
        assert tasks.answer_requests() == 0
        assert PrivacyRequest.objects.get().state == "waiting"
    assert tasks.answer_requests() == 1
    assert PrivacyRequest.objects.get().state == "ready"
