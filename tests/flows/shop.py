"""A small shop: what most use cases are about. Everything is loaded and published as one bundle.

`/` is personal in its hero and bare of it in its footer; `/plain` reads nothing of a request, `/device` and `/hour`
context alone, `/sizes` names a segment that is too small, `/offers` serves another purpose, `/dated` has dates.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.db import models

from cms.errors import errors_among
from cms.models import Site
from personalization.bundle import load_bundle
from tests.builders import NOW, committing, default

HEADLINE = {"key": "headline", "kind": "text", "localized": True, "required": True}
BODY = {"key": "body", "kind": "rich_text", "localized": True}
DISCOUNT = "Only now {{ user.segment.discount | default('5 %') }}"


def hero(key: str, headline: str, **german: str) -> dict[str, Any]:
    """Spell a block of the type `hero`."""
    return {"key": key, "type": "hero", "fields": {"headline": {"en": headline, **german}}}


def when(key: str, rule: dict[str, Any], block: str = "", **more: Any) -> dict[str, Any]:
    """Spell a variant with a rule."""
    return {"key": key, "when": rule, "block": block or f"hero-{key}", **more}


def inside(*segments: str) -> dict[str, Any]:
    """Spell the rule that one is in one of the segments."""
    return {"segments": {"$in": list(segments)}}


def page(path: str, *variants: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Spell a page with one placement of these variants; its default says hello."""
    listed = [*variants, default("hero-default")]
    key = f"{path.strip('/') or 'home'}-hero"
    slots = {"hero": [{"placement": key, "variants": listed}]} | more.pop("slots", {})
    return {
        "path": path,
        "template": "landing",
        "title": {"en": "Home", "de": "Start"},
        "slots": slots,
    } | more


SEGMENTS: Sequence[dict[str, Any]] = (
    {
        "key": "loyal",
        "rule": {"features.orders": {"$exists": True, "$gte": 3}, "features.last_order_at.days_ago": {"$exists": True, "$lt": 30}},
        "attributes": {"discount": "15 %"},
        "min_size": 0,
        "priority": 10,
    },
    {
        "key": "lapsed",
        "rule": {"features.last_order_at.days_ago": {"$exists": True, "$gte": 60}},
        "attributes": {"discount": "20 %"},
        "min_size": 0,
        "priority": 20,
    },
    {"key": "new", "rule": {"features.orders": {"$eq": 0}}, "min_size": 0, "priority": 30},
    {"key": "gold", "rule": {"tier": {"$eq": "gold"}}, "min_size": 0},
    {"key": "parents", "rule": {"kids": {"$exists": True, "$gte": 1}}},
    {"key": "loyal_parents", "parent": "loyal", "rule": {"kids": {"$exists": True, "$gte": 1}}, "min_size": 0},
    {"key": "phone_parents", "rule": {"kids": {"$exists": True, "$gte": 1}, "context.device": {"$eq": "mobile"}}, "min_size": 0},
    {"key": "phones", "rule": {"context.device": {"$eq": "mobile"}}},
    {"key": "readers", "rule": {"letter": {"$eq": "weekly"}}, "min_size": 0},
)  # fmt: skip

PAGES: Sequence[dict[str, Any]] = (
    page(
        "/",
        when("loyal", inside("loyal")),
        when("lapsed", inside("lapsed")),
        when("new", inside("new")),
        slots={"footer": [{"placement": "home-footer", "variants": [default("greeting")]}]},
    ),
    page("/plain"),
    page("/device", when("mobile", {"context.device": {"$eq": "mobile"}})),
    page("/hour", when("mobile", {"context.hour": {"$exists": True, "$gte": 6, "$lt": 11}})),
    page("/campaign", when("mobile", {"context.campaign": {"$eq": "spring"}})),
    page("/weather", when("mobile", {"context.weather": {"$eq": "rain"}})),
    page("/phones", when("mobile", inside("phones"))),
    page("/sizes", when("loyal", inside("parents"))),
    page("/family", when("loyal", inside("loyal_parents")), when("mobile", inside("phone_parents"))),
    page("/offers", when("letter", {"letter": {"$eq": "weekly"}})),
    page("/readers", when("letter", inside("readers"))),
    page("/strangers", when("new", {"segments": {"$nin": ["loyal"]}})),
    page("/gold", when("loyal", inside("gold"))),
)

BUNDLE: dict[str, Any] = {
    "tessera": 1,
    "locales": ["en", "de"],
    "block_types": [{"key": "hero", "title": "Hero", "fields": [HEADLINE, BODY]}],
    "templates": [
        {
            "key": "landing",
            "title": "Landing page",
            "slots": [{"key": "hero"}, {"key": "footer"}],
            "source": "<h1>{{ page.title }}</h1>{% for one in slots.hero %}{{ one.html }}{% endfor %}",
        }
    ],
    "traits": [
        {
            "key": "first_name",
            "type": "text",
            "purpose": "personalization",
            "identifying": True,
            "default": {"en": "there", "de": "du"},
        },
        {"key": "kids", "type": "number", "purpose": "personalization"},
        {"key": "letter", "type": "text", "purpose": "marketing"},
        {"key": "tier", "type": "text", "purpose": "personalization", "from": "server"},
        {"key": "born", "type": "date", "purpose": "personalization"},
    ],
    "attributes": [{"key": "discount", "default": {"en": "5 %"}}],
    "segments": [one | {"title": one["key"]} for one in SEGMENTS],
    "blocks": [
        hero("hero-default", "Hello", de="Hallo"),
        hero("hero-loyal", f"Welcome back. {DISCOUNT}"),
        hero("hero-lapsed", DISCOUNT),
        hero("hero-new", "Nice to meet you"),
        hero("hero-mobile", "In your pocket"),
        hero("hero-letter", "Your weekly letter"),
        hero("greeting", "Bye {{ user.first_name }}"),
    ],
    "pages": list(PAGES),
}


def open_shop(*, now: dt.datetime = NOW, **parts: Any) -> None:
    """Load and publish the shop; `parts` replaces parts of its bundle."""
    load(BUNDLE | parts, now=now)


_opened: dict[type[models.Model], list[models.Model]] = {}


def reopen_shop() -> None:
    """Open the shop as it was opened first: loading it takes a second, putting its rows back does not.

    A sequence is not rolled back with a test, so that what is made later never meets a key of these rows.
    """
    if not _opened:
        open_shop()
        kept = [m for label in ("cms", "personalization") for m in apps.get_app_config(label).get_models()]
        _opened.update({model: list(model._default_manager.all()) for model in kept})
        return
    for model, rows in _opened.items():
        if model is Site:
            rows[0].save()
        else:
            model._default_manager.bulk_create(rows)


def load(bundle: dict[str, Any], *, now: dt.datetime = NOW) -> None:
    """Load and publish a bundle without an error."""
    with committing():
        report = load_bundle(bundle, now=now, publish=True)
    assert not errors_among(report.problems), report.problems
