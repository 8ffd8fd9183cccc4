"""Events, time and the pass over everybody lead to the same memberships; entering and leaving calls our own code."""

import datetime as dt
import json
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine
from celery import current_app
from django.conf import settings

from personalization import tasks, triggers
from personalization.announcements import DELAYS, TRIES
from personalization.announcing import announce
from personalization.dead_letters import replay
from personalization.lanes import backfill, catch_up, fall_due
from personalization.models import DeadLetter, Profile, Segment, SegmentChange, SegmentRun, TriggerRun
from personalization.segments.directory import rebuild, segment_problems
from personalization.segments.refresh import SILENT, refresh, refresh_changed
from personalization.triggers import Moved, on_entry, on_exit, run_next
from tests.builders import committing, the_site
from tests.flows.front import Front, agreed
from tests.flows.shop import load

pytestmark = pytest.mark.usefixtures("shop")
START = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
DEMO = json.loads((Path(settings.BASE_DIR) / "demo" / "bundle.json").read_text())["segments"]
NAMED = ("cart_left", "category_interest", "category_compare", "inactive_48h")


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@pytest.fixture
def named() -> None:
    """The demo's segments for a basket left, interest in a category, comparing, and being away; counted once."""
    load({"tessera": 1, "segments": [one for one in DEMO if one["key"] in NAMED]})
    with committing():
        refresh(the_site(), now=now())


@pytest.fixture
def told() -> Iterator[list[tuple[str, bool]]]:
    """What our own code is told of: (segment, entered)."""
    heard: list[tuple[str, bool]] = []

    def hear(moved: Moved) -> None:
        heard.append((moved.segment, moved.entered))

    made = [
        register(key, hear, name=f"test {key} {register.__name__}")
        for key in (*NAMED, "gold")
        for register in (on_entry, on_exit)
    ]
    yield heard
    for one in made:
        triggers.forget(one)


def work() -> None:
    """Do what the worker does all the time: fold, look at whose time has come, announce, call."""
    with committing():
        catch_up(the_site(), now=now())
        while fall_due(the_site(), now=now()):
            pass
    announce(now=now())
    while run_next(now=now()):
        pass


def view(front: Front, key: str, product: str, category: str = "hiking") -> None:
    properties = {"product_id": product, "category": category}
    assert front.send(key, "track", event="Product Viewed", properties=properties).json()["accepted"] == 1


class TestTheFourThatShopsAskFor:
    """Each from the event, over time alone, to a page, a stored membership, and our own code."""

    def play(self, key: str, ada: Front, write_key: str) -> None:
        if key == "cart_left":
            ada.send(write_key, "track", event="Product Added", properties={"product_id": "tent"})
        elif key == "category_interest":
            for _ in range(3):
                view(ada, write_key, "tent")
        elif key == "category_compare":
            for product in ("tent", "stove", "rope"):
                view(ada, write_key, product)
        else:
            ada.send(write_key, "page")

    # how long until one is in, and how much longer until one is out again
    @pytest.mark.parametrize(
        ("key", "enters", "leaves"),
        [
            ("cart_left", dt.timedelta(minutes=30), dt.timedelta(hours=24)),
            ("category_interest", dt.timedelta(0), dt.timedelta(hours=1)),
            ("category_compare", dt.timedelta(0), dt.timedelta(minutes=10)),
            ("inactive_48h", dt.timedelta(hours=48), None),
        ],
    )
    def test_it_opens_and_closes_at_its_moment(
        self,
        named: None,
        told: list[tuple[str, bool]],
        write_key: str,
        key: str,
        enters: dt.timedelta,
        leaves: dt.timedelta | None,
    ) -> None:
        second = dt.timedelta(seconds=2)
        with time_machine.travel(START, tick=True):
            ada = agreed(personalization=True, analytics=True)
            self.play(key, ada, write_key)
            work()
            assert ((key, True) in told) == (not enters)
        if enters:
            with time_machine.travel(START + enters - second, tick=False):
                work()
                assert (key, True) not in told
            with time_machine.travel(START + enters + second, tick=False):
                work()
                assert told.count((key, True)) == 1
                assert self.is_in(key, ada)
        with time_machine.travel(
            START + (leaves or enters) - second if leaves else START + enters + second, tick=False
        ):
            work()
            assert self.is_in(key, ada)
        with time_machine.travel(START + (leaves or enters) + second, tick=False):
            if leaves is None:  # coming back ends it
                ada.send(write_key, "page")
            work()
            assert not self.is_in(key, ada)
        assert [entered for segment, entered in told if segment == key] == [True, False]
        causes = SegmentChange.objects.filter(segment__key=key).order_by("id").values_list("cause", flat=True)
        assert list(causes) == ["time" if enters else "event", "event" if leaves is None else "time"]

    def is_in(self, key: str, front: Front) -> bool:
        pk = Segment.objects.get(key=key).pk
        return Profile.objects.filter(pk=front.visitor, segments__contains=[pk]).exists()

    def test_an_order_takes_the_basket_back(
        self, named: None, told: list[tuple[str, bool]], write_key: str
    ) -> None:
        with time_machine.travel(START, tick=True):
            ada = agreed(personalization=True, analytics=True)
            self.play("cart_left", ada, write_key)
            ada.buys(write_key)
            work()
        with time_machine.travel(START + dt.timedelta(minutes=31), tick=False):
            work()
        assert not told


