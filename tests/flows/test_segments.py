"""Who is in which segment: refreshed as a set, opened by size, decided per request whatever the table says."""

import datetime as dt
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import time_machine
from django.db import connection

from consent.models import ConsentState, Subject
from consent.tokens import make_token
from personalization import tasks
from personalization.folding import touch
from personalization.lanes import catch_up
from personalization.models import Profile, Segment, SegmentChange, SegmentRun
from personalization.segments import sets
from personalization.segments.refresh import refresh, waiting
from personalization.segments.sets import reconcile
from personalization.segments.sizes import opens
from tests.builders import committing, the_site
from tests.flows.front import Front, agreed
from tests.flows.shop import hero, inside, load, page, when

pytestmark = pytest.mark.usefixtures("shop")
START = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)


def look() -> SegmentRun | None:
    """Let the worker look at everybody."""
    with committing():
        return refresh(the_site(), now=dt.datetime.now(dt.UTC))


def crowd(count: int, **traits: object) -> list[uuid.UUID]:
    """Make people who allowed personal content and said something."""
    now = dt.datetime.now(dt.UTC)
    subjects = Subject.objects.bulk_create(Subject(created_at=now) for _ in range(count))
    granted = {"personalization": "granted"}
    ConsentState.objects.bulk_create(ConsentState(subject=s, state=granted, updated_at=now) for s in subjects)
    Profile.objects.bulk_create(
        Profile(
            subject_key=s.pk,
            site=the_site(),
            traits=traits,
            held=["personalization"],
            version=2,
            first_seen_at=now,
            last_seen_at=now,
        )
        for s in subjects
    )
    return [s.pk for s in subjects]


def members(key: str) -> set[uuid.UUID]:
    pk = Segment.objects.get(key=key).pk
    return set(Profile.objects.filter(segments__contains=[pk]).values_list("pk", flat=True))


def test_a_refresh_writes_the_difference_alone() -> None:
    people = crowd(5, kids=1)
    run = look()
    assert run is not None
    assert (run.profiles, run.left) == (5, 0)
    assert run.differences["parents"] == {"entered": 5, "left": 0}
    versions = dict(Profile.objects.values_list("pk", "segments"))
    again = look()
    assert again is not None
    assert (again.entered, again.left, again.differences) == (0, 0, {})
    assert dict(Profile.objects.values_list("pk", "segments")) == versions
    Profile.objects.filter(pk__in=people[:2]).update(traits={})
    third = look()
    assert third is not None
    assert third.differences["parents"] == {"entered": 0, "left": 2}
    assert members("parents") == set(people[2:])


def test_only_touched_profiles_are_looked_at() -> None:
    people = crowd(5, kids=1)
    look()
    Profile.objects.filter(pk=people[0]).update(traits={})
    Profile.objects.filter(pk=people[1]).update(traits={})
    touch(people[:1], site_id=1, now=dt.datetime.now(dt.UTC))
    assert waiting(the_site()) == 1
    with committing():
        assert catch_up(the_site(), now=dt.datetime.now(dt.UTC)) == 1
    assert waiting(the_site()) == 0
    assert members("parents") == set(people[1:])
    (change,) = SegmentChange.objects.filter(subject_key=people[0], segment__key="parents")
    assert (change.entered, change.cause) == (False, "event")


def meet_the_wrong_way_round() -> None:
    """Let PostgreSQL end what runs here as a deadlock with another connection."""
    known = connection.get_connection_params()
    address = {
        name: known[name] for name in ("dbname", "user", "host", "port", "password") if known.get(name)
    }
    with psycopg.connect(**address) as other, connection.cursor() as mine, ThreadPoolExecutor(1) as pool:
        other.execute("SET deadlock_timeout = '1min'")  # so that this one is ended
        other.execute("SELECT pg_advisory_xact_lock(7, 2)")
        mine.execute("SET LOCAL deadlock_timeout = '1s'")
        mine.execute("SELECT pg_advisory_xact_lock(7, 1)")
        pool.submit(other.execute, "SELECT pg_advisory_xact_lock(7, 1)")
        mine.execute("SELECT pg_advisory_xact_lock(7, 2)")


