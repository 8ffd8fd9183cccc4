"""Consent is withdrawn: the next page knows nothing, then everybody who kept something has deleted it."""

import datetime as dt
import uuid
from collections import Counter

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consent.audit import audit
from consent.enforcement import LATE_AFTER, enforce, reconcile
from consent.gates import Gates, encode
from consent.holders import holders
from consent.hot_store import hot_store
from consent.models import ConsentEvent, ConsentState, PropagationJob, Purpose
from consent.purposes import forget_closing
from consent.state import gates_key
from personalization.lanes import catch_up
from personalization.models import Event, Membership, Profile, Segment
from personalization.profiles import publish_snapshots, snapshot_key
from personalization.segments.refresh import refresh
from tests.builders import committing, the_site
from tests.flows.front import Front, agreed

pytestmark = pytest.mark.usefixtures("shop")
UNTIL_ERASED = {"identity", "decisions"}  # who one is, and what one decided, are kept beyond a withdrawal


def soon() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)


def work() -> int:
    """Let the worker do what is due."""
    with committing():
        return enforce(now=soon())


@pytest.fixture
def ada(write_key: str) -> Front:
    """Somebody of whom every holder keeps something."""
    front = agreed(personalization=True)
    front.tells(write_key, first_name="Ada", kids=2)
    refresh(the_site(), now=soon())
    front.buys(write_key, times=3)
    with committing():
        catch_up(the_site(), now=soon())
    assert front.variant() == ("loyal", "matched")
    assert Profile.objects.exclude(segments=[]).filter(pk=front.visitor).exists()
    return front


def kept(front: Front) -> dict[str, bool]:
    """Say which holder keeps something of somebody."""
    subject = uuid.UUID(str(front.visitor))
    exported = {one.name: one.export(subject) for one in holders() if one.name not in UNTIL_ERASED}
    return {name: any(one.values()) for name, one in exported.items()}


def test_the_very_next_page_is_not_personal(ada: Front) -> None:
    before = Front().page()
    ada.decide(personalization=False)
    assert ada.page().content == before.content


def test_who_derives_something_is_waited_for_first_and_what_all_share_is_taken_last(ada: Front) -> None:
    """The order of locks: a fold that is under way has committed before anything that it writes is deleted."""
    ada.decide(personalization=False)
    with CaptureQueriesContext(connection) as ran:
        work()
    statements = [query["sql"] for query in ran.captured_queries]

    def first(*parts: str) -> int:
        return next(n for n, sql in enumerate(statements) if all(part in sql for part in parts))

    waited = first('FROM "personalization_profile"', "FOR UPDATE")
    assert first("consent_consentstate", "FOR UPDATE") < first("DELETE", "personalization_touched") < waited
    own = ("exposure", "event", "segmentchange", "webhookdelivery", "triggerrun")
    places = [n for n, sql in enumerate(statements) for name in own if f"personalization_{name}" in sql]
    assert waited < min(places)
    assert max(places) < first('UPDATE "personalization_segment"')


def test_who_read_a_profile_before_it_was_erased_writes_no_copy_afterwards(ada: Front) -> None:
    """A fold publishes after its commit, when an erasure may have been through: its copy must not stay for a day."""
    read = list(Profile.objects.filter(pk=ada.visitor))
    ada.decide(personalization=False)
    work()
    assert not Profile.objects.filter(pk=ada.visitor).exists()
    publish_snapshots(read)
    assert not hot_store().read([snapshot_key(uuid.UUID(str(ada.visitor)))])[0]
    assert not kept(ada)["snapshot"]


def test_also_when_redis_was_emptied(ada: Front) -> None:
    ada.decide(personalization=False)
    redis.Redis.from_url(settings.REDIS_HOT_URL).flushdb()
    assert ada.variant() == ("default", "no_consent")


