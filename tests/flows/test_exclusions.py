"""What somebody takes out of use decides nothing any more, everywhere, and comes back when they say so."""

import datetime as dt
import uuid

import pytest

from personalization.exclusions import NothingLikeIt, change, excluded_by
from personalization.lanes import catch_up
from personalization.models import Profile, Segment
from personalization.segments.directory import rebuild
from personalization.segments.refresh import refresh
from tests.builders import committing, the_site
from tests.flows.front import Front, agreed

pytestmark = pytest.mark.usefixtures("shop")


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@pytest.fixture
def ada(server_key: str) -> Front:
    """Make somebody who is loyal."""
    front = agreed()
    front.buys(server_key, times=3)
    assert front.variant() == ("loyal", "matched")
    return front


def take_out(front: Front, *names: str) -> bool:
    with committing():
        return change(uuid.UUID(front.visitor), site_id=1, exclude=names, now=now())


def take_back(front: Front, *names: str) -> bool:
    with committing():
        return change(uuid.UUID(front.visitor), site_id=1, include=names, now=now())


def stored_segments(front: Front) -> set[str]:
    with committing():
        catch_up(the_site(), now=now())
    inside = Profile.objects.get(pk=front.visitor).segments
    return set(Segment.objects.filter(pk__in=inside).values_list("key", flat=True))


def test_leaving_a_segment_reaches_the_next_page_and_the_tables(ada: Front) -> None:
    assert take_out(ada, "segment:loyal")
    assert ada.variant() == ("default", "no_consent")
    assert "loyal" not in stored_segments(ada)
    assert take_back(ada, "segment:loyal")
    assert ada.variant() == ("loyal", "matched")
    assert "loyal" in stored_segments(ada)


def test_whoever_leaves_a_segment_leaves_what_lies_in_it(ada: Front, server_key: str) -> None:
    ada.send(server_key, "identify", traits={"kids": 1})
    assert ada.variant("/family") == ("loyal", "matched")
    take_out(ada, "segment:loyal")
    assert ada.variant("/family") == ("default", "no_consent")


def test_a_fact_out_of_use_is_withheld_from_every_segment_that_reads_it(ada: Front) -> None:
    take_out(ada, "features.orders")
    assert ada.variant() == ("default", "no_consent")
    assert ada.variant("/strangers") == ("default", "no_consent"), "'not' needs to know as well"
    take_back(ada, "features.orders")
    assert ada.variant() == ("loyal", "matched")


def test_a_delicate_topic_takes_its_segments_out(ada: Front) -> None:
    Segment.objects.filter(key="loyal").update(topic="gambling")
    with committing():
        rebuild(the_site())
    assert ada.variant() == ("loyal", "matched")
    take_out(ada, "topic:gambling")
    assert ada.variant() == ("default", "no_consent")


def test_the_pass_over_everybody_agrees(ada: Front) -> None:
    take_out(ada, "segment:loyal")
    stored_segments(ada)
    with committing():
        refresh(the_site(), now=now())
    assert "loyal" not in stored_segments(ada)
    assert Segment.objects.get(key="loyal").size == 0


def test_what_nobody_knows_cannot_be_taken_out(ada: Front) -> None:
    for name in ("segment:nowhere", "topic:weather", "shoe_size", "context.device"):
        with pytest.raises(NothingLikeIt):
            take_out(ada, name)
    assert excluded_by(uuid.UUID(ada.visitor)) == frozenset()


def test_taking_out_twice_changes_nothing(ada: Front) -> None:
    assert take_out(ada, "segment:loyal")
    assert not take_out(ada, "segment:loyal")
