"""Typed fields: what each kind takes, its one spelling, and where an error points."""

from typing import Any

import pytest

from cms.fields import Known, clean, clean_overrides, parse_fields, safe_url

KNOWN = Known(blocks={"boots": "product", "about": "text"}, media=frozenset({"ridge"}), locales=["en", "de"])


def declared(**attributes: Any) -> dict[str, Any]:
    return {"key": "it", "kind": "text", **attributes}


def cleaned(value: Any, **attributes: Any) -> Any:
    """Return the one spelling of a value that is fine."""
    fields, problems = parse_fields([declared(**attributes)])
    assert not problems
    result = clean(fields, {"it": value}, known=KNOWN)
    assert not result.problems
    return result.data.get("it")


def refused(value: Any, **attributes: Any) -> list[tuple[str, str]]:
    """Return the codes and places of what is wrong with a value."""
    fields, problems = parse_fields([declared(**attributes)])
    assert not problems
    result = clean(fields, {"it": value}, known=KNOWN)
    assert all(p.message.endswith((".", "}")) or "{{" in p.message for p in result.problems)
    return [(p.code, p.pointer) for p in result.problems]


@pytest.mark.parametrize(
    ("attributes", "value", "spelled"),
    [
        ({"kind": "text"}, "Hi {{ user.first_name | default('you') }}", "Hi {{ user.first_name | default('you') }}"),
        ({"kind": "rich_text"}, "<p>Hi<script>alert(1)</script></p>", "<p>Hi</p>"),
        ({"kind": "number"}, 2.5, 2.5),
        ({"kind": "boolean"}, False, False),
        ({"kind": "date"}, "2026-11-22", "2026-11-22T00:00:00Z"),
        ({"kind": "date"}, "2026-11-22T08:00:00+01:00", "2026-11-22T07:00:00Z"),
        ({"kind": "choice", "options": [{"key": "sun"}]}, "sun", "sun"),
        ({"kind": "link"}, "/boots", {"href": "/boots"}),
        ({"kind": "link"}, {"href": {"page": "/x"}, "label": "More"}, {"href": {"page": "/x"}, "label": "More"}),
        ({"kind": "media"}, "ridge", "ridge"),
        ({"kind": "media"}, {"url": "/a.png", "alt": "A"}, {"url": "/a.png", "alt": "A"}),
        ({"kind": "block"}, "boots", "boots"),
        ({"kind": "list"}, ["boots", "about"], ["boots", "about"]),
        ({"kind": "list", "of": "text"}, ["a", "b"], ["a", "b"]),
        ({"kind": "list", "of": "number", "min": 1, "max": 2}, [90, 0], [90, 0]),
        ({"localized": True}, "Hello", {"en": "Hello"}),
        ({"localized": True}, {"de": "Hallo", "en": "Hello"}, {"de": "Hallo", "en": "Hello"}),
        ({"localized": True}, {"de": "Hallo"}, {"de": "Hallo"}),
        ({"localized": True}, {"en": "Hello", "de": ""}, {"en": "Hello"}),
        ({"localized": True}, {}, None),
        ({"localized": True, "kind": "link"}, {"href": "/"}, {"en": {"href": "/"}}),
        ({}, None, None),
        ({}, "", None),
        ({"kind": "list"}, [], None),
        ({"kind": "number"}, 0, 0),
    ],
)  # fmt: skip
def test_a_value_has_one_spelling(attributes: dict[str, Any], value: Any, spelled: Any) -> None:
    assert cleaned(value, **attributes) == spelled