@pytest.mark.parametrize("seed", range(4))
def test_wherever_the_clock_goes_the_pass_over_everybody_finds_nothing_to_mend(
    named: None, write_key: str, seed: int
) -> None:
    chance, at = random.Random(seed), START
    people: list[Front] = []
    with time_machine.travel(at, tick=True):
        people = [agreed(personalization=True, analytics=True) for _ in range(3)]
    for _ in range(12):
        at += dt.timedelta(minutes=chance.choice([0, 1, 4, 9, 31, 61, 600, 3_000]))
        with time_machine.travel(at, tick=True):
            for front in chance.sample(people, chance.randrange(3)):
                play = chance.randrange(4)
                if play == 0:
                    front.buys(write_key)
                elif play == 1:
                    front.send(write_key, "track", event="Product Added", properties={"product_id": "tent"})
                else:
                    view(front, write_key, chance.choice(["tent", "stove", "rope"]))
            work()
            by_lanes = dict(Profile.objects.values_list("pk", "segments"))
            with committing():
                run = refresh(the_site(), now=now())
            assert run is not None
            assert run.differences == {}, at
            assert dict(Profile.objects.values_list("pk", "segments")) == by_lanes


class TestNewRules:
    def test_a_new_rule_reaches_what_people_did_before_it(self, write_key: str) -> None:
        ada, ben = (agreed(personalization=True, analytics=True) for _ in range(2))
        view(ada, write_key, "tent")
        work()
        rule = {"$did": {"event": "Product Viewed", "within": "P1D"}}
        load({"tessera": 1, "segments": [{"key": "looked", "title": "Looked", "rule": rule, "min_size": 0}]})
        assert not members("looked")
        with committing():
            view(ben, write_key, "tent")  # what comes meanwhile is taken
            while backfill(the_site(), now=now()):
                pass
            catch_up(the_site(), now=now())
        assert members("looked") == {uuid.UUID(ada.visitor), uuid.UUID(ben.visitor)}
        assert Profile.objects.get(pk=ada.visitor).behaviour

    def test_people_are_counted_within_seconds_of_a_rule_and_once(self, write_key: str) -> None:
        ada = agreed(personalization=True)
        ada.tells(write_key, kids=1)
        work()
        with committing():
            tasks.sweep()
        runs = SegmentRun.objects.count()
        load({"tessera": 1, "segments": [{"key": "few", "title": "Few", "rule": {"kids": {"$eq": 1}}}]})
        assert Segment.objects.get(key="few").size is None
        for _ in range(2):
            with committing():
                tasks.sweep()
        segment = Segment.objects.get(key="few")
        assert (segment.size, segment.open) == (1, False)
        assert SegmentRun.objects.count() == runs + 1
        with committing():
            Segment.objects.filter(key="few").update(title="A few")
            rebuild(the_site())
            assert refresh_changed(the_site(), now=now()) is None  # another title puts nobody elsewhere

    def test_a_run_that_failed_is_tried_again_after_a_while(self) -> None:
        with committing():
            tasks.sweep()
        run = SegmentRun.objects.latest("id")
        SegmentRun.objects.update(state="failed")
        with committing():
            assert refresh_changed(the_site(), now=run.started_at + dt.timedelta(minutes=1)) is None
            assert refresh_changed(the_site(), now=now() + 2 * SILENT) is not None

    def test_a_run_whose_process_died_is_released(self) -> None:
        stuck = SegmentRun.objects.create(
            site=the_site(), scope="everybody", started_at=START, alive_at=now() - SILENT * 2
        )
        alive = SegmentRun.objects.create(
            site=the_site(), scope="everybody", started_at=START, alive_at=now()
        )
        with committing():
            assert refresh(the_site(), now=now()) is not None
        stuck.refresh_from_db()
        alive.refresh_from_db()
        assert (stuck.state, stuck.error) == ("failed", "The process that ran it ended.")
        assert alive.state == "running"


