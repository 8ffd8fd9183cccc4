"""Caps in the admin: two fields in place of JSON, for variants, experiences and the whole site alike."""

from typing import Any

import pytest
from django.urls import reverse

from cms.models import Experience, Site
from cms.roles import AUTHORS
from tests.admin.content import client_of, form_of, load
from tests.builders import the_site

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def content() -> None:
    load()


def send(address: str, **changes: Any) -> Any:
    client = client_of(None)
    return client.post(address, form_of(client.get(address)) | changes)


def settings_address() -> str:
    return reverse("admin:cms_site_change", args=[the_site().pk])


def test_the_cap_of_the_site_is_written_in_two_fields_and_pages_follow() -> None:
    before = the_site().epoch
    assert send(settings_address(), cap_times="1", cap_within="P7D").status_code == 302
    site = Site.objects.get()
    assert site.offer_cap == {"times": 1, "within": "P7D"}
    assert site.epoch > before
    assert send(settings_address(), cap_times="", cap_within="").status_code == 302
    assert Site.objects.get().offer_cap is None


def test_a_time_without_a_number_is_refused_where_it_is_missing() -> None:
    answer = send(settings_address(), cap_times="", cap_within="P7D")
    assert answer.status_code == 200
    assert "Say how often within this time." in answer.content.decode()
    assert Site.objects.get().offer_cap is None


def test_a_time_from_a_bundle_stays_when_something_else_is_changed() -> None:
    row = Experience.objects.create(
        site=the_site(), key="autumn", title="Autumn", cap={"times": 2, "within": "PT36H"}
    )
    address = reverse("admin:cms_experience_change", args=[row.pk])
    assert send(address, title="Late autumn").status_code == 302
    row.refresh_from_db()
    assert (row.title, row.cap) == ("Late autumn", {"times": 2, "within": "PT36H"})


def test_who_may_only_look_reads_the_cap_as_words() -> None:
    Site.objects.update(offer_cap={"times": 1, "within": "P7D"})
    assert "1 time within a week" in client_of(AUTHORS).get(settings_address()).content.decode()
