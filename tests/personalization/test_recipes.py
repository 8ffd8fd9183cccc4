"""Every recipe with a moving clock: what somebody did, and whether it holds at which moment."""

import datetime as dt
from typing import Any

import orjson
import pytest
from django.conf import settings

from cms.errors import errors_among
from cms.language.behaviour import Happened
from cms.language.behaviour.events import in_order
from cms.language.evaluate import WITHHELD, compile_rule
from cms.language.parse import parse
from cms.language.vocabulary import CONTEXT
from cms.models import Experience, Site
from consent.gates import Gates
from personalization.bundle import load_bundle
from personalization.directory import Directory, compile_directory
from personalization.fold import Features, computed_facts, fold
from personalization.models import Directory as StoredDirectory
from personalization.models import Segment
from personalization.recipes import Recipe, recipe, recipes
from personalization.segments.refresh import refresh_daily
from personalization.segments.sizes import opens
from personalization.standing import stand
from personalization.timelines import timelines_of
from personalization.visitor import NOTHING_DONE, Snapshot, Visitor
from tests.builders import committing, the_site

START = dt.datetime(2026, 11, 16, 12, 0, tzinfo=dt.UTC)  # a Monday
WHO = ("personalization",)


def at(**after: float) -> dt.datetime:
    return START + dt.timedelta(**after)


def track(name: str, moment: dt.datetime, **properties: Any) -> Happened:
    micros = int(moment.timestamp()) * 1_000_000
    return Happened(name, micros, properties, "track", f"{name}{micros}{orjson.dumps(properties).decode()}")


def read(moment: dt.datetime) -> Happened:
    """Return a view of a page that is no product's: a `page` call, and nothing else."""
    micros = int(moment.timestamp()) * 1_000_000
    return Happened("Page Viewed", micros, {"path": "/"}, "page", f"page{micros}")


def viewed(moment: dt.datetime, item: str = "p", category: str = "hiking") -> Happened:
    return track("Product Viewed", moment, product_id=item, category=category)


def added(moment: dt.datetime) -> Happened:
    return track("Product Added", moment, product_id="p")


def bought(moment: dt.datetime, category: str = "outdoor") -> Happened:
    products = [{"product_id": "p", "category": category}]
    return track("Order Completed", moment, category=category, revenue=50, products=products)


def load(one: Recipe) -> Directory:
    """Bring a recipe into the site through its bundle, and return what was compiled of it."""
    report = load_bundle(one.bundle, now=START)
    assert [problem for problem in report.problems if problem.severity == "error"] == []
    row = StoredDirectory.objects.order_by("-version").first()
    assert row is not None
    return compile_directory(row.program, version=row.version)


def inside(
    directory: Directory, events: list[Happened], now: dt.datetime, traits: dict[str, Any] | None = None
) -> tuple[set[str], dt.datetime | None, dict[str, Any]]:
    """Return the segments that somebody is in at a moment, when that next changes, and their behaviour."""
    moment = int(now.timestamp()) * 1_000_000
    past = sorted((event for event in events if event.at <= moment), key=in_order)
    facts = {**NOTHING_DONE, **(traits or {}), **computed_facts(fold(Features(), past))}
    timelines = timelines_of(directory.behaviours, past, moment=moment)
    visitor = Visitor(None, Gates(frozenset(WHO)), Snapshot(timelines=timelines))
    standing = stand(directory, facts, visitor, now=now, time_zone="UTC")
    return set(standing.segments), standing.due_at, timelines


def members(key: str, events: list[Happened], now: dt.datetime, **traits: Any) -> set[str]:
    return inside(load(recipe(key)), events, now, traits)[0]