def members(key: str) -> set[uuid.UUID]:
    pk = Segment.objects.get(key=key).pk
    return set(Profile.objects.filter(segments__contains=[pk]).values_list("pk", flat=True))


def test_tiers_that_lead_back_to_themselves_are_refused() -> None:
    tiers = {"tiers": "level", "min_size": 0}
    load(
        {
            "tessera": 1,
            "segments": [
                {"key": "first", "title": "First", "rule": {"kids": {"$eq": 1}}, "priority": 10, **tiers},
                {"key": "second", "title": "Second", "rule": {"kids": {"$eq": 2}}, "priority": 20, **tiers},
            ],
        }
    )
    first = Segment.objects.get(key="first")
    first.rule = {"segments": {"$in": ["second"]}}
    (problem,) = segment_problems(first)
    assert (problem.code, problem.pointer) == ("cycle", "/rule/segments/$in/0")
    second = Segment.objects.get(key="second")
    second.rule = {"segments": {"$nin": ["first"]}}
    assert not segment_problems(second)


class TestOurOwnCode:
    @pytest.fixture
    def ada(self, write_key: str, server_key: str) -> Front:
        with committing():
            refresh(the_site(), now=now())
        front = agreed(personalization=True)
        front.tells(server_key, tier="gold")
        return front

    def enter(self) -> None:
        with committing():
            catch_up(the_site(), now=now())
        announce(now=now())

    def test_it_is_called_once_for_an_entry_and_once_for_leaving(
        self, ada: Front, told: list[tuple[str, bool]], server_key: str
    ) -> None:
        work()
        SegmentChange.objects.update(announced_at=None)  # a worker that died before it could mark them
        work()
        assert told == [("gold", True)]
        ada.tells(server_key, tier="none")
        work()
        assert told == [("gold", True), ("gold", False)]
        assert set(TriggerRun.objects.values_list("state", flat=True)) == {"done"}

    def test_it_is_not_called_for_who_took_consent_back(
        self, ada: Front, told: list[tuple[str, bool]]
    ) -> None:
        self.enter()
        ada.decide(personalization=False)
        assert run_next(now=now())
        assert told == []
        assert TriggerRun.objects.get().state == "withheld"

    def test_its_own_purpose_counts_too(self, ada: Front) -> None:
        heard: list[Moved] = []
        made = on_entry("gold", heard.append, name="letter", purpose="marketing")
        try:
            self.enter()
            assert run_next(now=now())
            assert (heard, TriggerRun.objects.get().state) == ([], "withheld")
        finally:
            triggers.forget(made)

    def test_what_fails_is_tried_again_then_kept_and_can_be_replayed(self, ada: Front) -> None:
        calls: list[Moved] = []

        def fail(moved: Moved) -> None:
            calls.append(moved)
            Segment.objects.filter(key="gold").update(title="Written")  # goes with what failed
            if len(calls) <= TRIES:
                raise ConnectionError("secret of ada@example.org")

        made = on_entry("gold", fail, name="fails")
        try:
            self.enter()
            at = now()
            for delay in (*DELAYS, dt.timedelta(0)):
                assert run_next(now=at)
                assert not run_next(now=at)
                at += delay * 2
            assert len(calls) == TRIES
            assert TriggerRun.objects.get().state == "failed"
            assert Segment.objects.get(key="gold").title != "Written"
            letter = DeadLetter.objects.get()
            assert letter.attempts == TRIES
            assert "ada@example.org" not in letter.error
            assert replay(letter, now=at)
            assert run_next(now=at)
            assert TriggerRun.objects.get().state == "done"
            assert Segment.objects.get(key="gold").title == "Written"
        finally:
            triggers.forget(made)

    def test_a_celery_task_is_sent_by_its_name(self, ada: Front) -> None:
        made = on_entry("gold", "shop.tasks.write_letter", name="by name")
        try:
            self.enter()
            with (
                current_app.connection_for_write() as connection,
                connection.SimpleQueue("celery") as waiting,
            ):
                waiting.clear()
                assert run_next(now=now())
                message = waiting.get(timeout=5)
                message.ack()
            assert message.headers["task"] == "shop.tasks.write_letter"
            said = message.payload[1]
            assert (said["segment"], said["subject"], said["entered"]) == ("gold", ada.visitor, True)
        finally:
            triggers.forget(made)

    def test_two_of_one_name_are_refused(self, told: Any) -> None:
        with pytest.raises(ValueError, match="two triggers named 'test gold on_entry'"):
            on_entry("gold", print, name="test gold on_entry")
