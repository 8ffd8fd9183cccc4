"""Placeholders and components in published pages: defaults demanded, values filled, in JSON and in HTML."""

from typing import Any

import pytest

from cms.errors import ContentError
from cms.models import BlockType
from personalization.api.pages import html_of
from personalization.api.preview import as_json, preview
from tests.builders import (
    NOW,
    build_directory,
    default,
    get_html,
    get_page,
    make_attribute,
    make_block,
    make_page,
    make_segment,
    make_template,
    make_trait,
    make_type,
    placement,
    publish,
)  # fmt: skip

pytestmark = pytest.mark.django_db
COMPONENT = '<PersonalizedProduct type="product" default="boots"/>'


@pytest.fixture(autouse=True)
def site() -> None:
    make_type()
    make_type("product", [{"key": "name", "kind": "text"}], catalogue=True)
    make_template()
    make_trait("first_name", default={"en": "there", "de": "du"}, identifying=True)
    make_trait("city")
    make_trait("tier")
    make_attribute("discount", en="5 %")
    make_segment("gold", {"tier": {"$eq": "gold"}}, attributes={"discount": "15 %"}, priority=1)
    make_segment("silver", {"tier": {"$in": ["silver", "gold"]}}, attributes={"discount": "10 %"}, priority=2)
    build_directory()


def publish_text(**fields: Any) -> None:
    make_block("hello", {"headline": "Hello"} | fields)
    publish(make_page(placement("hello")))


def shown(**traits: Any) -> dict[str, Any]:
    """Return the fields that somebody with these traits sees, who allowed everything."""
    decision = preview({"path": "/", "traits": traits}, now=NOW)
    fields: dict[str, Any] = as_json(decision)["slots"]["hero"][0]["fields"]
    return fields


def rendered(**traits: Any) -> str:
    return html_of(preview({"path": "/", "traits": traits}, now=NOW))


def test_a_declared_default_is_shown_to_nobody_in_their_locale() -> None:
    publish_text(headline={"en": "Hi {{ user.first_name }}", "de": "Hallo {{ user.first_name }}"})
    said = [get_page(locale=one)["slots"]["hero"][0]["fields"]["headline"] for one in ("en", "de")]
    assert said == ["Hi there", "Hallo du"]


def test_an_inline_default_wins() -> None:
    publish_text(headline="Hi {{ user.first_name | default('friend') }}")
    assert get_page()["slots"]["hero"][0]["fields"]["headline"] == "Hi friend"


def test_a_value_is_shown_to_whom_it_belongs() -> None:
    publish_text(headline="Hi {{ user.first_name }}")
    assert shown(first_name="Ada")["headline"] == "Hi Ada"


@pytest.mark.parametrize("value", ["", None, 5.5, ["Ada"], {"a": 1}])
def test_the_default_stands_in_for_what_is_empty_or_of_the_wrong_type(value: Any) -> None:
    publish_text(headline="Hi {{ user.first_name }}")
    assert shown(first_name=value)["headline"] in ("Hi there", "Hi 5.5")


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("headline", "In {{ user.city }}", "/headline"),
        ("headline", {"en": "Hi", "de": "In {{ user.city }}"}, "/headline"),
        ("body", "<p>In {{ user.city }}</p>", "/body"),
        ("cta", {"href": "/", "label": "In {{ user.city }}"}, "/cta/label"),
    ],
)
def test_a_placeholder_without_any_default_is_refused_at_publish_with_its_place(
    field: str, value: Any, place: str
) -> None:
    make_block("hello", {"headline": "Hello", field: value})
    with pytest.raises(ContentError) as error:
        publish(make_page(placement("hello")))
    assert [(p.code, p.pointer) for p in error.value.problems] == [
        ("placeholder_without_default", f"/slots/hero/0/variants/0/block{place}")
    ]


def test_a_placeholder_in_an_override_is_refused_at_the_override() -> None:
    make_block("hello", "Hello")
    page = make_page(placement({"key": "a", "override": {"headline": "{{ user.city }}"}}, default("hello")))
    with pytest.raises(ContentError) as error:
        publish(page)
    assert [p.pointer for p in error.value.problems] == ["/slots/hero/0/variants/0/override/headline"]


