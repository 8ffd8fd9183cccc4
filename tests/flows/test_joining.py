"""One person on two devices: proof joins them, the stricter consent wins, and both devices see one person."""

import datetime as dt
import hashlib
import hmac
import uuid
from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from consent.enforcement import enforce
from consent.identities import owner_of
from consent.ledger import broken_entries
from consent.merging import combined, everyone_in, survivor
from consent.models import ConsentEvent, ConsentState, PropagationJob, Subject
from personalization import tasks
from personalization.models import Event, Exposure, Membership, Profile, Touched
from tests.builders import committing
from tests.flows.front import Front, agreed
from tests.flows.shop import NOW

pytestmark = pytest.mark.usefixtures("shop")
USER = "u-1"


def proof(user: str = USER) -> dict[str, str]:
    digest = hmac.new(settings.SITE_SECRET.encode(), user.encode(), hashlib.sha256).hexdigest()
    return {"userHash": digest}


def logs_in(front: Front, key: str, user: str = USER, **more: Any) -> None:
    answer = front.send(key, "identify", userId=user, context=proof(user), **more)
    assert answer.json()["accepted"] == 1, answer.content


def settle() -> None:
    with committing():
        tasks.fold_touched()


@pytest.fixture
def phone(write_key: str) -> Front:
    """Ada on her phone, logged in, with one order."""
    front = agreed(personalization=True, analytics=True)
    logs_in(front, write_key, traits={"first_name": "Ada"})
    front.buys(write_key, times=2)
    settle()
    return front


def test_a_second_device_is_the_same_person_from_the_next_request_on(phone: Front, write_key: str) -> None:
    laptop = agreed(personalization=True)
    laptop.buys(write_key, times=1)
    assert laptop.variant()[0] != "loyal"
    logs_in(laptop, write_key)
    assert laptop.variant()[0] == "loyal"  # three orders, from both devices, before any worker ran
    assert phone.variant()[0] == "loyal"
    settle()
    assert laptop.variant()[0] == phone.variant()[0] == "loyal"
    kept = Profile.objects.get()
    assert (str(kept.pk), kept.orders) == (phone.visitor, 3)
    assert set(Event.objects.values_list("subject_key", flat=True)) == {kept.pk}
    assert survivor(uuid.UUID(laptop.visitor)) == kept.pk


def test_what_the_joined_device_does_later_counts_for_the_one_person(phone: Front, write_key: str) -> None:
    laptop = agreed(personalization=True)
    logs_in(laptop, write_key)
    laptop.buys(write_key, times=1)
    assert phone.variant()[0] == laptop.variant()[0] == "loyal"
    settle()
    assert Profile.objects.get().orders == 3


def test_a_joined_device_withdraws_for_the_person(phone: Front, write_key: str) -> None:
    laptop = agreed(personalization=True)
    logs_in(laptop, write_key)
    assert laptop.decide(personalization=False).json()["visitor_id"] == phone.visitor
    assert phone.variant()[1] == laptop.variant()[1] == "no_consent"
    assert ConsentState.objects.get().state["personalization"] == "withdrawn"


@pytest.mark.parametrize("answer", ["refused", "withdrawn"])
def test_a_no_on_one_device_is_a_no_of_the_person(phone: Front, write_key: str, answer: str) -> None:
    laptop = agreed(analytics=True, personalization=answer == "withdrawn")
    laptop.decide(personalization=False)
    logs_in(laptop, write_key)
    state = ConsentState.objects.get()
    assert state.state == {"analytics": "granted", "personalization": answer}
    assert phone.variant()[1] == "no_consent"
    assert PropagationJob.objects.filter(subject_key=phone.visitor, purposes=["personalization"]).exists()
    with committing():
        enforce(now=dt.datetime.now(dt.UTC))
        tasks.fold_touched()
    assert not Profile.objects.filter(held__contains=["personalization"]).exists()
    assert not Event.objects.filter(purposes__contains=["personalization"]).exists()


