"""Placeholders: what is read, what is refused, what is filled in."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cms.language.evaluate import WITHHELD
from cms.language.nodes import Problem
from cms.language.rich import spell_components
from cms.language.text import (
    Component,
    Placeholder,
    Text,
    TextError,
    check_text,
    fill,
    normalise_rich,
    parse_text,
)
from cms.language.vocabulary import Fact, Vocabulary

PERSONAL = frozenset({"personalization"})
VOCABULARY = Vocabulary(
    facts={
        "first_name": Fact(
            "first_name", "text", PERSONAL, identifying=True, defaults={"en": "there", "de": "du"}
        ),
        "city": Fact("city", "text", PERSONAL),
        "features.orders": Fact("features.orders", "number", PERSONAL),
        "born": Fact("born", "date", PERSONAL),
    },
    attributes={"discount": {"en": "5 %"}},
)


def only(source: str) -> Placeholder:
    (part,) = parse_text(source).parts
    assert isinstance(part, Placeholder)
    return part


def refused(source: str, *, rich: bool = False) -> str:
    with pytest.raises(TextError) as error:
        parse_text(source, rich=rich)
    (problem,) = error.value.problems
    assert problem.message.endswith((".", ">", "}")) or rich
    return problem.code


@pytest.mark.parametrize(
    ("source", "root", "name", "fact"),
    [
        ("{{ user.first_name }}", "user", "first_name", "first_name"),
        ("{{user.features.orders}}", "user", "features.orders", "features.orders"),
        ("{{ context.country }}", "context", "country", "context.country"),
        ("{{ user.segment.discount }}", "attribute", "discount", None),
    ],
)
def test_a_placeholder_names_one_value(source: str, root: str, name: str, fact: str | None) -> None:
    item = only(source)
    assert (item.root, item.name, item.fact) == (root, name, fact)


def test_a_text_keeps_its_parts_in_order() -> None:
    text = parse_text('Hi {{ user.first_name | default("you") }},\n100 % } {\r\n')
    assert text.parts[0] == "Hi "
    assert text.parts[2] == ",\n100 % } {\n"
    assert not text.static
    assert [item.default for item in text.placeholders] == ["you"]
    assert parse_text("plain <b>") == Text(("plain <b>",))
    assert parse_text("").static


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("{% if x %}{% endif %}", "statement"),
        ("{% raw %}x{% endraw %}", "statement"),
        ("{# note #}", "statement"),
        ("{{ user.name() }}", "expression"),
        ("{{ user['name'] }}", "expression"),
        ("{{ user.a + 1 }}", "expression"),
        ("{{ user.a - user.b }}", "expression"),
        ("{{ 5 }}", "expression"),
        ("{{ user.a if true else 1 }}", "expression"),
        ("{{ user.a, user.b }}", "expression"),
        ("{{ user.a is defined }}", "expression"),
        ("{{ [user.a] }}", "expression"),
        ("{{ user }}", "unknown_root"),
        ("{{ user.segment }}", "unknown_root"),
        ("{{ user.segment.a.b }}", "unknown_root"),
        ("{{ config.secret }}", "unknown_root"),
        ("{{ segment.vip.size }}", "unknown_root"),
        ("{{ context.a.b }}", "unknown_root"),
        ("{{ user.a | tojson }}", "unknown_filter"),
        ("{{ user.a | default }}", "filter_argument"),
        ("{{ user.a | default(user.b) }}", "filter_argument"),
        ("{{ user.a | default(value='x') }}", "filter_argument"),
        ("{{ user.a | default(*x) }}", "filter_argument"),
        ("{{ user.a | upper(1) }}", "filter_argument"),
        ("{{ user.a | currency }}", "filter_argument"),
        ("{{ user.a | currency('euro') }}", "filter_argument"),
        ("{{ user.a | date('%Y') }}", "filter_argument"),
        ("{{ }}", "syntax"),
        ("{{ user.a", "syntax"),
        ("{{ user.a } }", "syntax"),
        ("{{ user..a }}", "syntax"),
        ("{{ user.a | }}", "syntax"),
        ("{{ " + "(" * 5000 + " }}", "syntax"),
        ("{{ user." + "a" * 500 + " }}", "placeholder_too_long"),
        ("{{ user.a" + "|upper" * 40 + " }}", "placeholder_too_long"),
        ("x" * 65_537, "text_too_long"),
    ],
)
def test_anything_more_than_that_is_refused(source: str, code: str) -> None:
    assert refused(source) == code


def codes(source: str, *, rich: bool = False, locales: tuple[str, ...] = ("en", "de")) -> list[str]:
    text = parse_text(source, rich=rich)
    return [problem.code for problem in check_text(text, VOCABULARY, locales=locales, rich=rich)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ user.first_name }}", []),
        ("{{ user.city }}", ["placeholder_without_default"]),
        ("{{ user.city | default('here') }}", []),
        ("{{ user.city | default('') }}", []),
        ("{{ user.segment.discount }}", []),
        ("{{ user.segment.other }}", ["placeholder_without_default"]),
        ("{{ user.segment.other | default('1') }}", []),
        ("{{ user.first_nam | default('x') }}", ["unknown_fact"]),
        ("{{ context.country | default('x') }}", []),
        ("{{ context.country }}", ["placeholder_without_default"]),
        ("{{ user.city | number | default('x') }}", ["filter_type"]),
        ("{{ user.features.orders | date | default('x') }}", ["filter_type"]),
        ("{{ user.features.orders | number | default('x') }}", []),
        ("{{ user.born | date('long') | default('x') }}", []),
    ],
)
def test_every_placeholder_needs_a_value_and_a_default(source: str, expected: list[str]) -> None:
    assert codes(source) == expected


def test_a_declared_default_stands_in_the_default_locale() -> None:
    assert codes("{{ user.first_name }}", locales=("fr", "en")) == ["placeholder_without_default"]
    assert codes("{{ user.first_name }}", locales=("de-AT", "en")) == []


@pytest.mark.parametrize(
    ("filters", "value", "locale", "expected"),
    [
        ("", "Ada", "en", "Ada"),
        ("", 5, "en", "5"),
        ("", 5.0, "en", "5"),
        ("", 12.5, "de", "12.5"),
        ("", "<b>", "en", "<b>"),
        ("| upper", "ada", "en", "ADA"),
        ("| lower", "ADA", "en", "ada"),
        ("| title", "ada o'neil von der alm", "en", "Ada O'neil Von Der Alm"),
        ("| number", 1234.5, "en", "1,234.5"),
        ("| number", 1234.5, "de", "1.234,5"),
        ("| number", 1234.5, "de-AT", "1.234,5"),
        ("| number", 1000000, "xx", "1000000"),
        ("| number", -1234, "en-US", "-1,234"),
        ("| number", 100, "en", "100"),
        ('| currency("EUR")', 12.5, "en", "€12.50"),
        ('| currency("EUR")', 12.5, "de", "12,50 €"),
        ('| currency("EUR")', -1234.5, "de", "-1.234,50 €"),
        ('| currency("JPY")', 1234, "en", "¥1,234"),
        ('| currency("CHF")', 5, "en", "CHF 5.00"),
        ("| date", "2026-11-02T08:00:00Z", "en", "11/2/2026"),
        ("| date", "2026-11-02T08:00:00Z", "de", "02.11.2026"),
        ('| date("long")', "2026-11-02T08:00:00Z", "en", "November 2, 2026"),
        ('| date("long")', "2026-11-02T08:00:00Z", "de", "2. November 2026"),
        ('| date("long")', "2026-11-02T08:00:00Z", "xx", "2026-11-02"),
    ],
)
def test_a_value_is_written_as_its_filters_say(filters: str, value: Any, locale: str, expected: str) -> None:
    item = only("{{ user.x " + filters + " }}")
    assert fill(item, value, locale=locale, declared_default="-") == expected


@pytest.mark.parametrize(
    ("filters", "value"),
    [
        ("", None),
        ("", WITHHELD),
        ("", ""),
        ("", True),
        ("", ["a"]),
        ("", {}),
        ("| number", "many"),
        ("| number", float("nan")),
        ("| number", float("inf")),
        ("| number", 10**400),
        ('| currency("EUR")', None),
        ('| currency("EUR")', "x"),
        ("| date", "yesterday"),
        ("| date", 5),
        ("| upper", True),
        ("| number | date", 5),
    ],
)
def test_without_a_usable_value_the_default_stands(filters: str, value: Any) -> None:
    declared = only("{{ user.x " + filters + " }}")
    assert fill(declared, value, locale="en", declared_default="there") == "there"
    inline = only("{{ user.x " + filters + ' | default("you") }}')
    assert fill(inline, value, locale="en", declared_default="there") == "you"


def test_a_filter_behind_the_default_changes_it_too() -> None:
    assert only("{{ user.x | default('you') | upper }}").default == "YOU"
    assert only("{{ user.x | upper | default('you') }}").default == "you"
    assert only("{{ user.x | default(5) }}").default == "5"


RICH = (
    ('<a href="{{ user.city }}">x</a>', "placeholder_in_tag"),
    ("<a title='{{ user.city }}'>x</a>", "placeholder_in_tag"),
    ("<{{ user.city }}>", "placeholder_in_tag"),
    ('<a title="{{ user.city }}', "placeholder_in_tag"),
    ("<!-- {{ user.city }} -->", "placeholder_in_tag"),
    ("<script>{{ user.city }}</script>", "placeholder_in_tag"),
    ('<PersonalizedProduct type="{{ user.city }}"/>', "placeholder_in_tag"),
)


@pytest.mark.parametrize(("source", "code"), RICH)
def test_a_placeholder_never_stands_in_a_tag(source: str, code: str) -> None:
    assert refused(source, rich=True) == code


def test_a_rich_text_has_components_and_entities() -> None:
    source = '<p>2 &lt; 3 {{ user.city | default(&quot;a &amp; b&quot;) }}</p><personalizedproduct TYPE=product default="b1"/>!'
    text = parse_text(source, rich=True)
    assert text.parts[0] == "<p>2 &lt; 3 "
    assert text.placeholders[0].default == "a & b"
    assert text.parts[2:] == ("</p>", Component("PersonalizedProduct", "product", "b1"), "!")
    assert codes(source, rich=True) == []
    assert codes("<PersonalizedProduct/>", rich=True) == [
        "component_without_type",
        "component_without_default",
    ]


STORED = '<tessera-product type="product"></tessera-product>'


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('<PersonalizedProduct type="product"/>', STORED),
        ('<PersonalizedProduct type="product" />', STORED),
        ("<PERSONALIZEDPRODUCT type='product'></PERSONALIZEDPRODUCT>", STORED),
        ("<p>a<PersonalizedProduct type=product>b</p>", f"<p>a{STORED}b</p>"),
        (STORED, STORED),
        ('<PersonalizedProduct type="product" onclick="x()"/>', STORED),
        ("<p onclick=x()>a<script>alert(1)</script></p>", "<p>a</p>"),
        ('<a href="javascript:x()">a</a>', '<a rel="noopener noreferrer">a</a>'),
        ("<h1>a</h1><h2>b</h2>", "a<h2>b</h2>"),
        ("{{ user.city | default('x') }}", "{{ user.city | default('x') }}"),
    ],
)
def test_rich_text_is_cleaned_and_components_are_kept(source: str, expected: str) -> None:
    assert normalise_rich(source) == expected


@pytest.mark.parametrize(
    ("source", "code"), [("<PersonalizedBanner/>", "unknown_component"), ("x" * 65_537, "text_too_long")]
)
def test_what_rich_text_cannot_keep_is_refused(source: str, code: str) -> None:
    with pytest.raises(TextError) as error:
        normalise_rich(source)
    assert error.value.problems[0].code == code


PIECES = st.sampled_from(
    [
        "<p>",
        "</p>",
        "<PersonalizedProduct",
        "/>",
        ">",
        ' type="a"',
        "{{",
        "}}",
        " user.a ",
        "'",
        '"',
        "<b",
        "&",
        "é",
        "<!--",
        "\n",
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_cleaning_twice_changes_nothing_and_reading_never_breaks(source: str) -> None:
    try:
        cleaned = normalise_rich(source)
    except TextError:
        return  # a component that cannot be read is refused, which is an answer
    assert normalise_rich(cleaned) == cleaned
    for rich in (True, False):
        assert problems_of(cleaned, rich=rich) is not None


def problems_of(source: str, *, rich: bool) -> tuple[Problem, ...]:
    try:
        return check_text(parse_text(source, rich=rich), VOCABULARY, locales=("en",), rich=rich)
    except TextError as error:
        return error.problems


@pytest.mark.parametrize(
    "piece",
    [
        "{{",
        "<",
        "<tessera-product ",
        '<b "',
        "<!--",
        '<PersonalizedProduct a="',
        "a=b ",
        "<script",
        "<p>",
        "a",
        "a ",
    ],
)
@pytest.mark.parametrize("start", ["", "<PersonalizedProduct "])
def test_hostile_text_costs_little(start: str, piece: str) -> None:
    source = start + piece * ((65_000 - len(start)) // len(piece)) + ">"
    started = process_time()
    spell_components(source)
    problems_of(source, rich=True)
    assert process_time() - started < 2
