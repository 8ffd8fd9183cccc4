"""The shapes of CONTRACT §3, §5 and §6, held word for word."""

import re

import pytest
from django.test import Client

from tests.builders import default, get_page, make_block, make_home, make_media, make_page, placement, publish

pytestmark = pytest.mark.django_db


def test_a_page_answers_page_slots_and_decision() -> None:
    make_home("hello", meta={"robots": "index"})
    answer = get_page()
    assert list(answer) == ["page", "slots", "decision"]
    assert answer["page"] == {
        "path": "/", "title": "Home", "locale": "en", "template": "landing", "revision": 1,
        "published_at": "2026-11-22T08:00:00Z", "meta": {"robots": "index"},
    }  # fmt: skip
    assert answer["slots"] == {
        "hero": [
            {
                "placement": "home-hero", "type": "hero", "block": "hello", "variant": "default",
                "reason": "default", "fields": {"headline": "This is hello"},
            }
        ]
    }  # fmt: skip
    decision = answer["decision"]
    assert re.fullmatch(r"1\.0[0-9a-z]{6}", decision.pop("key"))
    assert decision == {"scope": "static", "purposes": [], "valid_until": None, "experiments": []}


def test_fields_have_the_shapes_that_were_agreed() -> None:
    make_home("hello")
    make_media("ridge", en="A ridge", de="Ein Grat")
    make_block("inner", "Inner")
    data = {
        "headline": "Hi", "body": "<p>Rich</p>", "image": "ridge", "items": ["inner"],
        "cta": {"href": {"page": "/boots"}, "label": "More", "target": "_blank"},
    }  # fmt: skip
    make_block("full", data)
    publish(make_page(placement("full")))
    fields = get_page(locale="de")["slots"]["hero"][0]["fields"]
    image = fields.pop("image")
    assert fields == {
        "headline": "Hi",
        "body": {"html": "<p>Rich</p>", "components": {}},
        "cta": {"href": "/boots", "label": "More", "target": "_blank"},
        "items": [{"type": "hero", "block": "inner", "fields": {"headline": "Inner"}}],
    }
    assert image.pop("url").endswith(".png")
    assert image == {"alt": "Ein Grat", "width": 4, "height": 3}


def test_every_slot_of_the_template_is_a_key() -> None:
    from tests.builders import make_template, make_type

    make_type()
    make_template(slots=["hero", "more", "footer"])
    make_block("hello", "Hello")
    publish(make_page(placement("hello")))
    assert {slot: len(items) for slot, items in get_page()["slots"].items()} == {
        "hero": 1,
        "more": 0,
        "footer": 0,
    }


@pytest.mark.parametrize("path", ["/nowhere", "/%00", "/..%2f", "/" + "a" * 600, "/a//b"])
def test_what_is_not_there_is_404_in_the_one_shape(path: str) -> None:
    make_home(default("hello"))
    response = Client().get(f"/api/v1/pages{path}")
    assert response.status_code == 404
    assert response.json() == {
        "type": "client_error",
        "errors": [{"code": "not_found", "detail": "No page is published here.", "attr": None}],
    }
