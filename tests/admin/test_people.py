"""Profiles, events, recipes, scores and webhooks in the admin: what is shown, to whom, and what goes on record."""

import datetime as dt
import json
import uuid
from contextlib import closing
from typing import Any

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from cms.roles import AUTHORS, PUBLISHERS, ensure_roles
from consent.identities import claim
from consent.models import AccessLog
from personalization import tasks
from personalization.models import (
    DeadLetter,
    Event,
    EventCount,
    EventType,
    Segment,
    SegmentSize,
    WebhookEndpoint,
)
from personalization.recipes import recipes
from personalization.segments.refresh import refresh
from tests.admin.content import client_of, load
from tests.builders import build_directory, committing, make_segment, make_trait, the_site
from tests.flows.front import Front, agreed, make_key
from tests.flows.receiver import Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> Front:
    """Somebody with traits, an order and a segment, all folded in."""
    load()
    make_trait("first_name", identifying=True)
    make_segment("buyers", {"features.orders": {"$exists": True, "$gte": 1}})
    build_directory()
    front, key = agreed(personalization=True), make_key("ingest")
    front.tells(key, first_name="Ada-Canary", orders=7)
    with committing():
        tasks.fold_touched()
    refresh(the_site(), now=timezone.now())  # from now on, entering is news
    front.buys(key)
    with committing():
        tasks.fold_touched()
    return front


@pytest.fixture(autouse=True)
def roles() -> None:
    ensure_roles()


def page_of(front: Front, role: str | None = PUBLISHERS, query: str = "") -> Any:
    return client_of(role).get(reverse("admin:personalization_profile_change", args=[front.visitor]) + query)


def test_a_profile_shows_what_happened_and_which_segments_opened_and_why(ada: Front) -> None:
    shown = page_of(ada).content.decode()
    assert "Order Completed" in shown
    assert "Entered buyers" in shown
    assert "because of Order Completed" in shown
    assert "Granted personalization" in shown
    entries = page_of(ada).context["entries"]
    assert {one.kind for one in entries} == {"event", "consent", "entered"}
    assert [one.at for one in entries] == sorted((one.at for one in entries), reverse=True)


def test_what_identifies_is_masked_but_for_superusers_and_looking_is_on_record(ada: Front) -> None:
    assert "Ada-Canary" not in page_of(ada, PUBLISHERS).content.decode()
    assert "Ada-Canary" in page_of(ada, None).content.decode()
    assert page_of(ada, AUTHORS).status_code == 403
    seen = AccessLog.objects.filter(kind="profile_seen", subject_key=ada.visitor)
    assert seen.count() == 2
    assert all(row.actor.startswith("staff:") for row in seen)


def test_after_a_withdrawal_the_page_of_a_person_is_bare(ada: Front) -> None:
    ada.decide(personalization=False)
    shown = page_of(ada, None)
    assert "Ada-Canary" not in shown.content.decode()
    assert shown.context["traits"] == shown.context["features"] == shown.context["segments"] == []


def test_somebody_is_looked_up_by_a_whole_identifier_and_never_by_a_part(ada: Front) -> None:
    claim(uuid.UUID(ada.visitor), "user", "u-1")
    client, url = client_of(PUBLISHERS), reverse("admin:personalization_profile_changelist")
    for term, found in ((ada.visitor, 1), ("user:u-1", 1), (ada.visitor[:8], 0), ("user:u", 0), ("Ada", 0)):
        assert client.get(url, {"q": term}).context["cl"].result_count == found, term
    assert AccessLog.objects.filter(kind="identifier_searched").count() == 2


def test_what_a_sensitive_event_holds_is_masked(ada: Front) -> None:
    Event.objects.filter(name="Order Completed").update(purposes=["personalization", "sensitive"])
    assert "trail-socks" not in page_of(ada, None).content.decode()  # it needs that purpose in addition
    ada.decide(sensitive=True)
    shown = page_of(ada, PUBLISHERS).content.decode()
    assert "Order Completed" in shown
    assert "trail-socks" not in shown
    assert "trail-socks" in page_of(ada, None).content.decode()


