"""Whose rows everybody needs erases last, whatever order its duties were written in."""

import datetime as dt
import uuid

import pytest

from consent import enforcement
from consent.holders import holders, in_turn
from consent.models import PropagationJob
from personalization.keeping import HOLDERS


def test_claims_come_first_and_what_all_people_share_comes_last() -> None:
    names = [one.name for one in in_turn()]
    assert sorted(names) == sorted(one.name for one in holders())
    assert names.index("touched") == 0
    assert set(names[-2:]) == {"memberships", "profile"}
    assert HOLDERS[0].name == "touched"


@pytest.mark.django_db
def test_duties_of_several_decisions_are_done_in_one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    now = dt.datetime.now(dt.UTC)
    subject = uuid.uuid4()
    for purpose in ("analytics", "personalization"):
        enforcement.write_duties(subject, [purpose], None, now)

    def erase(job: PropagationJob, closed: object, moment: object) -> None:
        done.append(job.holder)
        job.state = job.State.DONE

    monkeypatch.setattr(enforcement, "_let_erase", erase)
    enforcement.enforce(now=now)
    turn = [one.name for one in in_turn()]
    assert done == sorted(done, key=turn.index)
    assert len(done) == 2 * len(turn)
