"""Care for segments: who a rule would reach, scores and tiers as forms, the page of one segment, and the list."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from cms.roles import AUTHORS
from personalization.models import EventType, Segment
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