HOURS = [at(minutes=m) for m in (0, 20, 50)]
CASES: list[tuple[str, str, list[Happened], list[tuple[dt.datetime, bool]]]] = [
    ("active_48h", "active_48h", [viewed(at())], [(at(), True), (at(hours=47, minutes=59), True), (at(hours=48), False)]),
    ("inactive_48h", "inactive_48h", [viewed(at())], [(at(), False), (at(hours=47, minutes=59), False), (at(hours=48), True), (at(days=30), True)]),
    ("inactive_48h", "inactive_48h", [], [(at(days=30), False)]),
    ("inactive_48h", "inactive_48h", [read(at())], [(at(), False), (at(hours=47, minutes=59), False), (at(hours=48), True)]),
    ("active_48h", "active_48h", [read(at())], [(at(), True), (at(hours=48), False)]),
    ("cart_left", "cart_left", [added(at())], [(at(minutes=29), False), (at(minutes=30), True), (at(hours=23, minutes=59), True), (at(hours=24), False)]),
    ("cart_left", "cart_left", [added(at()), bought(at(minutes=20))], [(at(minutes=30), False), (at(hours=2), False)]),
    ("cart_left", "cart_left", [added(at()), bought(at(minutes=40)), added(at(minutes=50))], [(at(minutes=35), True), (at(minutes=45), False), (at(minutes=80), True)]),
    ("category_interest", "category_interest", [viewed(moment) for moment in HOURS], [(at(minutes=21), False), (at(minutes=50), True), (at(minutes=59), True), (at(minutes=60), False)]),
    ("category_interest", "category_interest", [viewed(at(minutes=n), category=f"c{n}") for n in range(9)], [(at(minutes=9), False)]),
    ("category_compare", "category_compare", [viewed(at(minutes=n), item=f"p{n}") for n in (0, 3, 6)], [(at(minutes=5), False), (at(minutes=6), True), (at(minutes=9), True), (at(minutes=10), False)]),
    ("category_compare", "category_compare", [viewed(at(minutes=n), item="p") for n in (0, 3, 6)], [(at(minutes=6), False)]),
    ("product_y", "product_y", [viewed(at(days=n), item="product-y") for n in (0, 90, 200)], [(at(days=199), False), (at(days=200), True), (at(days=399), True)]),
    ("cart_and_view", "cart_and_view", [viewed(at(), item="tent"), added(at(minutes=5))], [(at(minutes=34), False), (at(minutes=35), True), (at(hours=24), False)]),
    ("recent_buyers", "recent_buyers", [bought(at())], [(at(), True), (at(days=29, hours=23), True), (at(days=30), False)]),
    ("lapsed_buyers", "lapsed_buyers", [bought(at())], [(at(days=59, hours=23), False), (at(days=60), True)]),
    ("lapsed_buyers", "lapsed_buyers", [], [(at(days=90), False)]),
    ("category_session", "category_session", [viewed(at()), viewed(at(minutes=25))], [(at(minutes=10), False), (at(minutes=25), True), (at(minutes=54), True), (at(minutes=55), False)]),
    ("category_session", "category_session", [viewed(at()), viewed(at(minutes=31))], [(at(minutes=31), False)]),
    ("segment_and_mobile", "active_48h", [viewed(at())], [(at(hours=1), True)]),
    ("new_visitors", "new_visitors", [viewed(at()), viewed(at(days=1))], [(at(), True), (at(hours=5), True), (at(days=1), False)]),
    ("returning_visitors", "returning_visitors", [viewed(at()), viewed(at(days=1))], [(at(), False), (at(days=1), True)]),
    ("outdoor_buyers", "outdoor_buyers", [bought(at())], [(at(), True), (at(days=13), True), (at(days=14), False)]),
    ("viewed_x_left_cart", "viewed_x_left_cart", [viewed(at(), item="product-x"), added(at(minutes=1))], [(at(minutes=30), False), (at(minutes=31), True), (at(days=7), False)]),
    ("engaged", "engaged", [bought(at()), *(viewed(at(minutes=n)) for n in range(5))], [(at(), False), (at(minutes=5), True)]),
]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize(("key", "segment", "events", "moments"), CASES)
def test_a_recipe_holds_at_these_moments_and_says_when_it_changes(
    key: str, segment: str, events: list[Happened], moments: list[tuple[dt.datetime, bool]]
) -> None:
    directory = load(recipe(key))
    for now, expected in moments:
        found, due, _ = inside(directory, events, now)
        assert (segment in found) is expected, now
        following = [later for later, truth in moments if later > now and truth is not expected]
        if following and not [e for e in events if now < later_of(e) <= following[0]]:
            assert due is not None
            assert due <= following[0]


