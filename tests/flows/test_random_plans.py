"""The first law for any page: random rules, segments, scores, lists and texts, over people with random pasts.

Everything was allowed once, so that every store is full; then some purposes are closed. Two people who differ in
nothing but what those purposes kept get the same bytes, through HTTP.
"""

import datetime as dt
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent.models import ConsentState, Subject
from consent.seal import new_key, seal
from consent.tokens import make_token
from personalization.lanes import catch_up
from personalization.models import Event, Membership, Profile, Segment, Touched
from personalization.profiles import publish_snapshots
from tests.builders import committing, the_site
from tests.flows.front import Front
from tests.flows.shop import hero, load, page

PURPOSES = ("analytics", "personalization", "profiling", "marketing", "sensitive")
TRAITS = {
    "kids": {"personalization"},
    "tier": {"personalization"},
    "letter": {"marketing"},
    "ill": {"personalization", "sensitive"},
}
NAMES = ("Product Viewed", "Product Added", "Order Completed", "Test Taken")
CATEGORIES = ("hiking", "books")
CATALOGUE = [{"key": "Test Taken", "purposes": ["personalization", "sensitive"]}]
PATH = "/random"


def stamped(one: dict[str, Any]) -> dict[str, Any]:
    """Stamp an event as the catalogue says: one name is about health, and no other."""
    return one | {"stamp": ("personalization", "sensitive")} if one["name"] == "Test Taken" else one


# -- what people are --------------------------------------------------------------------------------

events = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(NAMES),
            "hours": st.integers(0, 200),
            "seconds": st.integers(0, 3599),
            "category": st.sampled_from(CATEGORIES),
            "price": st.integers(1, 90),
            "stamp": st.sampled_from([("personalization",), ("analytics",), ("profiling",)]),
        }
    ).map(stamped),
    max_size=6,
)
people = st.fixed_dictionaries(
    {
        "traits": st.fixed_dictionaries(
            {},
            optional={
                "kids": st.integers(0, 3),
                "tier": st.sampled_from(["gold", "none"]),
                "letter": st.sampled_from(["weekly", "never"]),
                "ill": st.booleans(),
            },
        ),
        "events": events,
        "club": st.booleans(),
        "name": st.sampled_from(["Ada", "Ben"]),
    }
)

# -- what pages read --------------------------------------------------------------------------------


def _within(moment: str) -> Any:
    return st.sampled_from([{"within": "P1D"}, {"within": moment}, {}])


conditions = st.one_of(
    st.builds(lambda n: {"kids": {"$exists": True, "$gte": n}}, st.integers(0, 3)),
    st.just({"tier": {"$eq": "gold"}}),
    st.just({"letter": {"$ne": "weekly"}}),
    st.just({"ill": {"$eq": True}}),
    st.just({"ill": {"$exists": False}}),
    st.builds(lambda n: {"features.orders": {"$gte": n}}, st.integers(0, 2)),
    st.just({"features.last_order_at.days_ago": {"$exists": True, "$lt": 3}}),
    st.just({"context.device": {"$ne": "mobile"}}),
)
behaviours = st.one_of(
    st.builds(
        lambda name, count, within: {"$did": {"event": name, "count": {"$gte": count}, **within}},
        st.sampled_from((*NAMES, "*")), st.integers(0, 2), _within("P7D"),
    ),
    st.builds(
        lambda name, least: {"$did": {"event": name, "sum": {"of": "properties.price", "$gte": least}}},
        st.sampled_from(NAMES), st.integers(0, 60),
    ),
    st.just({"$did": {"event": "Product Viewed", "by": "properties.category", "count": {"$gte": 1}}}),
    st.just({"$seq": {"steps": [{"event": "Product Added"}, {"event": "Order Completed", "absent": True}], "gap": "PT30M", "since": "P7D"}}),
)  # fmt: skip