def test_a_long_story_comes_in_pages(ada: Front) -> None:
    row = Event.objects.get(name="Order Completed")
    moments = [row.happened_at - dt.timedelta(minutes=n) for n in range(1, 70)]
    Event.objects.bulk_create(
        Event(
            site_id=1, key_prefix="x", message_id=f"m{n}", subject_key=row.subject_key, kind="track", name=f"Old {n}",
            happened_at=at, received_at=at, purposes=["personalization"],
        )
        for n, at in enumerate(moments)
    )  # fmt: skip
    first = page_of(ada).context
    second = page_of(ada, query=f"?before={first['older'].replace('+', '%2B')}").context
    assert len(first["entries"]) == 50
    assert not {e.title for e in first["entries"]} & {e.title for e in second["entries"] if e.kind == "event"}
    assert page_of(ada, query="?before=nonsense").status_code == 200


def test_live_events_show_people_by_pseudonym_and_what_was_dropped(ada: Front) -> None:
    tasks.sweep()
    client = client_of(PUBLISHERS)
    assert client.get(reverse("admin:personalization_event_live")).status_code == 200
    assert AccessLog.objects.filter(kind="sample_seen").exists()
    Front().send(make_key("ingest"), "track", event="Seen")
    tasks.sweep()
    answer = client.get(reverse("admin:personalization_event_live_json")).json()
    assert {one["name"] for one in answer["events"]} == {"Order Completed", "identify"}
    assert ada.visitor not in json.dumps([one["person"] for one in answer["events"]])
    assert {"dropped: not allowed", "kept"} <= {one["reason"] for one in answer["reasons"]}
    only = client.get(reverse("admin:personalization_event_live_json"), {"name": "Order Completed"}).json()
    assert {one["name"] for one in only["events"]} == {"Order Completed"}
    assert client_of(AUTHORS).get(reverse("admin:personalization_event_live_json")).status_code == 403
    assert (
        AccessLog.objects.filter(kind="sample_seen").count() == 1
    )  # who goes on looking is on record once a minute
    with time_machine.travel(timezone.now() + dt.timedelta(minutes=2), tick=False):
        client.get(reverse("admin:personalization_event_live_json"))
    assert AccessLog.objects.filter(kind="sample_seen").count() == 2


def test_what_is_sealed_nobody_of_the_office_reads(ada: Front) -> None:
    """For ten minutes it can be had back; nothing reads it in between, and that includes people."""
    tasks.sweep()
    live = reverse("admin:personalization_event_live_json")
    assert client_of(PUBLISHERS).get(live).json()["events"]
    assert any(entry.kind == "event" for entry in page_of(ada).context["entries"])
    body = {"purposes": {"personalization": False}, "notice": ada.notice(), "seal": True}
    assert ada.change(body, headers={"X-Visitor": ada.token or ""}).status_code == 200
    assert Event.objects.filter(subject_key=ada.visitor).exists()
    assert client_of(PUBLISHERS).get(live).json()["events"] == []
    assert {entry.kind for entry in page_of(ada).context["entries"]} == {"consent"}


def test_the_catalogue_tells_what_came_and_takes_a_schema(ada: Front) -> None:
    tasks.sweep()
    client = client_of(AUTHORS)
    row = EventType.objects.get(key="Order Completed")
    assert row.declared is False
    url = reverse("admin:personalization_eventtype_change", args=[row.pk])
    shown = client.get(url).content.decode()
    assert "number" in shown
    assert "polyline" in shown
    form = {
        "title": "An order",
        "description": "",
        "declared": "on",
        "purposes": ["analytics"],
        "retention_days": "",
    }
    refused = client.post(url, form | {"schema": '{"type": "nonsense"}'})
    assert refused.status_code == 200
    assert "/type" in refused.content.decode()
    kept = client.post(url, form | {"schema": '{"type": "object", "required": ["revenue"]}'})
    assert kept.status_code == 302
    row.refresh_from_db()
    assert (row.declared, row.purposes, row.schema["required"]) == (True, ["analytics"], ["revenue"])


