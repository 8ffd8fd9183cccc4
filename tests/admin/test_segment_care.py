"""Care for segments: who a rule would reach, scores and tiers as forms, the page of one segment, and the list."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cms.models import Page
from cms.roles import AUTHORS
from personalization.models import ApiKey, EventType, Segment, SegmentSize
from personalization.segments.directory import rebuild
from personalization.segments.sizes import note_sizes
from tests.admin.content import client_of, load
from tests.builders import make_segment, the_site
from tests.personalization.test_reach import make_people

pytestmark = pytest.mark.django_db
RULE = {"orders": {"$exists": True, "$gte": 5}}


@pytest.fixture(autouse=True)
def content() -> None:
    load()


def ask(client: Client, body: Any) -> Any:
    url = reverse("admin:personalization_segment_reach")
    return client.post(url, body, content_type="application/json")


# -- who would this reach ---------------------------------------------------------------------------


def test_the_builder_asks_who_a_rule_would_reach() -> None:
    make_people(140, orders=lambda n: n % 10)
    answer = ask(client_of(AUTHORS), {"rule": RULE, "parent": None, "segment": None, "kind": "rule"})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"].startswith("private, no-store")
    body = answer.json()
    assert set(body) == {"people", "base", "share", "exact", "took_ms", "contextual", "problems"}
    assert 60 <= int(body["people"]) <= 80
    assert (body["exact"], body["contextual"], body["problems"]) == (True, False, [])
    assert body["share"].endswith(" %")


def test_a_broken_rule_is_answered_with_its_place() -> None:
    body = ask(client_of(AUTHORS), {"rule": {"orders": {"$gte": "many"}}}).json()
    assert [one["pointer"] for one in body["problems"]] == ["/orders/$gte"]
    assert body["people"] == ""


def test_a_rule_that_names_the_segment_itself_is_refused() -> None:
    vip = Segment.objects.get(key="vip")
    body = ask(client_of(AUTHORS), {"rule": {"segments": {"$in": ["vip"]}}, "segment": vip.pk}).json()
    assert "cannot lie in itself" in body["problems"][0]["detail"]


@pytest.mark.parametrize("body", ["", "[", "[]", '{"rule": {}, "parent": 99999}', '{"rule": {}, "kind": "cluster"}', '{"rule": {}, "segment": "x"}'])  # fmt: skip
def test_what_is_no_question_is_refused_with_a_sentence(body: str) -> None:
    answer = ask(client_of(AUTHORS), body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["detail"]


def test_only_those_who_write_segments_may_ask_and_only_by_post() -> None:
    url = reverse("admin:personalization_segment_reach")
    assert ask(Client(), {"rule": RULE}).status_code == 302
    nobody = Client()
    nobody.force_login(get_user_model().objects.create(username="nobody", is_staff=True))
    assert ask(nobody, {"rule": RULE}).status_code == 403
    assert client_of(AUTHORS).get(url).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(get_user_model().objects.get(username=AUTHORS))
    assert ask(strict, {"rule": RULE}).status_code == 403


def test_who_asks_too_often_has_to_wait(settings: Any) -> None:
    settings.RATES = {**settings.RATES, "reach": (0.01, 3)}
    client = client_of(AUTHORS)
    assert [ask(client, {"rule": RULE}).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert int(ask(client, {"rule": RULE}).headers["Retry-After"]) > 0


def test_the_vocabulary_offers_the_properties_of_events_that_came() -> None:
    EventType.objects.create(
        site=the_site(),
        key="Trail Opened",
        declared=False,
        sample={"length": "number", "tags": "array", "deep": "object"},
    )
    EventType.objects.create(
        site=the_site(),
        key="Trail Walked",
        schema={"type": "object", "properties": {"km": {"type": "number"}}},
    )
    make_segment("walkers", {})
    answer = client_of(AUTHORS).get(reverse("admin:personalization_segment_vocabulary")).json()
    events = {one["key"]: one["properties"] for one in answer["events"]}
    assert events["Trail Opened"] == {"properties.length": "number", "properties.tags": "list"}
    assert events["Trail Walked"] == {"properties.km": "number"}
    assert {"vip", "walkers"} <= {one["key"] for one in answer["segments"]}


# -- how the list and the page of one segment say it ------------------------------------------------


@pytest.mark.parametrize(
    ("size", "opened", "hours", "said", "unsaid"),
    [
        (None, False, None, "waiting to be counted", "nobody in it"),
        (0, False, 1, "nobody in it", "not counted for two days"),
        (12, False, 1, "waiting for 38 more people", "nobody in it"),
        (49, False, 1, "waiting for 1 more person", "nobody in it"),
        (50, True, 49, "not counted for two days", "waiting for"),
        (80, True, 47, "open", "not counted for two days"),
    ],
)
def test_the_list_says_what_a_segment_waits_for_and_what_deserves_a_look(
    size: int | None, opened: bool, hours: int | None, said: str, unsaid: str
) -> None:
    made = make_segment("buyers", RULE)
    counted = timezone.now() - dt.timedelta(hours=hours) if hours is not None else None
    Segment.objects.exclude(pk=made.pk).delete()
    rebuild(the_site())
    Segment.objects.filter(pk=made.pk).update(size=size, open=opened, refreshed_at=counted, min_size=50)
    shown = client_of(AUTHORS).get(reverse("admin:personalization_segment_changelist")).content.decode()
    assert said in shown
    assert unsaid not in shown


def test_the_size_is_noted_once_an_hour_and_drawn_against_the_minimum() -> None:
    made = make_segment("buyers", RULE)
    begun = timezone.now().replace(minute=1) - dt.timedelta(hours=3)
    for hour, size in enumerate((10, 60, 75)):
        Segment.objects.filter(pk=made.pk).update(size=size, min_size=50)
        for minute in (0, 20, 40):  # however often it is called
            note_sizes(the_site(), now=begun + dt.timedelta(hours=hour, minutes=minute))
    noted = SegmentSize.objects.filter(segment=made).order_by("at").values_list("size", flat=True)
    assert list(noted) == [10, 60, 75]
    note_sizes(the_site(), now=begun + dt.timedelta(days=500))
    assert SegmentSize.objects.filter(segment=made).count() == 1  # those of long ago are forgotten
    note_sizes(the_site(), now=begun)
    page = client_of(AUTHORS).get(reverse("admin:personalization_segment_change", args=[made.pk]))
    assert "It opens at 50" in page.content.decode()


def test_a_preview_keeps_the_minimum_and_says_so() -> None:
    made = Segment.objects.get(key="vip")
    Segment.objects.filter(pk=made.pk).update(min_size=50, size=12, open=False)
    rebuild(the_site())
    _, key = ApiKey.objects.create_key(name="editor", site=the_site(), scopes=["preview"])
    path = Page.objects.filter(site=the_site()).values_list("path", flat=True).first()
    body = {"path": path, "traits": {"orders": 9}, "consent": {"personalization": True}}
    headers = {"Authorization": f"Api-Key {key}"}
    answer = Client().post("/api/v1/preview", body, content_type="application/json", headers=headers)
    assert answer.status_code == 200, answer.content
    reasons = {one["reason"] for listed in answer.json()["slots"].values() for one in listed}
    assert "segment_too_small" in reasons
    assert "matched" not in reasons
    Segment.objects.filter(pk=made.pk).update(size=50, open=True)
    rebuild(the_site())
    answer = Client().post("/api/v1/preview", body, content_type="application/json", headers=headers)
    assert "matched" in {one["reason"] for listed in answer.json()["slots"].values() for one in listed}
