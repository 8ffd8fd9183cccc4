"""A page right after an event, with nobody at work: it shows what happened, whenever that was, and looks nowhere else."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consent.hot_store import hot_store
from personalization.folding import touch
from personalization.forgetting import forget_all
from personalization.history import Where, unfolded
from personalization.models import Event, Profile, Segment, Touched
from personalization.profiles import touched_key
from personalization.segments.directory import rebuild
from tests.builders import committing, the_site
from tests.flows.front import Front, agreed

pytestmark = pytest.mark.usefixtures("shop")
NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def ada() -> Front:
    return agreed(personalization=True, analytics=True)


@pytest.fixture
def behaviour() -> None:
    """Let a segment ask what people do."""
    rule = {"$did": {"event": "Product Viewed", "within": "PT5S"}}
    with committing():
        Segment.objects.create(site=the_site(), key="busy", title="Busy", rule=rule, min_size=0)
        rebuild(the_site())


def shown(front: Front) -> str:
    return front.variant("/")[0]


def asked(front: Front) -> list[str]:
    """Return the statements about one person of a page whose plan is in memory; those of the gates aside."""
    Front().page("/")
    with CaptureQueriesContext(connection) as found:
        front.page("/")
    return [q["sql"] for q in found.captured_queries if "consent_" not in q["sql"]]


def spelled(moment: dt.datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(("days", "variant"), [(0, "loyal"), (70, "lapsed"), (300, "lapsed")])
def test_whenever_it_happened(ada: Front, write_key: str, days: int, variant: str) -> None:
    ada.buys(write_key, times=3, timestamp=spelled(NOW - dt.timedelta(days=days)))
    assert shown(ada) == variant
    assert not Profile.objects.filter(orders__gt=0).exists()  # nobody folded it in: the page did, for itself


def test_what_came_in_any_order_counts_in_its_own(ada: Front, write_key: str) -> None:
    seen = []
    for days in (200, 1, 90):
        ada.buys(write_key, timestamp=spelled(NOW - dt.timedelta(days=days)))
        seen.append(shown(ada))
    assert seen == ["lapsed", "default", "loyal"]


def test_it_looks_only_into_the_month_where_something_is(ada: Front, write_key: str) -> None:
    ada.buys(write_key)
    statements = asked(ada)
    read = [one for one in statements if "personalization_event" in one]
    assert len(read) == 1
    assert len(statements) == 2
    months = {one["Relation Name"] for one in _scans(read[0])}
    assert months == {f"personalization_event_{NOW:%Y_%m}"}
    assert asked(ada) == []


def test_behaviour_is_asked_of_as_many_months_as_it_reaches_back(
    ada: Front, write_key: str, behaviour: None
) -> None:
    ada.send(write_key, "track", event="Product Viewed")
    read = [one for one in asked(ada) if "personalization_event" in one]
    assert len(read) == 2
    assert all(len(_scans(one)) <= 2 for one in read)
    assert asked(ada) == []


def test_who_never_did_anything_is_looked_up_once(ada: Front, behaviour: None) -> None:
    assert len(asked(ada)) == 1
    assert asked(ada) == []


def test_who_had_everything_forgotten_is_looked_up_once(ada: Front, write_key: str) -> None:
    ada.buys(write_key, times=3)
    assert shown(ada) == "loyal"
    with committing():
        forget_all(uuid.UUID(ada.visitor), NOW)
    assert shown(ada) == "new"
    assert asked(ada) == []


def test_a_claim_that_does_not_say_where_is_looked_for_everywhere(ada: Front, write_key: str) -> None:
    ada.buys(write_key, times=3, timestamp=spelled(NOW - dt.timedelta(days=70)))
    Touched.objects.update(since=None, until=None, last_id=None)
    touch([uuid.UUID(ada.visitor)], site_id=the_site().pk, now=NOW)
    assert shown(ada) == "lapsed"


def test_what_comes_while_a_page_looks_waits_for_the_next(ada: Front, write_key: str) -> None:
    """An event outside of what was asked for must not be passed over because a later one lies inside."""
    subject = uuid.UUID(ada.visitor)
    ada.buys(write_key)
    claim = Touched.objects.get()
    where = Where(claim.since, claim.until, claim.last_id)
    ada.buys(write_key, timestamp=spelled(NOW - dt.timedelta(days=90)))
    ada.buys(write_key)
    first, _, _ = Event.objects.order_by("id").values_list("id", flat=True)
    _, last = unfolded({subject: 0}, where)
    assert last == {subject: first}
    assert int(hot_store().read([touched_key(subject)])[0] or 0) > first
    assert shown(ada) == "loyal"


def _scans(statement: str) -> list[dict[str, Any]]:
    """Return the tables of events that a statement reads, as PostgreSQL plans it."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement.replace('%', '%%')}")
        plans, found = [cursor.fetchone()[0][0]["Plan"]], []
    while plans:
        plan = plans.pop()
        plans += plan.get("Plans", [])
        if plan.get("Relation Name", "").startswith("personalization_event"):
            found.append(plan)
    return found