def test_every_recipe_is_in_the_gallery_and_comes_in_whole() -> None:
    load()
    client, url = client_of(AUTHORS), reverse("admin:personalization_segment_recipes")
    shown = client.get(url).content.decode()
    assert all(f'id="{one.key}"' in shown for one in recipes())
    assert client.post(url, {"key": "one_offer_a_week"}).status_code == 403
    assert the_site().offer_cap is None
    admin = client_of(None)
    assert admin.post(url, {"key": "one_offer_a_week"}).status_code == 302
    assert the_site().offer_cap == {"times": 1, "within": "P7D"}
    for one in recipes():
        if one.segments:
            answer = client.post(url, {"key": one.key})
            assert answer.status_code == 302, one.key
            first = Segment.objects.get(key=one.segments[0]["key"])
            assert answer.url == reverse("admin:personalization_segment_change", args=[first.pk]), one.key
    assert client.post(url, {"key": "nonsense"}).status_code == 302
    offered = client.get(reverse("admin:personalization_segment_recipes_json")).json()
    assert {"cart_left", "category_compare", "active_48h"} <= {one["key"] for one in offered}
    display = client.get(reverse("admin:personalization_segment_display_recipes_json")).json()
    assert {"this_product", "rain", "breakfast"} <= {one["key"] for one in display}


def _form(**values: Any) -> dict[str, Any]:
    usual = {
        "title": "Engaged", "key": "engaged", "kind": "score", "parent": "", "rule": "{}", "tiers": "", "priority": 100,
        "topic": "", "min_size": 50, "attributes": "", "points": "[]", "enter": "", "leave": "",
    }  # fmt: skip
    return usual | values


def test_a_score_is_written_in_rows() -> None:
    load()
    client, url = client_of(AUTHORS), reverse("admin:personalization_segment_add")
    rows = [
        {"points": "5", "event": "Product Viewed", "within": "P30D", "cap": "20", "decay": "P7D"},
        {"points": "10", "segment": "vip"},
    ]
    answer = client.post(url, _form(points=json.dumps(rows), enter="15", leave="10"))
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    kept = Segment.objects.get(key="engaged")
    assert kept.score == {
        "points": [
            {"event": "Product Viewed", "within": "P30D", "decay": "P7D", "points": 5, "cap": 20},
            {"points": 10, "when": {"segments": {"$in": ["vip"]}}},
        ],
        "enter": 15,
        "leave": 10,
    }
    shown = client.get(reverse("admin:personalization_segment_change", args=[kept.pk])).content.decode()
    assert "15 points or more, from 2 rows" in shown


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"points": '[{"points": "5"}]', "enter": "5"}, "points", "Row 1"),
        (
            {"points": '[{"points": "5", "event": "Product Viewed", "segment": "vip"}]', "enter": "5"},
            "points",
            "Row 1",
        ),
        ({"points": '[{"points": "5", "segment": "vip"}]', "enter": ""}, "enter", "From"),
        ({"points": '[{"points": "5", "segment": "vip"}]', "enter": "5", "leave": "9"}, "leave", ""),
        ({"points": '[{"points": "5", "when": "{nonsense"}]', "enter": "5"}, "points", "JSON"),
    ],
)
def test_a_score_that_says_nothing_is_refused_at_its_place(
    values: dict[str, str], field: str, said: str
) -> None:
    load()
    answer = client_of(AUTHORS).post(reverse("admin:personalization_segment_add"), _form(**values))
    assert answer.status_code == 200
    errors = answer.context["adminform"].form.errors
    assert field in errors, errors
    assert said.lower() in str(errors[field]).lower()
    assert not Segment.objects.filter(key="engaged").exists()


def test_a_segment_shows_its_curve_its_relations_and_where_it_is_used(ada: Front) -> None:
    vip = Segment.objects.get(key="vip")
    child = make_segment("vip_inner", {"orders": {"$exists": True, "$gte": 9}}, parent=vip)
    SegmentSize.objects.create(segment=vip, at=timezone.now() - dt.timedelta(days=1), size=120)
    SegmentSize.objects.create(segment=vip, at=timezone.now(), size=60)
    client = client_of(AUTHORS)
    shown = client.get(reverse("admin:personalization_segment_change", args=[vip.pk])).content.decode()
    assert "polyline" in shown
    assert reverse("admin:personalization_segment_change", args=[child.pk]) in shown
    assert "placement home-hero" in shown
    overlaps = client.get(reverse("admin:personalization_segment_overlaps", args=[vip.pk])).content.decode()
    assert "buyers" in overlaps
    assert "fewer than 50" in overlaps