def later_of(event: Happened) -> dt.datetime:
    return dt.datetime.fromtimestamp(event.at / 1e6, dt.UTC)


@pytest.mark.django_db
def test_the_category_is_a_value_for_placeholders() -> None:
    directory = load(recipe("category_compare"))
    events = [viewed(at(minutes=n), item=f"p{n}", category="climbing") for n in (0, 3, 6)]
    _, _, timelines = inside(directory, events, at(minutes=6))
    ((until, truth, by), *_) = next(iter(timelines.values()))
    assert (truth, by) == (True, "climbing")
    assert until == int(at(minutes=10).timestamp()) * 1_000_000


@pytest.mark.django_db
def test_young_hikers_are_kept_by_their_personal_part() -> None:
    events = [viewed(at())]
    assert members("young_hiker_evening", events, at(hours=2), age=30) == {"young_hiker_evening"}
    assert members("young_hiker_evening", events, at(hours=2), age=40) == set()
    assert members("young_hiker_evening", events, at(hours=24), age=30) == set()
    rule = recipe("young_hiker_evening").segments[0]["rule"]
    context = {"context.device": "mobile", "context.weekday": 1, "context.time": "18:00"}
    program = compile_rule(parse({k: v for k, v in rule.items() if k.startswith("context.")}))
    assert program.evaluate(context) is True
    assert program.evaluate({**context, "context.weekday": 6}) is False


@pytest.mark.django_db
def test_electronics_in_the_city() -> None:
    known = {"home": "city", "contact": "email"}
    order = [bought(at(), category="electronics")]
    assert members("electronics_city", order, at(days=29), **known) == {"electronics_city"}
    assert members("electronics_city", order, at(days=30), **known) == set()
    assert members("electronics_city", order, at(days=1), home="village", contact="email") == set()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("events", "tier"),
    [
        ([], "tier_others"),
        ([added(at())], "tier_high_intent"),
        ([added(at()), bought(at(minutes=1))], "tier_others"),
        ([bought(at()), bought(at(minutes=9))], "tier_repeat_buyer"),
        ([bought(at()), bought(at(minutes=9)), added(at(minutes=20))], "tier_high_intent"),
        ([track("Product List Viewed", at(minutes=n)) for n in range(5)], "tier_browsing"),
    ],
)
def test_everybody_is_in_exactly_one_tier(events: list[Happened], tier: str) -> None:
    assert members("tiers", events, at(hours=1)) == {tier}


@pytest.mark.django_db
def test_points_are_halved_every_week_and_leaving_takes_longer_than_entering() -> None:
    directory = load(recipe("engaged"))
    score = directory.segments["engaged"].score
    assert score is not None
    events = [viewed(at(minutes=n)) for n in range(8)]
    found = []
    for days in (0, 7, 14, 90):
        moment = int(at(days=days, hours=1).timestamp()) * 1_000_000
        facts = {**NOTHING_DONE, "$moment": moment}
        for one in score.behaviours:
            facts[one.key] = one.timeline(events, moment)
        found.append(score.value(facts))
    assert found == [16, 8, 4, 0]
    assert score.enter > score.leave


@pytest.mark.parametrize(
    ("key", "facts", "expected"),
    [
        ("this_product", {"here.views": 4, "here.category_bought": 1}, True),
        ("this_product", {"here.views": 3, "here.category_bought": 1}, False),
        ("this_product", {"here.views": 9, "here.category_bought": 0}, False),
        ("this_product", {"here.views": WITHHELD, "here.category_bought": 1}, None),
        ("segment_and_mobile", {"segments": {"active_48h": True}, "context.device": "mobile"}, True),
        ("segment_and_mobile", {"segments": {"active_48h": True}, "context.device": "desktop"}, False),
        ("breakfast", {"context.time": "06:00"}, True),
        ("breakfast", {"context.time": "10:00"}, False),
        ("only_phones", {"context.device": "mobile"}, True),
        ("rain", {"context.weather": "rain"}, True),
        ("rain", {"context.weather": None}, False),
    ],
)
def test_a_display_rule(key: str, facts: dict[str, Any], expected: bool | None) -> None:
    when = recipe(key).when
    assert when is not None
    assert compile_rule(parse(when)).evaluate({**dict.fromkeys(CONTEXT), **facts}) is expected


