"""Somebody enters and leaves a segment, and a server elsewhere is told: signed, once, and never after a withdrawal."""

import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from consent.enforcement import enforce
from consent.holders import holder
from consent.models import AccessLog
from personalization import told
from personalization.announcements import DELAYS, TRIES, pause_after, retry_in
from personalization.announcing import announce
from personalization.dead_letters import bury, replay
from personalization.endpoints import new_secret, rotate_secret, switch_on
from personalization.lanes import catch_up
from personalization.models import DeadLetter, Segment, SegmentChange, WebhookDelivery, WebhookEndpoint
from personalization.outgoing import Answer
from personalization.segments.refresh import refresh
from personalization.webhooks import send_due, send_test
from tests.builders import committing, the_site
from tests.flows.front import Front, agreed
from tests.flows.receiver import Receiver

pytestmark = pytest.mark.usefixtures("shop", "home")
DAY = dt.timedelta(days=1)


def moment(**after: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1) + dt.timedelta(**after)


@pytest.fixture
def home(settings: Any) -> None:
    """Allow loopback, where the receiver listens."""
    settings.WEBHOOK_ALLOW_PRIVATE = True


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give a server elsewhere."""
    made = Receiver()
    yield made
    made.close()


def make_endpoint(receiver: Receiver, *segments: str, **values: Any) -> tuple[WebhookEndpoint, str]:
    """Make an endpoint that is told of these segments (of all, when none is named); return it with its secret."""
    named = {"title": "CRM", "url": receiver.url, "purpose": "personalization"} | values
    endpoint = WebhookEndpoint(site=the_site(), **named)
    secret = new_secret(endpoint)
    endpoint.save()
    endpoint.segments.set(Segment.objects.filter(key__in=segments))
    return endpoint, secret


def fold() -> None:
    with committing():
        catch_up(the_site(), now=moment())


def tell(**after: float) -> None:
    """Announce what there is, and send what is due."""
    now = moment(**after)
    announce(now=now)
    while send_due(now=now):
        pass


def withdraw(front: Front, **purposes: bool) -> None:
    front.decide(**(purposes or {"personalization": False}))
    with committing():
        enforce(now=moment())


@pytest.fixture
def ada(write_key: str) -> Front:
    """Somebody who has just become loyal, which nobody was told of yet."""
    refresh(the_site(), now=moment())  # everything is counted: from now on changes are news
    announce(now=moment())
    front = agreed(personalization=True, marketing=True)
    front.buys(write_key, times=3)
    fold()
    return front


def test_an_endpoint_is_told_of_an_entry_with_a_signature_that_verifies(
    ada: Front, receiver: Receiver
) -> None:
    _, secret = make_endpoint(receiver, "loyal")
    tell()
    (message,) = receiver.taken
    change = SegmentChange.objects.get(segment__key="loyal")
    assert message.verify(secret) == {
        "type": "segment.entered",
        "timestamp": change.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "segment": "loyal",
            "visitor_id": str(ada.visitor),
            "cause": "event",
            "event": "Order Completed",
        },
    }
    row = WebhookDelivery.objects.get()
    assert (row.state, row.status, row.attempts) == ("done", 200, 1)
    sent = AccessLog.objects.get(kind="data_sent")
    assert (str(sent.subject_key), sent.actor, sent.purposes) == (
        ada.visitor,
        "task:webhooks",
        ["personalization"],
    )
    assert message.headers["webhook-id"] == row.message_id
    assert change.announced_at is not None


def test_nothing_is_told_twice(ada: Front, receiver: Receiver) -> None:
    make_endpoint(receiver, "loyal")
    tell()
    tell()
    SegmentChange.objects.update(announced_at=None)  # a worker that died before it could mark them
    tell()
    assert receiver.said() == [("segment.entered", "loyal")]


def test_leaving_is_told_too_and_only_what_an_endpoint_asked_for(
    ada: Front, receiver: Receiver, write_key: str
) -> None:
    make_endpoint(receiver, "loyal", kinds=["segment.left"])
    ada.tells(write_key, kids=1)
    fold()
    tell()
    assert receiver.taken == []
    with committing():
        catch_up_later(ada)
    tell(days=31)
    assert receiver.said() == [("segment.left", "loyal")]
    assert receiver.taken[0].content["data"]["cause"] == "time"


def catch_up_later(front: Front) -> None:
    """Let thirty-one days pass."""
    from personalization.lanes import fall_due

    assert fall_due(the_site(), now=moment(days=31)) == 1


def test_an_endpoint_without_segments_is_told_of_all(ada: Front, receiver: Receiver) -> None:
    make_endpoint(receiver)
    tell()
    assert ("segment.entered", "loyal") in receiver.said()


def test_what_happened_before_an_endpoint_was_there_is_not_news_to_it(ada: Front, receiver: Receiver) -> None:
    announce(now=moment())
    make_endpoint(receiver, "loyal")
    tell()
    assert receiver.taken == []


def test_a_change_that_the_pass_over_everybody_finds_is_told(
    ada: Front, receiver: Receiver, write_key: str
) -> None:
    make_endpoint(receiver, "readers", purpose="marketing")
    ada.tells(write_key, letter="weekly")
    refresh(the_site(), now=moment())
    tell()
    assert receiver.said() == [("segment.entered", "readers")]
    assert receiver.taken[0].content["data"]["cause"] == "set"


def test_a_segment_that_is_too_small_is_not_told_of(ada: Front, receiver: Receiver, write_key: str) -> None:
    make_endpoint(receiver, "parents")
    ada.tells(write_key, kids=1)
    fold()
    tell()
    assert SegmentChange.objects.filter(segment__key="parents", announced_at__isnull=False).exists()
    assert not WebhookDelivery.objects.exists()


class TestConsent:
    def test_without_the_endpoints_own_purpose_nothing_is_told(
        self, receiver: Receiver, write_key: str, ada: Front
    ) -> None:
        make_endpoint(receiver, "loyal", purpose="third_party")
        tell()
        assert receiver.taken == []
        assert WebhookDelivery.objects.get().state == "withheld"

    def test_what_was_queued_before_a_withdrawal_is_not_sent_after_it(
        self, ada: Front, receiver: Receiver
    ) -> None:
        make_endpoint(receiver, "loyal")
        announce(now=moment())
        ada.decide(personalization=False)
        send_due(now=moment())
        assert receiver.taken == []
        assert WebhookDelivery.objects.get().state == "withheld"

    def test_a_retry_is_not_sent_after_a_withdrawal(self, ada: Front, receiver: Receiver) -> None:
        receiver.answers = [503]
        make_endpoint(receiver, "loyal")
        tell()
        ada.decide(personalization=False)
        tell(minutes=10)
        assert receiver.said() == [("segment.entered", "loyal")]

    def test_who_was_told_of_the_entry_is_told_that_this_person_left_and_nothing_else(
        self, ada: Front, receiver: Receiver
    ) -> None:
        _, secret = make_endpoint(receiver, "loyal")
        tell()
        withdraw(ada)
        tell()
        farewell = receiver.taken[1].verify(secret)
        assert farewell["type"] == "segment.left"
        assert farewell["data"] == {"segment": "loyal", "visitor_id": str(ada.visitor)}
        assert (farewell.keys(), len(receiver.taken)) == ({"type", "timestamp", "data"}, 2)
        subject = uuid.UUID(str(ada.visitor))
        assert holder("webhooks").export(subject) == {"messages": []}
        row = WebhookDelivery.objects.get()
        assert (row.state, row.subject_key) == ("done", None)

    def test_nothing_is_ever_told_after_the_farewell(
        self, ada: Front, receiver: Receiver, write_key: str
    ) -> None:
        make_endpoint(receiver, "loyal")
        tell()
        withdraw(ada)
        tell()
        ada.send(write_key, "track", event="Order Completed", properties={"revenue": 9})
        refresh(the_site(), now=moment())
        fold()
        withdraw(ada)
        tell(days=40)
        assert len(receiver.taken) == 2

    def test_withdrawing_what_the_endpoint_is_for_is_a_farewell_too(
        self, ada: Front, receiver: Receiver
    ) -> None:
        make_endpoint(receiver, "loyal", purpose="marketing")
        tell()
        withdraw(ada, marketing=False)
        tell()
        assert receiver.said() == [("segment.entered", "loyal"), ("segment.left", "loyal")]
        assert ada.variant() == ("loyal", "matched")  # pages may still know

    def test_an_endpoint_that_asked_for_entries_alone_is_told_of_the_withdrawal(
        self, ada: Front, receiver: Receiver
    ) -> None:
        make_endpoint(receiver, "loyal", kinds=["segment.entered"])
        tell()
        withdraw(ada)
        tell()
        assert receiver.said()[1:] == [("segment.left", "loyal")]

    def test_who_was_never_told_of_the_entry_is_not_told_of_the_withdrawal(
        self, ada: Front, receiver: Receiver
    ) -> None:
        make_endpoint(receiver, "loyal", purpose="third_party")
        tell()
        make_endpoint(receiver, "loyal", title="Later")
        SegmentChange.objects.update(announced_at=None)
        announce(now=moment())  # waits to be sent
        withdraw(ada)
        tell()
        assert receiver.taken == []
        assert not WebhookDelivery.objects.exists()

    def test_a_message_that_may_have_arrived_counts_as_told(self, ada: Front, receiver: Receiver) -> None:
        receiver.answers = [500]
        make_endpoint(receiver, "loyal")
        tell()
        withdraw(ada)
        tell(seconds=20)
        assert receiver.said()[1:] == [("segment.left", "loyal")]

    def test_folding_before_the_erasure_takes_leave_once(self, ada: Front, receiver: Receiver) -> None:
        """The worker looks at the profile between the withdrawal and its effects."""
        make_endpoint(receiver, "loyal")
        tell()
        ada.decide(personalization=False)
        refresh(the_site(), now=moment())
        tell()
        with committing():
            enforce(now=moment())
        tell()
        assert receiver.said() == [("segment.entered", "loyal"), ("segment.left", "loyal")]
        assert receiver.taken[1].content["data"].keys() == {"segment", "visitor_id"}

    def test_erasing_twice_takes_leave_once(self, ada: Front, receiver: Receiver) -> None:
        make_endpoint(receiver, "loyal")
        tell()
        subject = uuid.UUID(str(ada.visitor))
        assert told.erase(subject, ["personalization"]) == 1
        assert told.erase(subject, ["personalization"]) == 0
        tell()
        assert len(receiver.taken) == 2

    def test_a_person_sees_who_was_told(self, ada: Front, receiver: Receiver) -> None:
        make_endpoint(receiver, "loyal")
        tell()
        (shown,) = holder("webhooks").export(uuid.UUID(str(ada.visitor)))["messages"]
        assert (shown["to"], shown["type"], shown["title"], shown["state"]) == (
            "CRM",
            "segment.entered",
            "loyal",
            "done",
        )


class TestTryingAgain:
    def test_eight_tries_a_letter_and_a_replay_under_the_same_id(
        self, ada: Front, receiver: Receiver
    ) -> None:
        receiver.answers = [400] * TRIES
        make_endpoint(receiver, "loyal")
        tell()
        waited = dt.timedelta()
        for number, delay in enumerate(DELAYS, start=1):
            row = WebhookDelivery.objects.get()
            assert (row.state, row.attempts, row.error) == ("waiting", number, "HTTP 400: thank you")
            early, waited = waited + delay * 0.85, waited + delay * 1.15
            tell(seconds=early.total_seconds() - 2)
            assert len(receiver.taken) == number
            tell(seconds=waited.total_seconds() + 2)
            assert len(receiver.taken) == number + 1
        row.refresh_from_db()
        assert (row.state, row.attempts) == ("failed", TRIES)
        letter = DeadLetter.objects.get()
        assert (letter.kind, letter.error, letter.attempts) == ("webhook", "CRM: HTTP 400", TRIES)
        assert str(ada.visitor) not in f"{letter.reference}{letter.error}"
        assert replay(letter, now=moment())
        tell()
        row.refresh_from_db()
        assert row.state == "done"
        assert {one.headers["webhook-id"] for one in receiver.taken} == {row.message_id}
        assert not replay(letter, now=moment())  # nothing is left of it

    def test_delays_grow_with_some_jitter_and_end(self) -> None:
        assert [retry_in(n, random=0.5) for n in range(1, TRIES + 1)] == [*DELAYS, None]
        assert retry_in(1, random=0) == dt.timedelta(seconds=4.5)
        assert retry_in(1, random=1) == dt.timedelta(seconds=5.5)
        assert [pause_after(n).total_seconds() for n in (1, 2, 3, 7, 90)] == [5, 10, 20, 300, 300]

    def test_an_endpoint_that_does_not_answer_is_left_alone_for_a_while(
        self, ada: Front, receiver: Receiver, write_key: str
    ) -> None:
        endpoint, _ = make_endpoint(receiver)
        receiver.close()
        tell()
        tried = WebhookDelivery.objects.filter(attempts=1).count()
        ada.tells(write_key, letter="weekly")
        fold()
        tell()
        assert WebhookDelivery.objects.filter(attempts=1).count() == tried
        endpoint.refresh_from_db()
        assert endpoint.paused_until is not None
        assert "No connection" in WebhookDelivery.objects.order_by("id")[0].error

    def test_one_that_recovers_is_trusted_again(self, ada: Front, receiver: Receiver) -> None:
        endpoint, _ = make_endpoint(receiver, "loyal")
        receiver.answers = [500]
        tell()
        tell(minutes=1)
        endpoint.refresh_from_db()
        assert (endpoint.failing_since, endpoint.failures, endpoint.paused_until) == (None, 0, None)

    def test_gone_switches_an_endpoint_off_with_a_reason(self, ada: Front, receiver: Receiver) -> None:
        endpoint, _ = make_endpoint(receiver, "loyal")
        receiver.answers = [410]
        tell()
        endpoint.refresh_from_db()
        assert (endpoint.active, endpoint.disabled_reason[:12]) == (False, "It answered ")
        assert WebhookDelivery.objects.get().state == "failed"
        tell(days=1)
        assert len(receiver.taken) == 1
        switch_on(endpoint)
        endpoint.refresh_from_db()
        assert (endpoint.active, endpoint.disabled_reason) == (True, "")

    def test_failing_for_five_days_switches_an_endpoint_off(self, ada: Front, receiver: Receiver) -> None:
        endpoint, _ = make_endpoint(receiver, "loyal")
        WebhookEndpoint.objects.update(failing_since=moment(days=-5), failures=9)
        receiver.answers = [500]
        tell()
        endpoint.refresh_from_db()
        assert not endpoint.active
        assert "5 days" in endpoint.disabled_reason

    def test_who_asks_for_patience_gets_it(self, ada: Front, receiver: Receiver) -> None:
        make_endpoint(receiver, "loyal")
        receiver.answers = [429]
        tell()
        assert WebhookDelivery.objects.get().next_at > moment(seconds=2)

    def test_a_redirect_is_a_failure(self, ada: Front, receiver: Receiver) -> None:
        make_endpoint(receiver, "loyal")
        receiver.answers = [302]
        tell()
        assert WebhookDelivery.objects.get().status == 302

    def test_a_claim_whose_process_died_is_taken_over(self, ada: Front, receiver: Receiver) -> None:
        make_endpoint(receiver, "loyal")
        announce(now=moment())
        WebhookDelivery.objects.update(attempts=1, next_at=moment(seconds=60))
        tell()
        assert receiver.taken == []
        tell(seconds=61)
        assert len(receiver.taken) == 1

    def test_leaving_waits_for_the_entry_that_is_still_being_told(
        self, ada: Front, receiver: Receiver
    ) -> None:
        make_endpoint(receiver, "loyal")
        receiver.answers = [400]
        tell()
        with committing():
            catch_up_later(ada)
        announce(now=moment())
        assert send_due(now=moment()) == 0
        tell(minutes=1)
        tell(minutes=1)
        assert receiver.said() == [("segment.entered", "loyal")] * 2 + [("segment.left", "loyal")]


def test_an_endpoint_that_points_inside_is_never_connected(
    ada: Front, receiver: Receiver, settings: Any
) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = False
    make_endpoint(receiver, "loyal", url=receiver.url.replace("http:", "https:"))
    tell()
    assert receiver.taken == []
    assert "port" in WebhookDelivery.objects.get().error.lower()


def test_both_secrets_sign_while_one_takes_over(ada: Front, receiver: Receiver) -> None:
    endpoint, before = make_endpoint(receiver, "loyal")
    after = rotate_secret(endpoint, now=moment())
    assert before != after
    tell()
    (message,) = receiver.taken
    assert message.verify(before) == message.verify(after)
    assert bytes(WebhookEndpoint.objects.get().secret).find(after.encode()) == -1  # encrypted at rest


def test_the_old_secret_ends_after_a_day(ada: Front, receiver: Receiver) -> None:
    endpoint, _ = make_endpoint(receiver, "loyal")
    rotate_secret(endpoint, now=moment(days=-2))
    tell()
    assert len(receiver.taken[0].headers["webhook-signature"].split()) == 1


def test_a_test_message_is_about_nobody(receiver: Receiver) -> None:
    endpoint, secret = make_endpoint(receiver)
    answer = send_test(endpoint, now=moment())
    assert isinstance(answer, Answer)
    assert (answer.status, answer.text) == (200, "thank you")
    assert receiver.taken[0].verify(secret)["data"] == {"segment": None, "visitor_id": None}
    assert not WebhookDelivery.objects.exists()


def test_the_log_is_forgotten_but_not_who_knows_of_somebody(ada: Front, receiver: Receiver) -> None:
    make_endpoint(receiver, "loyal")
    tell()
    assert told.expire(before=moment(days=40)) == 0  # who withdraws in a year is still taken leave of
    with committing():
        catch_up_later(ada)
    tell(days=31)
    assert told.expire(before=moment(days=80)) == 2


def test_many_endpoints_share_what_goes_at_once(ada: Front, receiver: Receiver) -> None:
    for number in range(5):
        make_endpoint(receiver, title=f"No. {number}")
    announce(now=moment())
    assert send_due(now=moment(), limit=5) >= 5
    assert WebhookDelivery.objects.filter(attempts=1).values("endpoint").distinct().count() == 5


def test_a_letter_of_an_unknown_kind_stays_where_it_is() -> None:
    bury("carrier-pigeon", "1", attempts=8, error="lost", now=moment())
    assert not replay(DeadLetter.objects.get(), now=moment())


def test_announcing_is_one_statement_however_much_there_is(django_assert_max_num_queries: Any) -> None:
    announce(now=moment())
    with django_assert_max_num_queries(
        5
    ):  # a savepoint, its end, the lock, the segments, and one for everything
        announce(now=moment())