@pytest.mark.parametrize(
    ("attributes", "value", "code", "place"),
    [
        ({"kind": "text"}, 5, "wrong_type", "/it"),
        ({"kind": "text"}, ["a"], "wrong_type", "/it"),
        ({"kind": "text"}, "{{ user.name", "unclosed_placeholder", "/it"),
        ({"kind": "rich_text"}, {"html": "x"}, "wrong_type", "/it"),
        ({"kind": "rich_text"}, '<a href="{{ user.x }}">x</a>', "placeholder_in_tag", "/it"),
        ({"kind": "number"}, True, "wrong_type", "/it"),
        ({"kind": "number"}, "5", "wrong_type", "/it"),
        ({"kind": "number"}, float("nan"), "wrong_type", "/it"),
        ({"kind": "number", "min": 1}, 0, "too_small", "/it"),
        ({"kind": "number", "max": 1}, 2, "too_large", "/it"),
        ({"kind": "boolean"}, 1, "wrong_type", "/it"),
        ({"kind": "date"}, "tomorrow", "wrong_type", "/it"),
        ({"kind": "date"}, "2026-13-01", "wrong_type", "/it"),
        ({"kind": "choice", "options": [{"key": "sun"}]}, "rain", "unknown_option", "/it"),
        ({"kind": "choice", "options": [{"key": "sun"}]}, ["sun"], "unknown_option", "/it"),
        ({"kind": "link"}, "javascript:alert(1)", "unsafe_url", "/it/href"),
        ({"kind": "link"}, {"href": " javascript:alert(1)"}, "unsafe_url", "/it/href"),
        ({"kind": "link"}, {"href": "data:text/html,x"}, "unsafe_url", "/it/href"),
        ({"kind": "link"}, {"href": "/{{ user.x }}"}, "unsafe_url", "/it/href"),
        ({"kind": "link"}, {"href": {"page": 1}}, "wrong_type", "/it/href"),
        ({"kind": "link"}, {"href": "/", "target": "_top"}, "unknown_option", "/it/target"),
        ({"kind": "link"}, {"href": "/", "label": 5}, "wrong_type", "/it/label"),
        ({"kind": "link"}, {"href": "/", "label": "{{ nonsense"}, "unclosed_placeholder", "/it/label"),
        ({"kind": "link"}, {"label": "x"}, "wrong_type", "/it"),
        ({"kind": "link"}, {"href": "/", "onclick": "x"}, "wrong_type", "/it"),
        ({"kind": "media"}, "nowhere", "unknown_media", "/it"),
        ({"kind": "media"}, ["ridge"], "unknown_media", "/it"),
        ({"kind": "media"}, {"url": "javascript:x"}, "unsafe_url", "/it/url"),
        ({"kind": "media"}, {"url": "/a.png", "alt": 3}, "wrong_type", "/it"),
        ({"kind": "block"}, "nowhere", "unknown_block", "/it"),
        ({"kind": "block"}, {"a": 1}, "unknown_block", "/it"),
        ({"kind": "block", "types": ["product"]}, "about", "type_not_allowed", "/it"),
        ({"kind": "list", "types": ["product"]}, ["boots", "about"], "type_not_allowed", "/it/1"),
        ({"kind": "list"}, "boots", "wrong_type", "/it"),
        ({"kind": "list", "max": 1}, ["boots", "about"], "too_many", "/it"),
        ({"kind": "list", "min": 2}, ["boots"], "too_few", "/it"),
        ({"kind": "list", "of": "number"}, [1, None], "wrong_type", "/it/1"),
        ({"required": True}, None, "required", "/it"),
        ({"required": True}, "", "required", "/it"),
        ({"required": True, "localized": True}, {"de": "Hallo"}, "required", "/it/en"),
        ({"localized": True}, {"fr": "Bonjour"}, "unknown_locale", "/it/fr"),
        ({"localized": True}, {"en": "Hello", "fr": "Bonjour"}, "unknown_locale", "/it/fr"),
        ({"localized": True}, {"de": 5}, "wrong_type", "/it/de"),
    ],
)  # fmt: skip
def test_an_error_points_at_its_place(attributes: dict[str, Any], value: Any, code: str, place: str) -> None:
    places = [at for _, at in refused(value, **attributes)]
    assert places == [place]
    if code != "unclosed_placeholder":  # the language names its own faults
        assert refused(value, **attributes) == [(code, place)]