def test_both_chains_stay_whole_and_tell_of_the_join(phone: Front, write_key: str) -> None:
    laptop = agreed(personalization=True)
    logs_in(laptop, write_key)
    both = everyone_in(uuid.UUID(phone.visitor))
    assert {str(one) for one in both} == {phone.visitor, laptop.visitor}
    for subject in both:
        assert not list(broken_entries(subject))
    last = ConsentEvent.objects.filter(subject_key=laptop.visitor).latest("seq")
    assert last.action == "merged"
    history = laptop.get("/api/v1/consent/history", headers={"X-Visitor": laptop.token}).json()
    assert {one["pii_principal_id"] for one in history} == {phone.visitor, laptop.visitor}


def test_who_joins_a_third_is_joined_at_once(phone: Front, write_key: str) -> None:
    laptop, tablet = agreed(personalization=True), agreed(personalization=True)
    logs_in(laptop, write_key)
    logs_in(tablet, write_key)
    assert Subject.objects.filter(merged_into=phone.visitor).count() == 2
    assert tablet.variant() == phone.variant()


def test_what_other_stores_keep_goes_along(phone: Front, write_key: str) -> None:
    from personalization.models import Segment

    laptop = agreed(personalization=True)
    segment = Segment.objects.first()
    for front in (phone, laptop):
        Membership.objects.create(segment=segment, subject_key=front.visitor, entered_at=NOW)
    Exposure.objects.create(
        key=uuid.uuid4(), site_id=1, subject_key=laptop.visitor, placement="/ a", variant="b", counters=[], at=NOW, purposes=["personalization"]
    )  # fmt: skip
    logs_in(laptop, write_key)
    assert Membership.objects.count() == 1
    for model in (Membership, Exposure, Event, Touched):
        assert not model.objects.filter(subject_key=laptop.visitor).exists(), model


def test_a_visitor_known_as_somebody_else_is_not_joined(phone: Front, write_key: str) -> None:
    ben = agreed(personalization=True)
    logs_in(ben, write_key, "u-2")
    logs_in(ben, write_key)
    assert str(owner_of("user", "u-2")) == ben.visitor
    assert survivor(uuid.UUID(ben.visitor)) == uuid.UUID(ben.visitor)


def test_a_server_that_knows_the_user_alone_tells_of_the_person(
    phone: Front, server_key: str, write_key: str
) -> None:
    bought = {"event": "Order Completed", "userId": USER, "anonymousId": None, "properties": {"revenue": 5}}
    assert Front().send(server_key, "track", **bought).json()["accepted"] == 1
    assert phone.variant()[0] == "loyal"
    assert Front().send(write_key, "track", **bought).json()["dropped"] == {"no_consent": 1}


states = st.sampled_from(["unset", "granted", "refused", "withdrawn", "expired"])


@given(states, states, states)
def test_the_stricter_answer_wins_whoever_is_joined_first(one: str, other: str, third: str) -> None:
    def allows(state: str) -> bool:
        return state == "granted"

    assert allows(combined(one, other)) == allows(combined(other, one))
    assert allows(combined(combined(one, other), third)) == allows(combined(one, combined(other, third)))
    if "refused" in (one, other) or "withdrawn" in (one, other):
        assert combined(one, other) in ("refused", "withdrawn")
    assert combined(one, "unset") == one


def test_a_signal_of_one_device_holds_on_the_next_once_they_are_one_person(write_key: str) -> None:
    """11 CCR 7025(c)(1): the browser, and any profile that goes with it."""
    phone = agreed(personalization=True, marketing=True)
    logs_in(phone, write_key)
    phone.tells(write_key, letter="weekly")
    assert phone.variant("/offers") == ("letter", "matched")
    laptop = agreed(personalization=True, marketing=True)
    laptop.tells(write_key, letter="weekly")
    assert laptop.variant("/offers", Sec_GPC="1") == ("default", "no_consent")
    logs_in(laptop, write_key)
    assert phone.variant("/offers") == ("default", "no_consent")  # which never sent it
    assert phone.variant("/")[1] == "matched"
    answer = phone.get("/api/v1/consent", headers={"X-Visitor": phone.token or ""}).json()
    assert answer["opt_out_preference_signal"] == "honored"
