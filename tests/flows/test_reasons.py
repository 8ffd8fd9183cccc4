"""Every reason of the closed list that a page can give today, and that the first obstacle names it."""

import datetime as dt

import pytest

from cms.models import Plan
from personalization.plans import plan_store
from personalization.segments.refresh import refresh
from tests.builders import NOW, committing, default, the_site
from tests.flows.front import Front, agreed
from tests.flows.shop import BUNDLE, hero, inside, load, open_shop, page, when

PAST, FUTURE = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


def open_with(*variants: dict[str, object]) -> None:
    """Open the shop with a page `/x` of these variants."""
    open_shop(pages=[page("/x", *variants)])


@pytest.mark.usefixtures("shop")
def test_matched_and_default() -> None:
    assert Front().variant("/device", User_Agent="iPhone Mobile") == ("mobile", "matched")
    assert Front().variant("/device", User_Agent="X11; Linux x86_64") == ("default", "default")
    assert Front().variant("/plain") == ("default", "default")


@pytest.mark.usefixtures("shop")
def test_no_consent_is_said_when_a_closed_purpose_made_a_rule_unknown() -> None:
    assert Front().variant("/offers") == ("default", "no_consent")
    assert agreed().variant("/offers") == ("default", "no_consent")
    assert agreed(marketing=True).variant("/offers") == ("default", "default")


@pytest.mark.usefixtures("shop")
def test_not_being_in_a_segment_is_unknown_without_consent() -> None:
    assert Front().variant("/strangers") == ("default", "no_consent")
    assert agreed().variant("/strangers") == ("new", "matched")


@pytest.mark.usefixtures("shop")
def test_unknown_fact_is_said_when_the_profile_cannot_be_read() -> None:
    from consent.gates import Gates
    from personalization import facts
    from personalization.assemble import decide
    from personalization.plans import sign
    from personalization.visitor import Visitor

    plan = plan_store.find(plan_store.site(None), "/offers", "en", now=NOW.timestamp())
    assert plan is not None
    unread = Visitor(None, Gates(frozenset({"marketing"}), 1), None)
    known = facts.cut(plan.facts, visitor=unread, context={}, now=NOW)
    decision = decide(plan, known, visitor=unread, now=NOW.timestamp(), sign=sign)
    assert decision.choices == ((1, "unknown_fact"),)


def test_out_of_window(db: None) -> None:
    open_with(when("early", {}, "hero-new", starts_at=FUTURE), when("late", {}, "hero-new", ends_at=PAST))
    assert Front().variant("/x") == ("default", "out_of_window")


def test_the_window_ends_exclusively(db: None) -> None:
    end = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).replace(microsecond=0)
    open_with(when("now", {}, "hero-new", starts_at=PAST, ends_at=end.isoformat()))
    assert Front().variant("/x") == ("now", "matched")
    site = plan_store.site(None)
    plan = plan_store.find(site, "/x", "en", now=NOW.timestamp())
    assert plan is not None
    assert plan.next_boundary(end.timestamp() - 1) == end.timestamp()
    assert plan.next_boundary(end.timestamp()) is None


@pytest.mark.usefixtures("shop")
def test_segment_too_small(write_key: str) -> None:
    front = agreed()
    front.tells(write_key, kids=2)
    refresh(the_site(), now=dt.datetime.now(dt.UTC))
    assert front.variant("/sizes") == ("default", "segment_too_small")
    assert Front().variant("/sizes") == ("default", "no_consent")


def test_an_obstacle_counts_only_where_the_rule_was_not_plainly_false(db: None) -> None:
    false = when("phone", {"context.device": {"$eq": "mobile"}}, "hero-new", starts_at=FUTURE)
    open_with(false, when("loyal", inside("loyal")))
    assert Front().variant("/x", User_Agent="X11") == ("default", "no_consent")
    assert Front().variant("/x", User_Agent="iPhone") == ("default", "out_of_window")


def test_the_first_obstacle_names_the_reason(db: None) -> None:
    open_with(when("loyal", inside("loyal")), when("soon", {}, "hero-new", starts_at=FUTURE))
    assert Front().variant("/x") == ("default", "no_consent")
    assert agreed().variant("/x") == ("default", "out_of_window")


def test_a_later_match_wins_over_an_earlier_obstacle(db: None) -> None:
    open_with(when("loyal", inside("loyal")), when("all", {}, "hero-new"))
    assert Front().variant("/x") == ("all", "matched")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("rule", [{"features.orders": {"$gte": []}}, {"a": {"$regex": "x" * 999}}])
def test_a_stored_rule_that_cannot_be_read_ends_in_the_default_with_the_reason_error(rule: object) -> None:
    for row in Plan.objects.filter(page__path="/device"):
        row.program["placements"][0]["variants"][0]["rule"] = rule
        row.save()
    assert Front().variant("/device") == ("default", "error")
    assert Front().page("/device", Accept="text/html").status_code == 200


@pytest.mark.usefixtures("shop")
def test_a_stored_segment_that_cannot_be_read_is_nobodys(db: None) -> None:
    row = the_site().directories.get()
    for segment in row.program["segments"]:
        if segment["key"] == "phones":
            segment["rules"] = [{"context.device": {"$gte": []}}]
    row.save()
    assert Front().page("/phones", User_Agent="iPhone").status_code == 200
    assert agreed().variant("/") == ("new", "matched")


@pytest.mark.usefixtures("shop")
def test_a_hidden_placement_is_left_out_of_its_slot() -> None:
    gone = [
        {
            "placement": "gone",
            "variants": [
                {"key": "none", "when": {"context.device": {"$exists": True}}, "hide": True},
                default("greeting"),
            ],
        }
    ]
    load({"tessera": 1, "pages": [page("/x", slots={"footer": gone})]})
    answer = Front().page("/x").json()
    assert answer["slots"]["footer"] == []
    assert len(answer["slots"]["hero"]) == 1


def test_an_override_inherits_what_it_does_not_name(db: None) -> None:
    rule = {"context.device": {"$eq": "mobile"}}
    variant = {"key": "phone", "when": rule, "override": {"headline": {"de": "Kurz"}}}
    open_with(variant)
    answer = Front().slots("/x?locale=de", User_Agent="iPhone")["x-hero"]
    assert (answer["fields"]["headline"], answer["block"]) == ("Kurz", "hero-default")
    assert Front().slots("/x?locale=en", User_Agent="iPhone")["x-hero"]["fields"]["headline"] == "Hello"


def test_publishing_is_seen_by_the_next_request(db: None) -> None:
    open_shop()
    assert Front().slots("/plain")["plain-hero"]["fields"]["headline"] == "Hello"
    with committing():
        load(BUNDLE | {"blocks": [hero("hero-default", "Hi")], "pages": []})
    assert Front().slots("/plain")["plain-hero"]["fields"]["headline"] == "Hi"