@pytest.mark.django_db
@pytest.mark.parametrize("one", recipes(), ids=lambda one: one.key)
def test_every_recipe_loads_twice_without_a_change_and_stays_in_the_authoring_profile(one: Recipe) -> None:
    with committing():
        report = load_bundle(one.bundle, now=START)
        assert report.problems == []
        before = StoredDirectory.objects.count()
        load_bundle(one.bundle, now=START)
    assert StoredDirectory.objects.count() == before
    assert Segment.objects.filter(site=the_site()).count() >= len(one.segments)


@pytest.mark.django_db
def test_accessories_name_the_category_that_was_bought() -> None:
    directory = load(recipe("accessories"))
    events = [bought(at(), category="hiking")]
    for days, there in ((0, True), (29, True), (30, False)):
        found, _, timelines = inside(directory, events, at(days=days))
        assert ("accessories" in found) is there
    _, _, timelines = inside(directory, events, at(days=1))
    assert next(iter(timelines.values()))[0][2] == "hiking"


@pytest.mark.django_db
def test_settings_come_in_with_their_recipes() -> None:
    assert not errors_among(load_bundle(recipe("one_offer_a_week").bundle, now=START).problems)
    assert the_site().offer_cap == {"times": 1, "within": "P7D"}
    load_bundle(recipe("steady_15_minutes").bundle, now=START)
    assert Experience.objects.get(key="steady_15_minutes").min_interval == "PT15M"
    Site.objects.update(recalculated_at=dt.time(5, 0))
    load_bundle(recipe("recalculated_daily").bundle, now=START)
    assert the_site().recalculated_at == dt.time(3, 10)
    wrong = load_bundle(
        {"tessera": 1, "site": {"offer_cap": 1, "recalculated_at": "soon", "x": 1}}, now=START
    )
    assert {(one.pointer, one.severity) for one in wrong.problems} == {
        ("/site/offer_cap", "error"), ("/site/recalculated_at", "error"), ("/site/x", "warning"),
    }  # fmt: skip


@pytest.mark.django_db
def test_fifty_regulars_open_their_segment_and_thirty_nine_close_it() -> None:
    load(recipe("minimum_size"))
    segment = Segment.objects.get(key="regulars")
    sizes = ((49, False), (50, False), (40, True), (39, True))
    opened = [opens(size, minimum=segment.min_size, was_open=was_open) for size, was_open in sizes]
    assert opened == [False, True, True, False]


@pytest.mark.django_db
def test_all_segments_are_worked_out_anew_once_a_day_at_the_sites_own_time() -> None:
    load_bundle(recipe("recalculated_daily").bundle, now=START)
    site = the_site()
    site.time_zone = "Europe/Berlin"
    site.save()
    began = dt.datetime(2026, 11, 17, 2, 9, tzinfo=dt.UTC)  # 03:09 in Berlin
    assert refresh_daily(site, now=at()) is not None
    minutes = (0, 1, 2, 60, 24 * 60, 24 * 60 + 1)
    ran = [refresh_daily(site, now=began + dt.timedelta(minutes=n)) is not None for n in minutes]
    assert ran == [False, True, False, False, False, True]
    assert refresh_daily(site, now=began + dt.timedelta(days=5)) is not None  # days that were missed are one
    assert refresh_daily(site, now=began + dt.timedelta(days=5, minutes=1)) is not None
    task = settings.CELERY_BEAT_SCHEDULE["refresh-segments"]
    assert (task["task"], task["schedule"]) == ("personalization.tasks.refresh_daily_segments", 60.0)


def test_every_recipe_that_is_not_for_later_is_there() -> None:
    there = {number for one in recipes() for number in one.recipes}
    later = {17, 18, 21, 22}  # experiments, learning and insight
    assert there == set(range(1, 27)) - later
