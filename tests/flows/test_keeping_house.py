"""Every night: months are made ahead and dropped behind, and what is past its time goes, with what was worked out of it."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.db import connection

from consent.models import Purpose
from personalization import partitions, retention, tasks
from personalization.lanes import catch_up
from personalization.models import Event, EventSeen, EventType, Exposure, Profile, Segment, SegmentChange
from tests.builders import committing, the_site
from tests.flows.front import Front, agreed

pytestmark = pytest.mark.usefixtures("shop")


def now(**later: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(**later)


def spelled(moment: dt.datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


@pytest.fixture
def ada(write_key: str) -> Front:
    """Somebody who bought three times: a hundred days ago, forty days ago, and today."""
    front = agreed(personalization=True, analytics=True)
    for days in (100, 40, 0):
        front.buys(write_key, timestamp=spelled(now(days=-days)))
    fold()
    assert Profile.objects.get(pk=front.visitor).orders == 3
    return front


def fold() -> None:
    with committing():
        catch_up(the_site(), now=now(seconds=1))


def expire(*, days: int = 400, **later: float) -> int:
    with committing():
        deleted = retention.expire(now=now(**later), days=days)
    fold()
    return deleted


class TestTheTimeOfEvents:
    def test_nothing_goes_before_its_time(self, ada: Front) -> None:
        assert expire() == 0
        assert Event.objects.count() == 3

    def test_a_purpose_that_ran_out_comes_off_the_stamp_and_what_it_was_worked_into_follows(
        self, ada: Front
    ) -> None:
        Purpose.objects.filter(key="personalization").update(keep_days=60)
        assert expire() == 0  # analytics keeps it longer
        stamps = [
            sorted(one) for one in Event.objects.order_by("happened_at").values_list("purposes", flat=True)
        ]
        assert stamps == [["analytics"], ["analytics", "personalization"], ["analytics", "personalization"]]
        assert Profile.objects.get(pk=ada.visitor).orders == 2
        Purpose.objects.filter(key="analytics").update(keep_days=50)
        assert expire() == 1
        assert Event.objects.count() == 2

    def test_what_was_shown_and_who_came_and_went_is_kept_no_longer(self, ada: Front) -> None:
        subject = uuid.UUID(str(ada.visitor))
        SegmentChange.objects.filter(subject_key=subject).delete()
        segment = Segment.objects.get(key="new")
        for days in (70, 50):
            at = now(days=-days)
            SegmentChange.objects.create(
                site=the_site(), segment=segment, subject_key=subject, entered=True, at=at, cause="event"
            )
            Exposure.objects.create(
                key=uuid.uuid4(), site=the_site(), subject_key=subject, placement="/ hero", variant="new", counters=[], at=at,
                purposes=["personalization"],
            )  # fmt: skip
        Purpose.objects.filter(key="personalization").update(keep_days=60)
        late = list(retention.overdue(now()))
        assert len([one for one in late if "older than their purposes" in one]) == 2
        expire()
        kept = [list(model.objects.filter(subject_key=subject)) for model in (Exposure, SegmentChange)]
        assert [len(rows) for rows in kept] == [1, 1]
        assert not [one for one in retention.overdue(now()) if "older than their purposes" in one]

    def test_a_name_may_have_a_time_of_its_own(self, ada: Front, write_key: str) -> None:
        ada.send(write_key, "track", event="Product Viewed", timestamp=spelled(now(days=-60)))
        EventType.objects.update_or_create(
            site=the_site(), key="Order Completed", defaults={"retention_days": 30, "declared": True}
        )
        assert expire() == 2
        assert sorted(Event.objects.values_list("name", flat=True)) == ["Order Completed", "Product Viewed"]
        assert Profile.objects.get(pk=ada.visitor).orders == 1

    def test_the_site_has_the_last_word(self, ada: Front) -> None:
        assert expire(days=30) == 2
        assert ada.variant("/") == ("default", "default")  # one order is neither new nor loyal

    def test_the_audit_sees_what_the_night_left_lying(self, ada: Front) -> None:
        assert list(retention.overdue(now())) == []
        Purpose.objects.filter(key="personalization").update(keep_days=60)
        assert list(retention.overdue(now())) == [
            "1 events for 'personalization' are older than its 60 days."
        ]
        expire()
        assert list(retention.overdue(now())) == []

    def test_a_message_is_known_again_for_thirty_days(self, ada: Front, write_key: str) -> None:
        message = {"event": "Product Viewed", "messageId": uuid.uuid4().hex}
        assert ada.send(write_key, "track", **message).json()["accepted"] == 1
        expire(days=400)
        assert ada.send(write_key, "track", **message).json()["dropped"] == {"duplicate": 1}
        EventSeen.objects.update(seen_at=now(days=-31))
        expire(days=400)
        assert not EventSeen.objects.exists()


class TestMonths:
    def tables(self) -> set[str]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass",
                [partitions.TABLE],
            )
            return {row[0].strip('"') for row in cursor.fetchall()}

    def where(self) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT tableoid::regclass::text FROM personalization_event")
            return {row[0].strip('"') for row in cursor.fetchall()}

    def test_they_are_made_ahead_and_once(self) -> None:
        today = now().date()
        assert partitions.ensure(today) == 0  # the migration made them
        far = today + dt.timedelta(days=62)
        assert partitions.ensure(far) >= 1
        assert partitions.ensure(far) == 0

    def test_what_lay_outside_of_every_month_moves_into_its_own(self, write_key: str) -> None:
        month = (now() + dt.timedelta(days=200)).replace(day=15)
        Event.objects.bulk_create(
            [Event(site_id=1, subject_key=uuid.uuid4(), key_prefix="t", message_id="m", kind="track", name="Seen",
                   properties={}, happened_at=month, received_at=now(), purposes=["analytics"])]
        )  # fmt: skip
        assert self.where() == {"personalization_event_rest"}
        partitions.ensure(month.date())
        assert self.where() == {f"personalization_event_{month:%Y_%m}"}
        assert Event.objects.count() == 1

    def test_what_lies_wholly_before_a_day_is_dropped_as_a_table(self) -> None:
        before = self.tables()
        day = (now() - dt.timedelta(days=200)).date()
        dropped = partitions.drop_before(day)
        left = self.tables()
        assert dropped == len(before) - len(left) >= 8
        assert f"personalization_event_{day:%Y_%m}" in left  # this month is not over on that day
        assert "personalization_event_rest" in left

    def test_the_task_of_the_night_does_all_of_it(self, ada: Front) -> None:
        Purpose.objects.filter(key__in=["analytics", "personalization"]).update(keep_days=60)
        with committing():
            assert tasks.keep_house() == 1
        assert Event.objects.count() == 2
