"""Somebody whose events cannot be folded holds up nobody, is tried eight times, and can be begun again."""

import datetime as dt
from typing import Any

import pytest

from personalization import lanes
from personalization.dead_letters import replay
from personalization.models import DeadLetter, Profile, Touched
from tests.builders import committing, the_site
from tests.flows.front import Front, agreed

pytestmark = pytest.mark.usefixtures("shop")
NOW = dt.datetime.now(dt.UTC)


def catch_up(*, days: float = 0) -> int:
    with committing():
        return lanes.catch_up(the_site(), now=dt.datetime.now(dt.UTC) + dt.timedelta(days=days))


@pytest.fixture
def poisoned(settings: Any, write_key: str) -> Front:
    """Somebody with an event over which folding fails, between two others."""
    settings.FAULT = "poison:Poison"
    before, front, after = (agreed() for _ in range(3))
    before.buys(write_key)
    front.send(write_key, "track", event="Poison")
    after.buys(write_key)
    return front


def test_the_others_of_a_batch_are_folded(poisoned: Front) -> None:
    assert catch_up() == 3
    assert list(Profile.objects.filter(orders=1).values_list("folded_id", flat=True).distinct().order_by())
    assert Profile.objects.filter(orders=1).count() == 2
    claim = Touched.objects.get()
    assert (str(claim.subject_key), claim.attempts) == (poisoned.visitor, 1)
    assert catch_up() == 0  # it waits for its next try


def test_after_eight_tries_it_lies_among_the_dead_letters_and_can_be_begun_again(
    poisoned: Front, settings: Any
) -> None:
    for days in range(10):
        catch_up(days=days)
    letter = DeadLetter.objects.get()
    assert (letter.kind, letter.attempts) == ("fold", 8)
    assert letter.error.startswith("Poisoned in fail_over")
    assert poisoned.visitor not in letter.reference
    assert catch_up(days=400) == 0
    settings.FAULT = ""
    assert replay(letter, now=dt.datetime.now(dt.UTC))
    assert catch_up() == 1
    assert not Touched.objects.exists()
    assert Profile.objects.filter(pk=poisoned.visitor).exists()
    assert letter.replayed_at is not None


def test_the_page_of_somebody_who_cannot_be_folded_is_served(poisoned: Front) -> None:
    assert poisoned.variant() == ("default", "unknown_fact")


def test_time_and_new_rules_leave_one_who_fails_behind_and_look_at_the_others(
    poisoned: Front, write_key: str
) -> None:
    Profile.objects.bulk_create(
        Profile(
            subject_key=claim.subject_key, site=the_site(), first_seen_at=NOW, last_seen_at=NOW, due_at=NOW
        )
        for claim in Touched.objects.all()
    )
    with committing():
        assert lanes.fall_due(the_site(), now=dt.datetime.now(dt.UTC)) == 3
        assert lanes.fall_due(the_site(), now=dt.datetime.now(dt.UTC)) == 0
    for _ in range(3):
        catch_up()
    assert Profile.objects.filter(orders=1).count() == 2


def test_an_erasure_takes_the_claim_along(poisoned: Front) -> None:
    from consent.enforcement import enforce

    catch_up()
    poisoned.decide(personalization=False)
    with committing():
        enforce(now=dt.datetime.now(dt.UTC))
    assert not Touched.objects.exists()
    assert replay(DeadLetter(kind="fold", reference="1"), now=NOW) is False


def test_the_log_says_where_it_failed_and_nothing_of_the_person(
    poisoned: Front, caplog: pytest.LogCaptureFixture
) -> None:
    catch_up()
    (said,) = (record for record in caplog.records if record.name == "personalization.lanes")
    assert said.getMessage().startswith("a batch failed (Poisoned in fail_over")
    assert said.exc_info is None
    assert poisoned.visitor not in caplog.text