def test_a_field_that_the_type_does_not_have_is_refused_with_its_pointer_escaped() -> None:
    fields, _ = parse_fields([declared()])
    result = clean(fields, {"a/b": 1}, known=KNOWN)
    assert [(p.code, p.pointer) for p in result.problems] == [("unknown_field", "/a~1b")]


@pytest.mark.parametrize("data", [None, [], "x", 5])
def test_data_that_is_no_object_is_refused(data: Any) -> None:
    assert [p.code for p in clean((), data, known=KNOWN).problems] == ["wrong_type"]


@pytest.mark.parametrize(
    ("declaration", "code", "place"),
    [
        (5, "wrong_type", ""),
        ([5], "wrong_type", "/0"),
        ([declared(key="Not A Key")], "invalid_key", "/0/key"),
        ([declared(key="a\n")], "invalid_key", "/0/key"),
        ([declared(key="a" * 101)], "invalid_key", "/0/key"),
        ([declared(), declared()], "duplicate_key", "/1/key"),
        ([declared(kind="colour")], "unknown_kind", "/0/kind"),
        ([declared(kind=["text"])], "unknown_kind", "/0/kind"),
        ([declared(kind="choice")], "options_missing", "/0/options"),
        ([declared(kind="list", of="choice")], "options_missing", "/0/options"),
        ([declared(kind="list", of="list")], "unknown_kind", "/0/of"),
        ([declared(colour="red")], "unknown_attribute", "/0/colour"),
        ([declared(kind="list", types=5)], "wrong_type", "/0/types"),
        ([declared(kind="number", min="a")], "wrong_type", "/0/min"),
        ([declared(title=5)], "wrong_type", "/0/title"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(declaration: Any, code: str, place: str) -> None:
    assert [(p.code, p.pointer) for p in parse_fields(declaration)[1]] == [(code, place)]


def overridden(data: Any, **attributes: Any) -> tuple[Any, list[tuple[str, str]]]:
    fields, _ = parse_fields([declared(**attributes), {"key": "other", "kind": "text", "required": True}])
    result = clean_overrides(fields, data, known=KNOWN, pointer="/override")
    return result.data, [(p.code, p.pointer) for p in result.problems]


def test_an_override_names_only_what_it_changes() -> None:
    assert overridden({"it": "x"}) == ({"it": "x"}, [])


@pytest.mark.parametrize("nothing", [None, ""])
def test_nothing_in_an_override_empties_an_optional_field(nothing: Any) -> None:
    assert overridden({"it": nothing}) == ({"it": None}, [])


def test_a_required_field_cannot_be_emptied() -> None:
    assert overridden({"other": None})[1] == [("required", "/override/other")]


def test_an_override_of_one_locale_need_not_name_the_default_one() -> None:
    assert overridden({"it": {"de": "Hallo"}}, localized=True, required=True) == ({"it": {"de": "Hallo"}}, [])


def test_rich_text_of_an_override_is_cleaned_too() -> None:
    data, _ = overridden({"it": "<p onclick='x()'>Hi</p><script>alert(1)</script>"}, kind="rich_text")
    assert data == {"it": "<p>Hi</p>"}


def test_an_override_of_a_field_that_is_not_there_is_refused() -> None:
    assert overridden({"colour": None})[1] == [("unknown_field", "/override/colour")]
    assert overridden(5)[1] == [("wrong_type", "/override")]


@pytest.mark.parametrize(
    "url", ["/a", "a/b?c=1#d", "https://example.org", "mailto:a@b.c", "tel:+49", "//cdn.example"]
)
def test_a_browser_may_open(url: str) -> None:
    assert safe_url(url)


@pytest.mark.parametrize(
    "url", ["javascript:x", "JAVASCRIPT:x", "java\nscript:x", "\x01javascript:x", "data:x", "vbscript:x", "http://[x"]
)  # fmt: skip
def test_a_browser_must_not_run(url: str) -> None:
    assert not safe_url(url)