def test_a_segment_that_another_names_cannot_be_deleted() -> None:
    load()
    make_segment("both", {"segments": {"$in": ["vip"]}})
    vip = Segment.objects.get(key="vip")
    answer = client_of(PUBLISHERS).post(
        reverse("admin:personalization_segment_delete", args=[vip.pk]), {"post": "yes"}, follow=True
    )
    assert Segment.objects.filter(key="vip").exists()
    assert "the segment both" in answer.content.decode()


def test_an_endpoint_is_told_its_secret_once_and_can_be_tried(settings: Any) -> None:
    load()
    settings.WEBHOOK_ALLOW_PRIVATE = True
    client = client_of(PUBLISHERS)
    with closing(Receiver()) as receiver:
        form = {
            "title": "Shop",
            "url": receiver.url,
            "kinds": ["segment.entered"],
            "purpose": "marketing",
            "active": "on",
        }
        answer = client.post(reverse("admin:personalization_webhookendpoint_add"), form, follow=True)
        assert "whsec_" in answer.content.decode()
        endpoint = WebhookEndpoint.objects.get()
        url = reverse("admin:personalization_webhookendpoint_change", args=[endpoint.pk])
        assert "whsec_" not in client.get(url).content.decode()
        tried = client.get(
            reverse("admin:personalization_webhookendpoint_send_a_test", args=[endpoint.pk]), follow=True
        )
        assert "HTTP 2" in tried.content.decode()
        changed = client.get(
            reverse("admin:personalization_webhookendpoint_change_secret", args=[endpoint.pk]), follow=True
        )
        assert "whsec_" in changed.content.decode()


def test_an_endpoint_within_the_house_is_refused_where_it_is_typed() -> None:
    form = {
        "title": "Inside",
        "url": "https://127.0.0.1/x",
        "kinds": ["segment.entered"],
        "purpose": "marketing",
    }
    answer = client_of(PUBLISHERS).post(reverse("admin:personalization_webhookendpoint_add"), form)
    assert "url" in answer.context["adminform"].form.errors
    assert not WebhookEndpoint.objects.exists()


def test_what_failed_for_good_can_be_begun_again_by_a_publisher() -> None:
    letter = DeadLetter.objects.create(
        kind="webhook", reference="msg_1", attempts=8, error="HTTP 500", created_at=timezone.now()
    )
    form = {"action": "replay_selected", "_selected_action": [letter.pk]}
    url = reverse("admin:personalization_deadletter_changelist")
    answer = client_of(PUBLISHERS).post(url, form, follow=True)
    assert "nothing is left" in answer.content.decode()
    assert client_of(AUTHORS).post(url, form).status_code == 403


def test_the_first_page_counts_the_events_of_today() -> None:
    EventCount.objects.create(
        site=the_site(), day=timezone.now().date(), name="A", count=12, last_at=timezone.now()
    )
    cards = {
        card["title"]: card["number"]
        for card in client_of(AUTHORS).get(reverse("admin:index")).context["cards"]
    }
    assert cards["Events today"] == "12"


def test_dates_and_lists_of_a_profile_read_like_dates_and_lists(ada: Front) -> None:
    text = page_of(ada).content.decode()
    today = timezone.now().strftime("%b %Y, ")
    assert f"{today}" in text.split('id="p-features"')[1].split("</section>")[0]
    assert "T" not in text.split("first visit</dt><dd>")[1].split("</dd>")[0]
    assert "[&#x27;" not in text


def test_an_author_reads_why_a_profile_is_not_shown(ada: Front) -> None:
    address = reverse("admin:personalization_profile_change", args=[ada.visitor])
    answer = client_of(AUTHORS).get(address, headers={"accept": "text/html"})
    assert answer.status_code == 403
    assert "You may not see this." in answer.content.decode()


@pytest.mark.parametrize(
    ("screen", "query", "said"),
    [("deadletter", "", "listed here, to be begun again"), ("profile", "?q=nobody", "Nothing fits")],
)
def test_an_empty_list_says_what_will_be_in_it_or_that_nothing_fits(
    screen: str, query: str, said: str
) -> None:
    answer = client_of(PUBLISHERS).get(reverse(f"admin:personalization_{screen}_changelist") + query)
    assert said in answer.content.decode()
