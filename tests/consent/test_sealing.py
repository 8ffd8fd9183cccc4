"""A sealed withdrawal: nothing reads the data, nothing deletes it for ten minutes, and granting again undoes it."""

import datetime as dt

import pytest

from consent.decisions import How, decide
from consent.enforcement import enforce
from consent.models import PropagationJob
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
