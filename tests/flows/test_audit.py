"""The third invariant: whatever a store keeps of somebody who allowed nothing is found, and named with its store."""

import datetime as dt
import uuid
from collections.abc import Callable

import pytest

from consent.audit import audit
from consent.enforcement import enforce
from consent.holders import holders
from personalization import triggers
from personalization.models import (
    Event,
    Exposure,
    Membership,
    Profile,
    Segment,
    SegmentChange,
    TriggerRun,
    WebhookDelivery,
    WebhookEndpoint,
)
from tests.builders import committing, the_site
from tests.flows.front import agreed

pytestmark = pytest.mark.usefixtures("shop")
NOW = dt.datetime.now(dt.UTC)


def loyal() -> Segment:
    return Segment.objects.get(key="loyal")


def event(who: uuid.UUID) -> None:
    Event.objects.create(
        site_id=the_site().pk, key_prefix="x", message_id="m", subject_key=who, kind="track", name="X", happened_at=NOW,
        received_at=NOW, purposes=["personalization"],
    )  # fmt: skip


def trait(who: uuid.UUID) -> None:
    """A profile that does not even say what it is held for."""
    Profile.objects.create(
        subject_key=who, site=the_site(), traits={"kids": 2}, held=[], first_seen_at=NOW, last_seen_at=NOW
    )


def computed_segment(who: uuid.UUID) -> None:
    Profile.objects.create(
        subject_key=who, site=the_site(), segments=[loyal().pk], held=[], first_seen_at=NOW, last_seen_at=NOW
    )


def membership(who: uuid.UUID) -> None:
    Membership.objects.create(segment=loyal(), subject_key=who, entered_at=NOW)


def change(who: uuid.UUID) -> None:
    SegmentChange.objects.create(
        site=the_site(), segment=loyal(), subject_key=who, entered=True, at=NOW, cause="event"
    )


def exposure(who: uuid.UUID) -> None:
    Exposure.objects.create(
        key=uuid.uuid4(), site=the_site(), subject_key=who, placement="/ hero", variant="x", counters=[], at=NOW,
        purposes=["personalization"],
    )  # fmt: skip


def message(who: uuid.UUID) -> None:
    endpoint = WebhookEndpoint.objects.create(
        site=the_site(), title="E", url="https://e.example/", secret=b"x", purpose="personalization"
    )
    WebhookDelivery.objects.create(
        endpoint=endpoint, message_id="m", kind="segment.entered", segment=loyal(), subject_key=who, at=NOW, state="done",
        next_at=NOW, change=1,
    )  # fmt: skip


PLANTED: dict[str, tuple[str, Callable[[uuid.UUID], None]]] = {
    "event": ("events", event),
    "trait": ("profile", trait),
    "computed segment": ("profile", computed_segment),
    "membership": ("memberships", membership),
    "change": ("changes", change),
    "exposure": ("exposures", exposure),
    "message": ("webhooks", message),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_kept_without_a_purpose_is_found(planted: str) -> None:
    front = agreed(personalization=True)
    front.decide(personalization=False)
    with committing():
        enforce(now=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1))
    assert [one for one in audit(now=dt.datetime.now(dt.UTC)) if one.invariant == "purpose"] == []
    holder, plant = PLANTED[planted]
    plant(uuid.UUID(str(front.visitor)))
    found = [one.detail for one in audit(now=dt.datetime.now(dt.UTC)) if one.invariant == "purpose"]
    assert (
        f"'{holder}' keeps something of {front.visitor} for 'personalization', which is not granted." in found
    )


def test_every_store_that_can_be_compared_is_planted_here() -> None:
    compared = {one.name for one in holders() if one.held is not None}
    assert compared - {"triggers"} == {
        holder for holder, _ in PLANTED.values()
    }  # triggers: registered by code, below


def test_work_for_somebody_who_allowed_nothing_is_found(request: pytest.FixtureRequest) -> None:
    trigger = triggers.on_entry("loyal", "some.task", name="audited", purpose="personalization")
    request.addfinalizer(lambda: triggers.forget(trigger))
    who = uuid.UUID(str(agreed(analytics=True).visitor))
    TriggerRun.objects.create(
        trigger="audited", change=1, segment=loyal(), subject_key=who, entered=True, at=NOW, next_at=NOW
    )
    found = [one.detail for one in audit(now=dt.datetime.now(dt.UTC)) if one.invariant == "purpose"]
    assert any(one.startswith("'triggers' keeps something") for one in found)
