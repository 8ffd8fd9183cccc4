"""The worker is away: memberships wait, pages do not, and the table is right soon after it is back (R11, R12)."""

import os
import signal
from collections.abc import Callable

import pytest

from tests.faults.journal import Person, headline, new_person
from tests.faults.system import System, wait_until

pytestmark = pytest.mark.faults
PEOPLE = 100
SOON_SECONDS = 10.0
STALE = "SELECT count(*) FROM personalization_profile WHERE segmented_version < version"
HIKERS = (
    "SELECT count(*) FROM personalization_membership m JOIN personalization_segment s ON s.id = m.segment_id"
    " WHERE s.key = 'hiker' AND m.subject_key = ANY(%s::uuid[])"
)


def test_pages_are_right_while_memberships_wait_for_the_worker(
    system: System, key: str, say: Callable[[str], None]
) -> None:
    people = [new_person(system, key) for _ in range(PEOPLE)]
    wait_until(lambda: system.rows(STALE) == [(0,)], 60)
    for process in system.workers():
        os.kill(process, signal.SIGSTOP)
    assert all(person.declare(sport="hiking", city="Bergen").status == 200 for person in people)
    assert all(is_for_hikers(person) for person in people)
    ids = [person.id for person in people]
    assert system.rows(HIKERS, ids) == [(0,)]
    assert system.rows(STALE) == [(PEOPLE,)]
    system.thaw()
    waited = wait_until(lambda: system.rows(HIKERS, ids) == [(PEOPLE,)], SOON_SECONDS)
    say(f"{PEOPLE} memberships were right {waited:.1f} s after the worker was back")
    assert system.rows(STALE) == [(0,)]


def is_for_hikers(person: Person) -> bool:
    return headline(person.page()).startswith("hiker: Bergen")