def test_a_pass_that_was_ended_as_a_deadlock_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    people, ended = crowd(2, kids=1), list[int]()

    def once(*asked: Any, **more: Any) -> Any:
        if not ended:
            ended.append(1)
            meet_the_wrong_way_round()
        return reconcile(*asked, **more)

    monkeypatch.setattr("personalization.segments.refresh.reconcile", once)
    run = look()
    assert run is not None
    assert (run.state, ended) == ("done", [1])
    assert members("parents") == set(people)


def test_who_was_changed_under_the_pass_is_left_to_the_next_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pass read of them is old: a fold, or an erasure, has been there since."""
    (one,) = crowd(1, kids=1)
    look()
    Profile.objects.filter(pk=one).update(traits={})
    monkeypatch.setattr(
        sets,
        "_RECONCILE",
        sets._RECONCILE.replace("p.version, p.segments AS", "p.version - 1 AS version, p.segments AS"),
    )
    look()
    assert members("parents") == {one}
    with committing():
        assert catch_up(the_site(), now=dt.datetime.now(dt.UTC)) == 1
    assert members("parents") == set()


def test_whoever_was_touched_often_is_folded_once() -> None:
    people, moment = crowd(3, kids=1), dt.datetime.now(dt.UTC)
    look()
    for _ in range(4):
        touch(people, site_id=1, now=moment)
    versions = dict(Profile.objects.values_list("pk", "version"))
    with committing():
        assert catch_up(the_site(), now=moment, limit=2) == 8  # two people, and all that waits for them
    assert waiting(the_site()) == 1
    with committing():
        assert catch_up(the_site(), now=moment, limit=2) == 4
    assert dict(Profile.objects.values_list("pk", "version")) == {pk: n + 1 for pk, n in versions.items()}


@pytest.mark.parametrize(
    ("size", "minimum", "was_open", "expected"),
    [
        (49, 50, False, False), (50, 50, False, True), (49, 50, True, True), (40, 50, True, True), (39, 50, True, False),
        (9, 10, False, False), (10, 10, False, True), (8, 10, True, True), (7, 10, True, False), (0, 0, False, True),
    ],
)  # fmt: skip
def test_a_segment_opens_at_its_minimum_and_closes_under_four_fifths(
    size: int, minimum: int, was_open: bool, expected: bool
) -> None:
    assert opens(size, minimum=minimum, was_open=was_open) is expected


def test_fifty_people_open_a_segment_and_forty_keep_it(write_key: str) -> None:
    people = crowd(48, kids=1)
    front = agreed()
    front.tells(write_key, kids=1)
    steps = [(0, "segment_too_small"), (1, "matched")]
    for more, reason in steps:
        crowd(more, kids=1)
        look()
        assert front.variant("/sizes")[1] == reason
    Profile.objects.filter(pk__in=people[:10]).update(traits={})
    look()
    assert Segment.objects.get(key="parents").size == 40
    assert front.variant("/sizes")[1] == "matched"
    Profile.objects.filter(pk=people[11]).update(traits={})
    look()
    assert front.variant("/sizes")[1] == "segment_too_small"


def test_a_parent_contains_its_child(write_key: str) -> None:
    front = agreed()
    front.tells(write_key, kids=1)
    assert front.variant("/family") == ("default", "default")
    front.buys(write_key, times=3)
    assert front.variant("/family") == ("loyal", "matched")
    look()
    assert uuid.UUID(str(front.visitor)) in members("loyal_parents")
    front.tells(write_key, kids=0)
    assert front.variant("/family") == ("default", "default")


def test_a_mixed_segment_is_stored_by_its_personal_part_and_decided_per_request(write_key: str) -> None:
    front = agreed()
    front.tells(write_key, kids=1)
    assert front.variant("/family", User_Agent="iPhone Mobile") == ("mobile", "matched")
    assert front.variant("/family", User_Agent="X11") == ("default", "default")
    look()
    assert members("phone_parents") == {uuid.UUID(str(front.visitor))}
    front.tells(write_key, kids=0)
    look()
    assert members("phone_parents") == set()


def test_a_segment_over_context_alone_is_never_stored_and_decided_for_everybody() -> None:
    crowd(3)
    look()
    segment = Segment.objects.get(key="phones")
    assert (members("phones"), segment.purposes) == (set(), [])
    assert Front().variant("/phones", User_Agent="iPhone Mobile") == ("mobile", "matched")


def test_a_segment_is_withheld_as_a_whole(write_key: str) -> None:
    front = agreed(analytics=True)
    front.send(write_key, "page")
    look()
    assert not Profile.objects.filter(pk=front.visitor).exclude(segments=[]).exists()
    assert front.variant("/") == ("default", "no_consent")
    assert front.variant("/readers") == ("default", "no_consent")


def test_stale_memberships_make_no_wrong_page(write_key: str) -> None:
    """A hundred profiles change while no worker runs: pages are right, then the table follows."""
    people, front = crowd(100, kids=0), Front()
    look()
    said = {"type": "identify", "traits": {"kids": 1}}
    batch = [said | {"anonymousId": str(one), "messageId": str(one)} for one in people]
    assert front.send(write_key, "batch", batch=batch).json()["accepted"] == 100
    for one in people:
        front.token = make_token(one, now=dt.datetime.now(dt.UTC))
        assert front.variant("/family", User_Agent="iPhone Mobile") == ("mobile", "matched")
    assert members("phone_parents") == set()
    assert waiting(the_site()) == 100
    with committing():
        assert tasks.fold_touched() == 100
    assert members("phone_parents") == set(people)
    assert waiting(the_site()) == 0


def test_the_sweep_repeats_what_a_crash_left_out(write_key: str) -> None:
    front = agreed()
    front.tells(write_key, kids=1)
    Profile.objects.filter(pk=front.visitor).update(snapshot_version=0, traits={"kids": 0})
    with committing():
        assert tasks.sweep() == 0  # the fold itself writes the copy
    assert front.variant("/family", User_Agent="iPhone Mobile") == ("default", "default")


def test_a_text_names_what_a_segment_is_about(write_key: str) -> None:
    """Three products of one category within ten minutes: an offer for that very category, for ten minutes."""
    compare = {
        "$did": {
            "event": "Product Viewed",
            "by": "properties.category",
            "within": "PT10M",
            "distinct": {"of": "properties.product_id", "$gte": 3},
        }
    }
    said = "10 % off {{ segment.compare.by | default('what you like') }}"
    load(
        {
            "tessera": 1,
            "segments": [{"key": "compare", "title": "Compares", "rule": compare, "min_size": 0}],
            "blocks": [hero("hero-compare", said), hero("hero-plain", said)],
            "pages": [page("/compare", when("compare", inside("compare"), "hero-compare"))],
        }
    )
    with time_machine.travel(START, tick=False) as clock:
        ada = agreed()
        for n in range(3):
            ada.send(
                write_key,
                "track",
                event="Product Viewed",
                properties={"product_id": f"t{n}", "category": "tents"},
            )
        shown = ada.slots("/compare")["compare-hero"]
        assert shown["fields"]["headline"] == "10 % off tents"
        html = ada.page("/compare", Accept="text/html").content.decode()
        assert "10 % off tents" in html
        assert ada.page("/compare").json()["decision"]["valid_until"] == "2026-11-23T09:10:00Z"
        clock.move_to(START + dt.timedelta(minutes=10))
        assert ada.variant("/compare") == ("default", "default")
        assert Front().variant("/compare") == ("default", "no_consent")