def _mixed(parts: Any) -> Any:
    return st.one_of(
        parts,
        st.lists(parts, min_size=2, max_size=3).map(lambda some: {"$or": some}),
        st.lists(parts, min_size=2, max_size=3).map(lambda some: {"$and": some}),
        parts.map(lambda one: {"$not": one}),
    )


SEGMENTS = ("r_one", "r_two", "r_score", "r_club")
segment_rules = _mixed(st.one_of(conditions, behaviours))
memberships = st.builds(
    lambda operator, keys: {"segments": {operator: keys}},
    st.sampled_from(["$in", "$nin", "$all"]),
    st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=2, unique=True),
)
here = st.builds(
    lambda name, n: {f"here.{name}": {"$gte": n}},
    st.sampled_from(["views", "bought", "category_views", "category_bought"]), st.integers(0, 2),
)  # fmt: skip
scored = st.builds(lambda n: {"scores.r_score": {"$gte": n}}, st.integers(0, 9))
display_rules = _mixed(st.one_of(conditions, memberships, memberships, here, scored))
texts = st.sampled_from(
    [
        "Hello {{ user.first_name | default('there') }}",
        "{{ user.kids | default('no') }} kids, {{ user.letter | default('no letter') }}",
        "{{ user.segment.discount | default('5 %') }}",
        "{{ segment.r_two.by | default('everything') }} {{ user.ill | default('?') }}",
        "Plain",
    ]
)
variants = st.lists(st.fixed_dictionaries({"when": display_rules, "text": texts}), min_size=1, max_size=3)
plans = st.fixed_dictionaries(
    {
        "one": segment_rules,
        "two": behaviours,
        "parent": st.booleans(),
        "score": conditions,
        "variants": variants,
        "default": texts,
    }
)


def publish(plan: dict[str, Any]) -> None:
    """Load the segments and the page of a plan; the same keys each time."""
    points = [{"when": plan["score"], "points": 5}, {"event": "Product Viewed", "points": 2, "cap": 6}]
    more = {"min_size": 0, "attributes": {"discount": "15 %"}}
    segments = [
        {"key": "r_one", "title": "One", "rule": plan["one"], **more},
        {"key": "r_two", "title": "Two", "rule": plan["two"], "min_size": 0},
        {
            "key": "r_score",
            "title": "Score",
            "kind": "score",
            "score": {"points": points, "enter": 5},
            "min_size": 0,
        },
        {"key": "r_club", "title": "Club", "kind": "list", "purposes": ["marketing"], **more},
    ]
    if plan["parent"]:
        segments[1]["parent"] = "r_one"
    shown = [hero("r-default", plan["default"])]
    spelled = []
    for number, variant in enumerate(plan["variants"]):
        shown.append(hero(f"r-{number}", variant["text"]))
        spelled.append({"key": f"v{number}", "when": variant["when"], "block": f"r-{number}"})
    spelled.append({"key": "default", "default": True, "block": "r-default"})
    random_page = page(PATH, meta={"item": "boots", "category": "hiking"})
    random_page["slots"]["hero"][0]["variants"] = spelled
    traits = [{"key": "ill", "type": "boolean", "purpose": "sensitive"}]
    load(
        {
            "tessera": 1,
            "events": CATALOGUE,
            "traits": traits,
            "segments": segments,
            "blocks": shown,
            "pages": [random_page],
        },
        now=dt.datetime.now(dt.UTC),
    )


def usable(stamp: tuple[str, ...], granted: frozenset[str]) -> bool:
    """Say whether a page may know of an event: stamped for pages, and everything that it needs is open."""
    return "personalization" in stamp and set(stamp) <= granted


def twin_of(one: dict[str, Any], other: dict[str, Any], granted: frozenset[str]) -> dict[str, Any]:
    """Return somebody who is `one` in what is allowed and `other` in everything else."""
    allowed = {key for key, needed in TRAITS.items() if needed <= granted}
    traits = {k: v for k, v in one["traits"].items() if k in allowed} | {
        k: v for k, v in other["traits"].items() if k not in allowed
    }
    past = [e for e in one["events"] if usable(e["stamp"], granted)] + [
        e for e in other["events"] if not usable(e["stamp"], granted)
    ]
    return {
        "traits": traits,
        "events": past,
        "club": (one if "marketing" in granted else other)["club"],
        "name": (one if "personalization" in granted else other)["name"],
    }