def test_a_slow_reader_of_the_old_state_does_not_bring_it_back(ada: Front) -> None:
    row = ConsentState.objects.get(subject_id=ada.visitor)
    ada.decide(personalization=False)
    stale = encode(Gates(frozenset({"personalization"}), row.version), until=soon().timestamp() + 9)
    assert not hot_store().put(gates_key(row.subject_id), stale, version=row.version, ttl_seconds=9)
    assert ada.variant() == ("default", "no_consent")


def test_an_entry_past_its_moment_is_not_believed(ada: Front) -> None:
    subject = uuid.UUID(str(ada.visitor))
    ConsentState.objects.filter(pk=subject).update(state={})
    old = encode(Gates(frozenset({"personalization"}), 99), until=soon().timestamp() - 5)
    hot_store().put(gates_key(subject), old, version=99, ttl_seconds=60)
    assert ada.variant() == ("default", "no_consent")


def test_every_holder_is_empty_after_the_worker_and_has_its_receipt(ada: Front) -> None:
    ada_before = kept(ada)
    assert {name for name, kept_something in ada_before.items() if not kept_something} == {
        "touched",
        "exposures",
        "access_log",
        "webhooks",
        "triggers",
        "requests",
    }
    ada.decide(personalization=False)
    assert work() == len(list(holders()))
    assert set(kept(ada)) >= {"profile", "events", "memberships", "changes", "snapshot"}
    assert not any(kept(ada).values())
    assert not Event.objects.filter(subject_key=ada.visitor).exists()
    assert not Profile.objects.filter(pk=ada.visitor).exists()
    jobs = PropagationJob.objects.filter(subject_key=ada.visitor)
    assert {job.state for job in jobs} == {"done"}
    assert sum(job.rows_affected for job in jobs) > 4
    assert {job.consent_event.action for job in jobs if job.consent_event} == {"withdrawn"}


def test_erasing_twice_is_erasing_once(ada: Front) -> None:
    ada.decide(personalization=False)
    work()
    PropagationJob.objects.update(state="pending", not_before=soon())
    assert work() == len(list(holders()))
    assert set(kept(ada).values()) == {False}
    assert set(PropagationJob.objects.values_list("state", flat=True)) == {"done"}


def test_what_was_granted_again_in_between_is_kept(ada: Front) -> None:
    ada.decide(personalization=False)
    ada.decide(personalization=True)
    work()
    assert ada.variant() == ("loyal", "matched")
    assert Event.objects.filter(subject_key=ada.visitor).count() == 4


def test_a_snapshot_that_a_page_copied_during_the_erasure_is_deleted_after_it(ada: Front) -> None:
    ada.decide(personalization=False)
    subject = uuid.UUID(str(ada.visitor))
    with committing():
        enforce(now=soon())
        hot_store().put(snapshot_key(subject), b"{}", version=1, ttl_seconds=60)  # read before the commit
    assert kept(ada)["snapshot"] is False


def test_withdrawing_one_purpose_keeps_the_others(write_key: str) -> None:
    front = agreed(personalization=True, analytics=True, marketing=True)
    front.tells(write_key, kids=1, letter="weekly", first_name="Ada")
    front.buys(write_key)
    front.decide(personalization=False)
    work()
    assert front.variant("/offers") == ("letter", "matched")
    profile = Profile.objects.get(pk=front.visitor)
    assert profile.traits == {"letter": "weekly"}
    assert (profile.sealed, profile.orders, profile.revenue, profile.categories) == (None, 0, 0, {})
    assert set(profile.held) == {"marketing"}
    order = Event.objects.get(subject_key=front.visitor, name="Order Completed")
    assert order.purposes == ["analytics"]
    states = front.get("/api/v1/consent", headers={"X-Visitor": front.token}).json()["purposes"]
    assert (states["marketing"], states["analytics"]) == ("granted", "granted")