def test_a_placeholder_in_a_nested_block_is_refused_with_its_way_there() -> None:
    make_block("inner", "In {{ user.city }}")
    make_block("outer", {"headline": "Outer", "items": ["inner"]})
    with pytest.raises(ContentError) as error:
        publish(make_page(placement("outer")))
    places = [p.pointer for p in error.value.problems]
    assert places == ["/slots/hero/0/variants/0/block/items/0/fields/headline"]


def test_an_unknown_fact_is_refused_with_a_suggestion() -> None:
    make_block("hello", "Hi {{ user.frist_name }}")
    with pytest.raises(ContentError, match="Did you mean 'first_name'"):
        publish(make_page(placement("hello")))


def test_an_attribute_of_a_segment_is_that_of_the_first_segment_one_is_in() -> None:
    publish_text(headline="{{user.segment.discount}} off")
    said = [shown(tier=tier)["headline"] for tier in ("gold", "silver", "none")]
    assert said == ["15 % off", "10 % off", "5 % off"]


def test_inside_a_variant_the_segment_that_its_rule_names_counts_first() -> None:
    make_block("hello", "Hello")
    make_block("offer", "{{user.segment.discount}} off")
    rule = {"segments": {"$in": ["silver"]}}
    publish(make_page(placement({"key": "a", "when": rule, "block": "offer"}, default("hello"))))
    assert shown(tier="gold")["headline"] == "10 % off"


def test_a_value_is_left_as_it_is_in_json_text_and_escaped_everywhere_else() -> None:
    publish_text(headline="Hi {{ user.first_name }}", body="<p>Hi {{ user.first_name }}</p>")
    evil = '<img src=x onerror="alert(1)">'
    fields = shown(first_name=evil)
    assert fields["headline"] == f"Hi {evil}"
    assert "<img" not in fields["body"]["html"]
    assert "<img" not in rendered(first_name=evil)
    assert "&lt;img" in rendered(first_name=evil)


@pytest.fixture
def boots() -> None:
    make_block("boots", {"name": "Boots & <Laces>"}, type_="product")


def test_the_editors_spelling_of_a_component_is_taken(boots: None) -> None:
    publish_text(body=f"<p>Before {COMPONENT} after {{{{user.segment.discount}}}}</p>")
    body = get_page()["slots"]["hero"][0]["fields"]["body"]
    assert body["html"] == '<p>Before <tessera-product data-ref="1"></tessera-product> after 5 %</p>'
    assert body["components"]["1"]["name"] == "PersonalizedProduct"
    (item,) = body["components"]["1"]["items"]
    assert item == {"type": "product", "block": "boots", "fields": {"name": "Boots & <Laces>"}}


def test_a_component_is_rendered_in_place_with_the_source_of_its_items_type(boots: None) -> None:
    BlockType.objects.filter(key="product").update(source="<b>{{ fields.name }}</b>")
    publish_text(body=f"<p>Before {COMPONENT} after</p>")
    assert "<p>Before <b>Boots &amp; &lt;Laces&gt;</b> after</p>" in get_html()


def test_two_components_are_counted(boots: None) -> None:
    publish_text(body=f"<p>{COMPONENT} and {COMPONENT}</p>")
    body = get_page()["slots"]["hero"][0]["fields"]["body"]
    assert list(body["components"]) == ["1", "2"]
    assert body["html"].count("<tessera-product data-ref=") == 2


def test_a_component_in_plain_text_is_text(boots: None) -> None:
    publish_text(headline=f"Buy {COMPONENT}")
    assert get_page()["slots"]["hero"][0]["fields"]["headline"] == f"Buy {COMPONENT}"
    assert "<PersonalizedProduct" not in get_html()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('<PersonalizedProduct type="product" default="nowhere"/>', "unknown_block"),
        ('<PersonalizedProduct type="nowhere"/>', "unknown_type"),
        ("<PersonalizedProduct/>", "component_without_type"),
        ('<a href="{{ user.first_name }}">x</a>', "placeholder_in_tag"),
    ],
)  # fmt: skip
def test_a_component_that_cannot_be_is_refused(body: str, code: str) -> None:
    with pytest.raises(ContentError) as error:
        publish_text(body=body)
    assert {p.code for p in error.value.problems} == {code}