def somebody(known: dict[str, Any], granted: frozenset[str], moment: dt.datetime) -> Front:
    """Put somebody into every store while everything is allowed, then close what is not granted behind the API's back."""
    subject = Subject.objects.create(created_at=moment)
    new_key(subject.pk).save(force_insert=True)
    state = dict.fromkeys(PURPOSES, "granted")
    ConsentState.objects.create(subject=subject, state=state, version=1, updated_at=moment)
    profile = Profile.objects.create(
        subject_key=subject.pk,
        site=the_site(),
        traits=known["traits"],
        sealed=seal(subject.pk, f'{{"first_name": "{known["name"]}"}}'.encode()),
        held=list(PURPOSES),
        version=2,
        first_seen_at=moment,
        last_seen_at=moment,
    )
    for one in known["events"]:
        properties = {"category": one["category"], "price": one["price"], "product_id": "boots"}
        if one["name"] == "Order Completed":
            properties |= {
                "revenue": one["price"],
                "products": [{"product_id": "boots", "category": one["category"]}],
            }
        Event.objects.create(
            site_id=the_site().pk, key_prefix="x", message_id=uuid.uuid5(uuid.NAMESPACE_OID, repr(sorted(one.items()))).hex, subject_key=subject.pk, kind="track",
            name=one["name"], properties=properties, happened_at=moment - dt.timedelta(hours=one["hours"], seconds=one["seconds"]),
            received_at=moment, purposes=list(one["stamp"]),
        )  # fmt: skip
    if known["club"]:
        club = Segment.objects.get(key="r_club")
        Membership.objects.create(segment=club, subject_key=subject.pk, entered_at=moment)
    Touched.objects.create(site=the_site(), subject_key=subject.pk, at=moment)
    with committing():
        catch_up(the_site(), now=moment)
        profile.refresh_from_db()
        publish_snapshots([profile])
    state = {purpose: "granted" if purpose in granted else "withdrawn" for purpose in PURPOSES}
    ConsentState.objects.filter(pk=subject.pk).update(state=state, version=2)
    front = Front()
    front.token = make_token(subject.pk, now=moment)
    return front


@pytest.mark.usefixtures("shop")
@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    plan=plans, one=people, other=people, granted=st.frozensets(st.sampled_from(PURPOSES)), signal=st.booleans(),
)  # fmt: skip
def test_on_any_page_what_is_not_allowed_changes_no_byte(
    plan: dict[str, Any], one: dict[str, Any], other: dict[str, Any], granted: frozenset[str], signal: bool
) -> None:
    publish(plan)
    moment = dt.datetime.now(dt.UTC)
    really = granted - {"marketing"} if signal and gpc_covers("marketing") else granted
    first, second = (somebody(known, granted, moment) for known in (one, twin_of(one, other, really)))
    headers = {"Sec_GPC": "1"} if signal else {}
    for path in (PATH, "/", "/strangers"):
        for accept in ("application/json", "text/html"):
            answers = [front.page(path, Accept=accept, **headers) for front in (first, second)]
            assert answers[0].status_code == 200
            assert answers[0].content == answers[1].content
            assert answers[0].headers == answers[1].headers
        for door in (f"/api/v1/decide{path}", f"/api/v1/privacy/why?path={path}"):
            told = [
                front.get(
                    door, headers={"X-Visitor": front.token or "", **({"Sec-GPC": "1"} if signal else {})}
                )
                for front in (first, second)
            ]
            assert told[0].status_code == 200
            assert told[0].content == told[1].content


def gpc_covers(purpose: str) -> bool:
    from consent.models import Purpose

    return Purpose.objects.filter(key=purpose, gpc_applies=True).exists()