def test_events_after_a_withdrawal_are_not_kept(ada: Front, write_key: str) -> None:
    ada.decide(personalization=False)
    work()
    answer = ada.send(write_key, "track", event="Product Viewed")
    assert answer.json() == {"success": True, "accepted": 0, "dropped": {"no_consent": 1}}
    assert set(kept(ada).values()) == {False}


def test_agreeing_again_begins_with_the_empty_profile(ada: Front) -> None:
    ada.decide(personalization=False)
    work()
    ada.decide(personalization=True)
    assert ada.variant() == ("new", "matched")


class TestReconciling:
    def test_a_flag_that_sql_changed_is_found_recorded_and_enforced(self, ada: Front) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE consent_consentstate SET state = '{}' WHERE subject_id = %s", [ada.visitor]
            )
        with committing():
            assert reconcile(now=soon()) == 1
            assert reconcile(now=soon()) == 0  # its duties are waiting already
        assert ada.variant() == ("default", "no_consent")
        entry = ConsentEvent.objects.filter(subject_key=ada.visitor).latest("seq")
        assert (entry.action, entry.method, entry.actor) == ("withdrawn", "reconciled", "system")
        work()
        assert set(kept(ada).values()) == {False}
        assert reconcile(now=soon()) == 0

    @pytest.mark.parametrize("before", ["refused", "withdrawn", None])
    def test_a_flag_that_sql_opened_is_closed_again(
        self, ada: Front, write_key: str, before: str | None
    ) -> None:
        ben = agreed(analytics=True)
        if before == "withdrawn":
            ben.decide(personalization=True)
        if before:
            ben.decide(personalization=False)
        for _ in range(2):  # also after a pass that found nothing
            reconcile(now=soon())
            open_ = {"analytics": "granted", "personalization": "granted"}
            ConsentState.objects.filter(pk=ben.visitor).update(state=open_)
            with committing():
                reconcile(now=soon())
            row = ConsentState.objects.get(pk=ben.visitor)
            assert row.state.get("personalization") == before
            assert row.state["analytics"] == "granted"
            assert ben.variant() == ("default", "no_consent")
        assert ada.variant() == ("loyal", "matched")
        assert not [one for one in audit(now=soon()) if one.invariant == "state"]

    def test_a_hundred_flags_however_they_were_changed_are_enforced_with_one_receipt_each(
        self, write_key: str
    ) -> None:
        people = [agreed(personalization=True) for _ in range(100)]
        said = [
            {
                "type": "identify",
                "traits": {"kids": 1},
                "anonymousId": one.visitor,
                "messageId": uuid.uuid4().hex,
            }
            for one in people
        ]
        assert people[0].send(write_key, "batch", batch=said).json()["accepted"] == 100
        ids = [uuid.UUID(str(one.visitor)) for one in people]
        ways = (ids[:34], ids[34:67], ids[67:])
        with connection.cursor() as cursor:  # by SQL
            cursor.execute(
                "UPDATE consent_consentstate SET state = '{}' WHERE subject_id = ANY(%s)", [ways[0]]
            )
        for row in ConsentState.objects.filter(
            pk__in=ways[1]
        ):  # as an import, or code that forgot the ledger, would
            row.state["personalization"] = "refused"
            row.save()
        rows = ConsentState.objects.filter(pk__in=ways[2]).values()
        ConsentState.objects.bulk_create(  # as a restore of rows would
            [ConsentState(**row | {"state": {"personalization": "withdrawn"}}) for row in rows],
            update_conflicts=True, unique_fields=["subject_id"], update_fields=["state"],
        )  # fmt: skip
        hot_store().delete(*(gates_key(one) for one in ids))  # ten seconds later
        with committing():
            assert reconcile(now=soon()) == 100
        assert {one.variant("/family")[1] for one in people} == {"no_consent"}
        work()
        assert not Profile.objects.filter(pk__in=ids).exists()
        for one in holders():
            if one.held is not None:
                assert not one.held("personalization").filter(subject_key__in=ids).exists(), one.name
        chains = ConsentEvent.objects.filter(subject_key__in=ids, method="reconciled")
        assert Counter(chains.values_list("subject_key", flat=True)) == dict.fromkeys(ids, 1)
        with committing():
            assert reconcile(now=soon()) == 0

    def test_a_purpose_that_is_switched_off_is_closed_for_everybody_and_what_was_kept_for_it_goes(
        self, ada: Front
    ) -> None:
        Purpose.objects.filter(key="personalization").update(active=False)
        forget_closing()
        hot_store().delete(gates_key(uuid.UUID(str(ada.visitor))))
        assert ada.variant() == ("default", "no_consent")
        with committing():
            assert reconcile(now=soon()) == 1
        work()
        assert set(kept(ada).values()) == {False}

    def test_a_grant_that_ran_out_is_enforced_like_a_withdrawal(self, ada: Front) -> None:
        row = ConsentState.objects.get(subject_id=ada.visitor)
        row.expires = dict.fromkeys(row.expires, soon().timestamp() - 60)
        row.save()
        with committing():
            assert reconcile(now=soon()) == 1
        assert ConsentEvent.objects.filter(subject_key=ada.visitor).latest("seq").action == "expired"
        work()
        assert set(kept(ada).values()) == {False}

    def test_a_purpose_that_a_kept_signal_refuses_is_enforced(self, write_key: str) -> None:
        front = agreed(marketing=True)
        front.tells(write_key, letter="weekly")
        ConsentState.objects.filter(subject_id=front.visitor).update(gpc=True)
        with committing():
            assert reconcile(now=soon()) == 1
        work()
        assert set(kept(front).values()) == {False}

    def test_what_is_kept_of_nobody_is_deleted(self, ada: Front) -> None:
        ConsentState.objects.filter(subject_id=ada.visitor).delete()
        with committing():
            assert reconcile(now=soon()) == 1
        work()
        assert set(kept(ada).values()) == {False}

    def test_nothing_is_found_where_everything_is_allowed(self, ada: Front) -> None:
        assert reconcile(now=soon()) == 0
        assert Purpose.objects.count() == 7


