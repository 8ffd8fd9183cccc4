"""Every screen of the admin answers those who may see it, and nobody else."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cms.models import Page
from cms.roles import AUTHORS, PUBLISHERS
from consent.decisions import How, decide
from consent.purposes import current_notice
from personalization.segments.refresh import refresh
from tests.admin.content import client_of, load

pytestmark = pytest.mark.django_db
CONTENT = ("cms.page", "cms.block", "cms.media", "cms.blocktype", "cms.template", "cms.site")
READERS = (
    "personalization.segment",
    "personalization.trait",
    "personalization.attribute",
    "personalization.segmentrun",
    "personalization.eventtype",
)
PEOPLE = (
    "personalization.profile",
    "personalization.webhookendpoint",
    "personalization.webhookdelivery",
    "personalization.triggerrun",
    "personalization.deadletter",
)
CONSENT = (
    "consent.purpose",
    "consent.noticeversion",
    "consent.consentevent",
    "consent.propagationjob",
    "consent.accesslog",
    "consent.privacyrequest",
)
ACCESS = ("personalization.apikey", "auth.user", "auth.group")
ADDABLE = ("cms.page", "cms.block", "cms.media", "cms.blocktype", "cms.template", *READERS[:3], READERS[4])
SEEN = {
    None: {*CONTENT, *READERS, *PEOPLE, *CONSENT, *ACCESS},
    PUBLISHERS: {*CONTENT, *READERS, *PEOPLE, *CONSENT},
    AUTHORS: {*CONTENT, *READERS},
}


@pytest.fixture
def everything() -> None:
    """Have a row of everything."""
    load()
    now = timezone.now()
    site = Page.objects.get().site
    notice = str(current_notice(site.pk, now=now).n)
    how = How(method="test", notice=notice, site_id=site.pk)
    granted = decide(None, {"personalization": True}, how=how, now=now)
    decide(granted.subject_id, {"personalization": False}, how=how, now=now)
    refresh(site, now=now)


def _url(label: str, page: str, *args: Any) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_{page}", args=args)


@pytest.mark.parametrize("role", [None, PUBLISHERS, AUTHORS])
def test_lists_and_forms_answer_those_who_may_see_them(role: str | None, everything: None) -> None:
    client = client_of(role)
    for label in (*CONTENT, *READERS, *PEOPLE, *CONSENT, *ACCESS):
        wanted = 200 if label in SEEN[role] else 403
        answers = {url: client.get(url).status_code for url in _screens(label)}
        assert answers == dict.fromkeys(answers, wanted)


def _screens(label: str) -> list[str]:
    row = apps.get_model(label).objects.first()
    shown = [_url(label, "changelist"), _url(label, "changelist") + "?q=x"]
    shown += [_url(label, "change", row.pk)] if row is not None else []
    return [*shown, _url(label, "add")] if label in ADDABLE else shown


def test_the_index_shows_the_cards(everything: None) -> None:
    answer = client_of(AUTHORS).get(reverse("admin:index"))
    assert answer.status_code == 200
    assert "Failed effects" not in answer.content.decode()
    assert {card["title"] for card in answer.context["cards"]} >= {"Pages", "Segments"}


def test_an_empty_site_says_what_to_do_next() -> None:
    shown = client_of(None).get(reverse("admin:index"))
    assert "Make a block type" in shown.content.decode()


def test_a_stranger_sees_the_login_alone() -> None:
    for name in ("admin:index", "admin:cms_vocabulary", "admin:cms_page_changelist"):
        assert Client().get(reverse(name)).status_code == 302


def test_the_vocabulary_leaves_out_what_identifies(everything: None) -> None:
    answer = client_of(AUTHORS).get(reverse("admin:cms_vocabulary")).json()
    groups = {one["name"]: one["group"] for one in answer["facts"]}
    assert groups["orders"] == "Traits"
    assert groups["context.device"] == "Context"
    assert groups["features.orders"] == "Behaviour"
    assert [one["key"] for one in answer["segments"]] == ["vip"]
    assert answer["behaviour"] is False
    assert answer["events"] == []


def test_the_rule_of_a_segment_may_name_events_and_other_segments(everything: None) -> None:
    url = reverse("admin:personalization_segment_vocabulary")
    answer = client_of(AUTHORS).get(url).json()
    assert answer["behaviour"] is True
    assert {"key": "Product Viewed", "title": "Product Viewed", "properties": {}} in answer["events"]
    assert [one["key"] for one in answer["segments"]] == ["vip"]
    assert not [one["name"] for one in answer["facts"] if one["group"] == "This page"]
    nobody = Client()
    nobody.force_login(get_user_model().objects.create(username="nobody", is_staff=True))
    assert nobody.get(url).status_code == 403


def test_the_draft_is_seen_as_somebody_else(everything: None) -> None:
    page = Page.objects.get()
    client = client_of(AUTHORS)
    url = reverse("admin:see-as", args=[page.pk])
    nobody = client.get(url).content.decode()
    assert "Hello" in nobody
    vip = client.get(url, {"on": "vip", "consent": "all"}).content.decode()
    assert "Welcome back" in vip
    assert "segment" in vip
    refused = client.get(url, {"on": "vip", "consent": "none"}).content.decode()
    assert "Hello" in refused
    assert "has not allowed" in refused


def test_the_ledger_says_whether_its_chain_is_whole(everything: None) -> None:
    shown = client_of(PUBLISHERS).get(reverse("admin:consent_consentevent_changelist")).content.decode()
    assert "unbroken" in shown
