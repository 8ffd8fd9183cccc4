"""A sealed withdrawal: nothing reads the data, nothing deletes it for ten minutes, and granting again undoes it."""

import datetime as dt

import pytest

from consent.decisions import How, decide, undo
from consent.effects import Stage, effects_of
from consent.enforcement import enforce, reconcile
from consent.models import ConsentEvent, PropagationJob
from consent.state import read_gates
from personalization.models import Profile

pytestmark = pytest.mark.django_db
NOW = dt.datetime(2026, 11, 22, 8, tzinfo=dt.UTC)


@pytest.fixture
def subject():
    decision = decide(None, {"personalization": True}, how=How(method="test"), now=NOW)
    Profile.objects.create(
        subject_key=decision.subject_id,
        site_id=1,
        traits={"city": "Bergen"},
        held=["personalization"],
        first_seen_at=NOW,
        last_seen_at=NOW,
    )
    return decision.subject_id


@pytest.fixture(autouse=True)
def site():
    from cms.models import Site

    return Site.objects.get_or_create(pk=1, defaults={"key": "main", "title": "Main"})[0]


def withdraw(subject, *, seal):
    decide(subject, {"personalization": False}, how=How(method="test", seal=seal), now=NOW)


def test_nothing_is_readable_while_it_is_sealed(subject):
    withdraw(subject, seal=True)
    assert read_gates(subject).granted == frozenset()


def test_sealed_data_is_kept_for_ten_minutes_and_then_deleted(subject):
    withdraw(subject, seal=True)
    enforce(now=NOW + dt.timedelta(minutes=9, seconds=59))
    assert Profile.objects.filter(pk=subject).exists()
    enforce(now=NOW + dt.timedelta(minutes=10))
    assert not Profile.objects.filter(pk=subject).exists()


def test_granting_again_within_ten_minutes_brings_it_back(subject):
    withdraw(subject, seal=True)
    decide(subject, {"personalization": True}, how=How(method="test"), now=NOW + dt.timedelta(minutes=5))
    enforce(now=NOW + dt.timedelta(minutes=11))
    assert Profile.objects.get(pk=subject).traits == {"city": "Bergen"}
    assert not PropagationJob.objects.filter(state="pending").exists()


def test_without_a_seal_it_is_deleted_at_once(subject):
    withdraw(subject, seal=False)
    enforce(now=NOW)
    assert not Profile.objects.filter(pk=subject).exists()


def test_two_that_were_sealed_apart_both_keep_their_ten_minutes(subject):
    decide(subject, {"analytics": True, "marketing": True}, how=How(method="test"), now=NOW)
    Profile.objects.filter(pk=subject).update(held=["analytics", "marketing", "personalization"])
    for seconds, purpose in enumerate(("personalization", "marketing")):
        later = NOW + dt.timedelta(seconds=seconds)
        decide(subject, {purpose: False}, how=How(method="test", seal=True), now=later)
    before = ConsentEvent.objects.count()
    assert reconcile(now=NOW + dt.timedelta(minutes=1)) == 0  # the audit of every minute
    assert ConsentEvent.objects.count() == before
    enforce(now=NOW + dt.timedelta(minutes=9))
    assert Profile.objects.filter(pk=subject).exists()
    assert undo(subject, how=How(method="test"), now=NOW + dt.timedelta(minutes=9)) is not None
    assert read_gates(subject).granted == {"analytics", "marketing", "personalization"}
    assert Profile.objects.get(pk=subject).traits == {"city": "Bergen"}


def test_what_is_allowed_again_is_not_sealed_any_more_and_a_new_refusal_has_its_own_ten_minutes(subject):
    withdraw(subject, seal=True)
    decide(subject, {"personalization": True}, how=How(method="test"), now=NOW + dt.timedelta(minutes=4))
    assert set(PropagationJob.objects.values_list("state", flat=True)) == {"undone"}
    assert {one.stage for one in shown(subject, minutes=5)} <= {Stage.UNDONE, Stage.NONE}
    decide(
        subject,
        {"personalization": False},
        how=How(method="test", seal=True),
        now=NOW + dt.timedelta(minutes=8),
    )
    enforce(now=NOW + dt.timedelta(minutes=11))  # the first one's time is over
    assert Profile.objects.filter(pk=subject).exists()
    assert undo(subject, how=How(method="test"), now=NOW + dt.timedelta(minutes=17)) is not None
    assert Profile.objects.get(pk=subject).traits == {"city": "Bergen"}


def test_of_two_that_were_sealed_together_one_may_be_allowed_again(subject):
    decide(subject, {"analytics": True}, how=How(method="test"), now=NOW)
    both = {"personalization": False, "analytics": False}
    decide(subject, both, how=How(method="test", seal=True), now=NOW)
    decide(subject, {"personalization": True}, how=How(method="test"), now=NOW + dt.timedelta(minutes=1))
    assert {tuple(one.purposes) for one in PropagationJob.objects.filter(state="pending")} == {("analytics",)}
    enforce(now=NOW + dt.timedelta(minutes=11))
    assert Profile.objects.get(pk=subject).traits == {"city": "Bergen"}


def shown(subject, *, minutes):
    chain = [[event] for event in ConsentEvent.objects.filter(subject_key=subject)]
    return effects_of(chain, now=NOW + dt.timedelta(minutes=minutes))