def test_a_holder_that_fails_is_tried_again_and_does_not_stop_the_others(ada: Front) -> None:
    ada.decide(personalization=False)
    PropagationJob.objects.filter(holder="events").update(holder="nobody's")
    with committing():
        enforce(now=soon())
    failed = PropagationJob.objects.get(holder="nobody's")
    assert (failed.state, failed.attempts) == ("pending", 1)
    assert failed.not_before > soon()
    assert PropagationJob.objects.filter(state="done").count() == len(list(holders())) - 1


def test_what_is_owed_stays_owed_however_long_a_holder_fails(ada: Front) -> None:
    ada.decide(personalization=False)
    PropagationJob.objects.filter(holder="events").update(holder="nobody's")
    at = soon()
    for _ in range(LATE_AFTER + 3):
        with committing():
            enforce(now=at)
        at += dt.timedelta(minutes=6)
    late = PropagationJob.objects.get(holder="nobody's")
    assert (late.state, late.attempts) == ("failed", LATE_AFTER + 3)
    assert Event.objects.filter(subject_key=ada.visitor).exists()
    with committing():
        assert reconcile(now=at) == 0  # what is owed is not owed twice
    PropagationJob.objects.filter(holder="nobody's").update(holder="events")
    with committing():
        enforce(now=at + dt.timedelta(minutes=6))
    late.refresh_from_db()
    assert (late.state, late.error) == ("done", "")
    assert not Event.objects.filter(subject_key=ada.visitor).exists()


def test_memberships_of_lists_go_with_their_purpose(ada: Front) -> None:
    listed = Segment.objects.create(
        site=the_site(), key="press", title="Press", kind="list", purposes=["personalization"]
    )
    Membership.objects.create(segment=listed, subject_key=ada.visitor, entered_at=soon())
    ada.decide(personalization=False)
    work()
    assert not Membership.objects.exists()
