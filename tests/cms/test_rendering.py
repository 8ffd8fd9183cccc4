"""HTML: by the template's source, by the type's source, or plain; whatever is in the content, nothing runs."""

from typing import Any

import pytest

from cms.models import BlockType, Template
from tests.builders import (
    HERO_FIELDS,
    get_html,
    make_block,
    make_media,
    make_page,
    make_template,
    make_type,
    placement,
    publish,
)  # fmt: skip

pytestmark = pytest.mark.django_db
EVIL = "<script>alert(1)</script>"


def publish_hero(*, page: str = "", block: str = "", **fields: Any) -> str:
    """Publish one hero with these sources; return the page's HTML."""
    make_type(source=block)
    make_template(source=page)
    make_media("ridge", en='A "ridge"')
    make_block("inner", {"headline": "Inner"})
    make_block("hello", {"headline": "Hello"} | fields)
    publish(make_page(placement("hello"), title={"en": f"Home {EVIL}"}))
    return get_html()


def test_without_any_source_there_is_a_plain_page() -> None:
    shown = publish_hero(
        headline=EVIL,
        body="<p>Rich</p>",
        image="ridge",
        cta={"href": "/boots", "label": "Boots & more"},
        items=["inner"],
    )
    assert EVIL not in shown
    assert "&lt;script&gt;" in shown
    for part in (
        '<html lang="en">',
        "<p>Rich</p>",
        "A &#34;ridge&#34;",
        '<a href="/boots">Boots &amp; more</a>',
        "Inner",
    ):
        assert part in shown


def test_a_source_is_escaped_wherever_a_value_stands() -> None:
    shown = publish_hero(
        page='<title>{{ page.title }}</title>{% for b in slots.hero %}<div data-v="{{ b.variant }}">{{ b.html }}</div>{% endfor %}',
        block='<h2 title="{{ fields.headline }}">{{ fields.headline }}</h2>',
        headline=f'"{EVIL}',
    )
    assert EVIL not in shown
    assert '<h2 title="&#34;&lt;script&gt;' in shown
    assert '<div data-v="default"><h2' in shown


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "data:text/html,x", "vbscript:x"]
)  # fmt: skip
def test_an_address_that_would_run_is_made_harmless(address: str) -> None:
    shown = publish_hero(page="{% for b in slots.hero %}{{ b.html }}{% endfor %}",
                         block='<a href="{{ fields.headline }}">x</a>', headline=address)  # fmt: skip
    assert "script:" not in shown.lower()
    assert "data:" not in shown.lower()


def test_an_address_that_a_browser_may_open_stays() -> None:
    shown = publish_hero(page="{% for b in slots.hero %}{{ b.html }}{% endfor %}",
                         block='<a href="{{ fields.cta.href }}">{{ fields.cta.label }}</a>',
                         cta={"href": "/boots?a=1&b=2", "label": "Boots"})  # fmt: skip
    assert '<a href="/boots?a=1&amp;b=2">Boots</a>' in shown


def test_nested_blocks_have_their_html() -> None:
    shown = publish_hero(page="{% for b in slots.hero %}{{ b.html }}{% endfor %}",
                         block="<h2>{{ fields.headline }}</h2>{% for i in fields.items %}{{ i.html }}{% endfor %}",
                         items=["inner", "inner"])  # fmt: skip
    assert shown == "<h2>Hello</h2><h2>Inner</h2><h2>Inner</h2>"


def test_rich_text_is_markup_and_what_is_hostile_in_it_is_gone() -> None:
    shown = publish_hero(page="{% for b in slots.hero %}{{ b.html }}{% endfor %}",
                         block="{{ fields.body }}",
                         body=f'<p onclick="x()">Hi</p>{EVIL}<a href="javascript:x">y</a><img src=x onerror=x>')  # fmt: skip
    assert "<p>Hi</p>" in shown
    for part in ("onclick", "script", "onerror"):
        assert part not in shown


def test_a_source_that_fails_gives_the_plain_rendering_instead_of_an_error() -> None:
    publish_hero()
    BlockType.objects.update(source="{{ nonsense( }}")  # as if the allow-list had grown stricter since
    Template.objects.update(source="{{ page.__class__ }}")
    publish(make_page(placement("hello")))
    assert "<h1>" in get_html()


def test_what_is_absent_is_empty() -> None:
    shown = publish_hero(page="[{{ page.meta.robots }}]{% for b in slots.nowhere %}x{% endfor %}", block="x")
    assert shown == "[]"


def test_every_kind_of_field_has_a_plain_rendering() -> None:
    make_template()
    kinds = [
        {"key": "n", "kind": "number"}, {"key": "yes", "kind": "boolean"}, {"key": "on", "kind": "date"},
        {"key": "c", "kind": "choice", "options": [{"key": "sun"}]}, {"key": "tags", "kind": "list", "of": "text"},
        {"key": "pictures", "kind": "list", "of": "media"}, {"key": "one", "kind": "block"}, *HERO_FIELDS,
    ]  # fmt: skip
    make_type(fields=kinds)
    make_block("inner", {"headline": "Inner"})
    data = {"headline": "Hi", "n": 2.5, "yes": True, "on": "2026-11-22", "c": "sun", "tags": ["a", "b"],
            "pictures": [{"url": "/a.png", "alt": "A"}], "one": "inner"}  # fmt: skip
    make_block("hello", data)
    publish(make_page(placement("hello")))
    shown = get_html()
    for part in ("2.5", "sun", "<p>a</p><p>b</p>", '<img src="/a.png" alt="A">', "Inner"):
        assert part in shown
