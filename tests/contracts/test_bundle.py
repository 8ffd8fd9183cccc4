"""Content as code: idempotent, all or nothing, errors with pointers, and what comes out goes in again."""

import copy
import json
import random
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from cms.bundles.parts import Report
from cms.models import Block, BlockReference, BlockType, Media, Page, Template
from personalization.bundle import dump_bundle, load_bundle
from personalization.models import ApiKey, Segment, Trait
from tests.builders import NOW, committing, get_page, headlines, picture, the_site

pytestmark = pytest.mark.django_db

# As CONTRACT §5 spells it, completed to something that publishes.
BUNDLE: dict[str, Any] = {
    "tessera": 1,
    "locales": ["en", "de"],
    "block_types": [
        {
            "key": "hero",
            "title": "Hero",
            "source": "<h1>{{ fields.headline }}</h1>",
            "fields": [
                {"key": "headline", "kind": "text", "localized": True, "required": True},
                {"key": "body", "kind": "rich_text", "localized": True},
                {"key": "image", "kind": "media"},
                {"key": "cta", "kind": "link"},
                {"key": "items", "kind": "list", "of": "block", "types": ["product"]},
            ],
        },
        {
            "key": "product",
            "title": "Product",
            "catalogue": True,
            "fields": [{"key": "name", "kind": "text"}],
        },
    ],
    "blocks": [
        {
            "key": "hero-default",
            "type": "hero",
            "fields": {
                "headline": {"en": "Hello {{ user.first_name | default('there') }}", "de": "Hallo"},
                "body": {
                    "en": '<p>{{user.segment.discount}} <PersonalizedProduct type="product" default="boots"/></p>'
                },
                "cta": {"href": {"page": "/boots"}, "label": "More"},
                "items": ["boots"],
            },
        },
        {"key": "hero-vip", "type": "hero", "fields": {"headline": "Welcome back, {{ user.first_name }}"}},
        {"key": "boots", "type": "product", "fields": {"name": "Boots"}},
    ],
    "templates": [
        {
            "key": "landing",
            "title": "Landing page",
            "slots": [{"key": "hero", "types": ["hero"], "min": 1, "max": 1}],
            "source": "{% for b in slots.hero %}{{ b.html }}{% endfor %}",
        },
        {"key": "simple", "slots": [{"key": "hero"}]},
    ],
    "traits": [
        {"key": "orders", "type": "number", "purpose": "personalization"},
        {
            "key": "first_name",
            "type": "text",
            "purpose": "personalization",
            "default": {"en": "there", "de": "du"},
        },
        {"key": "tier", "type": "text", "purpose": "personalization", "from": "server"},
    ],
    "attributes": [{"key": "discount", "default": {"en": "5 %"}}],
    "segments": [
        {
            "key": "vip",
            "title": "VIP",
            "rule": {"orders": {"$exists": True, "$gte": 5}},
            "attributes": {"discount": "15 %"},
            "min_size": 0,
        },
        {"key": "gold", "parent": "vip", "rule": {"tier": {"$eq": "gold"}}, "priority": 5},
        {"key": "friends", "kind": "list", "purposes": ["marketing"]},
    ],
    "pages": [
        {
            "path": "/",
            "template": "landing",
            "title": {"en": "Home"},
            "slots": {
                "hero": [
                    {
                        "placement": "home-hero",
                        "variants": [
                            {"key": "vip", "when": {"segments": {"$in": ["vip"]}}, "block": "hero-vip"},
                            {
                                "key": "mobile",
                                "when": {"context.device": {"$eq": "mobile"}},
                                "override": {"headline": {"en": "Tap in"}},
                                "starts_at": None,
                                "ends_at": None,
                            },
                            {"key": "default", "default": True, "block": "hero-default"},
                        ],
                    }
                ]
            },
        },
        {
            "path": "/boots",
            "title": "Boots",
            "templates": [
                {"template": "simple", "when": {"context.device": {"$eq": "mobile"}}},
                {"template": "landing", "default": True},
            ],
            "slots": {
                "hero": [
                    {
                        "placement": "boots-hero",
                        "variants": [{"key": "default", "default": True, "block": "hero-default"}],
                    }
                ]
            },
        },
    ],
}


def load(bundle: Any, *, publish: bool = True, **options: Any) -> Report:
    with committing():
        return load_bundle(bundle, now=NOW, publish=publish, **options)


def changed(**parts: Any) -> dict[str, Any]:
    """Return the bundle with some of its parts replaced."""
    return copy.deepcopy({**BUNDLE, **parts})


def with_at(pointer: str, value: Any) -> dict[str, Any]:
    """Return the bundle with the value at a pointer replaced."""
    bundle: Any = copy.deepcopy(BUNDLE)
    *way, last = pointer.lstrip("/").split("/")
    place = bundle
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[int(last) if isinstance(place, list) else last] = value
    return bundle  # type: ignore[no-any-return]  # it was a dict when it came in


def errors(report: Report) -> list[tuple[str, str]]:
    return [(p.code, p.pointer) for p in report.problems if p.severity == "error"]


def rows() -> dict[str, list[Any]]:
    """Return every row of content, whatever its table, so that nothing can have changed unseen."""
    tables = [
        t
        for t in connection.introspection.table_names()
        if t.startswith(("cms_", "personalization_", "consent_"))
    ]
    with connection.cursor() as cursor:
        found = {}
        for table in tables:
            cursor.execute(f'SELECT t::text FROM "{table}" t ORDER BY 1')
            found[table] = cursor.fetchall()
    return found


def test_a_bundle_is_loaded_and_served() -> None:
    report = load(BUNDLE)
    assert not errors(report)
    assert report.changed == {
        "block_types": 2, "templates": 2, "traits": 3, "attributes": 1, "segments": 3, "blocks": 3, "pages": 2,
        "published": 2,
    }  # fmt: skip
    (item,) = get_page()["slots"]["hero"]
    assert (item["block"], item["variant"], item["reason"]) == ("hero-default", "default", "no_consent")
    assert item["fields"]["headline"] == "Hello there"
    assert [one["block"] for one in item["fields"]["items"]] == ["boots"]


def test_the_same_bundle_twice_changes_nothing_at_all() -> None:
    load(BUNDLE)
    before = rows()
    report = load(BUNDLE)
    assert not errors(report)
    assert not any(report.changed.values())
    assert rows() == before


def test_a_dump_loaded_again_changes_nothing_at_all() -> None:
    load(BUNDLE)
    dumped = dump_bundle(the_site())
    before = rows()
    report = load(json.loads(json.dumps(dumped)))
    assert not errors(report)
    assert not any(report.changed.values())
    assert rows() == before
    assert dump_bundle(the_site()) == dumped


def test_a_dump_holds_content_and_never_people_or_keys() -> None:
    load(BUNDLE)
    _, key = ApiKey.objects.create_key(name="secret key", site=the_site(), scopes=["manage"])
    dumped = dump_bundle(the_site())
    assert set(dumped) == {
        "tessera", "locales", "site", "media", "traits", "attributes", "events", "segments", "experiences", "block_types", "templates",
        "blocks", "pages",
    }  # fmt: skip
    for hidden in (key, "secret key", "visitor", "subject", "ledger"):
        assert hidden not in json.dumps(dumped)


def test_a_dump_restores_an_empty_site() -> None:
    load(BUNDLE)
    dumped = dump_bundle(the_site())
    Page.objects.update(published=None)
    Block.objects.update(published=None)
    Segment.objects.update(parent=None)
    for model in (Page, BlockReference, Block, Template, BlockType, Segment, Trait):
        model.objects.all().delete()
    assert not errors(load(dumped))
    assert dump_bundle(the_site()) == dumped
    assert headlines() == ["Hello there"]


def test_a_dry_run_says_what_would_change_and_keeps_nothing() -> None:
    before = rows()
    report = load(BUNDLE, dry_run=True)
    assert report.changed["pages"] == 2
    assert rows() == before


def test_one_error_anywhere_keeps_everything_out() -> None:
    before = rows()
    report = load(with_at("/pages/1/slots/hero/0/variants/0/block", "nowhere"))
    assert errors(report) == [("unknown_block", "/pages/1/slots/hero/0/variants/0/block")]
    assert rows() == before


def test_what_a_bundle_does_not_name_is_left_alone() -> None:
    load(BUNDLE)
    report = load(
        {"tessera": 1, "blocks": [{"key": "hero-vip", "type": "hero", "fields": {"headline": "Hi"}}]}
    )
    assert report.changed == {"blocks": 1}
    assert headlines() == ["Hello there"]


def test_locales_of_the_site_stay_when_a_bundle_does_not_name_them() -> None:
    load(BUNDLE)
    load({"tessera": 1, "locales": ["de", "fr"]})
    assert the_site().locales == ["de", "fr", "en"]
    assert headlines(locale="fr") == ["Hallo"]
    assert headlines(locale="en") == ["Hello there"]


def test_a_change_of_a_type_or_template_reaches_pages_that_the_bundle_does_not_name() -> None:
    load(BUNDLE)
    type_ = copy.deepcopy(BUNDLE["block_types"][0]) | {"source": "<h2>{{ fields.headline }}</h2>"}
    load({"tessera": 1, "block_types": [type_]})
    from tests.builders import get_html

    assert get_html() == "<h2>Hello there</h2>"


def test_without_publish_everything_is_a_draft() -> None:
    report = load(BUNDLE, publish=False)
    assert not errors(report)
    assert not Page.objects.filter(published__isnull=False).exists()
    assert not Block.objects.filter(published__isnull=False).exists()


@pytest.mark.parametrize(
    ("bundle", "code", "place"),
    [
        ([], "not_a_bundle", "/tessera"),
        (None, "not_a_bundle", "/tessera"),
        ({}, "not_a_bundle", "/tessera"),
        ({"tessera": 2}, "not_a_bundle", "/tessera"),
        (changed(visitors=[]), "unknown_part", "/visitors"),
        (changed(blocks={}), "wrong_type", "/blocks"),
        (changed(locales=[]), "wrong_type", "/locales"),
        (changed(locales=["English, please"]), "wrong_type", "/locales"),
        (with_at("/blocks/0/key", "No Key"), "invalid_key", "/blocks/0/key"),
        (with_at("/blocks/1/key", "hero-default"), "duplicate_key", "/blocks/1/key"),
        (with_at("/blocks/0/type", "nowhere"), "unknown_type", "/blocks/0/type"),
        (with_at("/blocks/0/fields/headline", {"de": "Hallo"}), "required", "/blocks/0/fields/headline/en"),
        (with_at("/blocks/0/fields/items", ["hero-vip"]), "type_not_allowed", "/blocks/0/fields/items/0"),
        (with_at("/blocks/0/fields/headline/en", "a\x00b"), "nul_character", "/blocks/0/fields/headline/en"),
        (with_at("/block_types/0/fields/0/kind", "colour"), "unknown_kind", "/block_types/0/fields/0/kind"),
        (with_at("/templates/0/slots/0/key", "No Key"), "invalid_key", "/templates/0/slots/0/key"),
        (with_at("/templates/0/slots/0/max", "1"), "wrong_type", "/templates/0/slots/0/max"),
        (with_at("/traits/0/type", "colour"), "unknown_type", "/traits/0/type"),
        (with_at("/traits/0/purpose", "fun"), "unknown_purpose", "/traits/0/purpose"),
        (with_at("/traits/1/default", 5), "wrong_type", "/traits/1/default"),
        (with_at("/segments/0/min_size", -1), "invalid", "/segments/0/min_size"),
        (with_at("/segments/0/min_size", "few"), "invalid", "/segments/0/min_size"),
        (with_at("/segments/0/kind", "cloud"), "unknown_kind", "/segments/0/kind"),
        (with_at("/segments/1/parent", "nowhere"), "unknown_segment", "/segments/1/parent"),
        (with_at("/segments/1/parent", "gold"), "cycle", "/segments/1/parent"),
        (with_at("/segments/2/purposes", ["fun"]), "unknown_purpose", "/segments/2/purposes"),
        (with_at("/segments/2/purposes", []), "required", "/segments/2/purposes"),
        (with_at("/pages/1/path", "boots/"), None, ""),
        (with_at("/pages/1/path", ""), "duplicate_key", "/pages/1/path"),
        (with_at("/pages/0/path", "/a\x00"), "nul_character", "/pages/0/path"),
        (with_at("/pages/0/template", "nowhere"), "unknown_template", "/pages/0/template"),
        (with_at("/pages/0/slots/hero", []), "too_few", "/pages/0/slots/hero"),
        (with_at("/pages/0/title", None), "required", "/pages/0/title"),
        (with_at("/pages/0/slots/hero/0/variants/0/when", {"segments": {"$in": ["vpi"]}}), "unknown_segment",
         "/pages/0/slots/hero/0/variants/0/when/segments/$in/0"),
        (with_at("/blocks/1/fields/headline", "{{ user.tier }}"), "placeholder_without_default",
         "/pages/0/slots/hero/0/variants/0/block/headline"),
    ],
)  # fmt: skip
def test_an_error_has_a_pointer(bundle: Any, code: str | None, place: str) -> None:
    before = rows()
    found = errors(load(bundle))
    if code is None:
        assert found == []
        return
    assert place in [at for _, at in found]
    assert code in [one for one, _ in found] or code == "unknown_segment"
    assert rows() == before


def test_a_typing_error_in_a_rule_is_told_with_its_place_and_a_suggestion() -> None:
    report = load(with_at("/segments/0/rule", {"oders": {"$gte": 5}}))
    (problem,) = [p for p in report.problems if p.severity == "error"]
    assert problem.pointer == "/segments/0/rule/oders"
    assert "orders" in problem.message


def test_an_attribute_that_nothing_reads_is_told_and_does_no_harm() -> None:
    report = load(with_at("/blocks/1/colour", "red"))
    assert not errors(report)
    assert [(p.code, p.pointer, p.severity) for p in report.problems if p.code == "unknown_attribute"] == [
        ("unknown_attribute", "/blocks/1/colour", "warning")
    ]


def test_blocks_that_would_contain_each_other_are_refused() -> None:
    blocks = [{"key": k, "type": "hero", "fields": {"headline": k, "items": [o]}} for k, o in ("ab", "ba")]
    types = copy.deepcopy(BUNDLE["block_types"])
    types[0]["fields"][4]["types"] = []
    report = load({"tessera": 1, "block_types": types, "blocks": [
        *blocks, {"key": "boots", "type": "product", "fields": {"name": "B"}},
    ]})  # fmt: skip
    assert errors(report) == [("cycle", "/blocks/1/fields")]


def test_a_type_cannot_change_so_that_stored_blocks_no_longer_fit() -> None:
    load(BUNDLE)
    types = copy.deepcopy(BUNDLE["block_types"])
    types[0]["fields"][3] = {"key": "cta", "kind": "number"}
    report = load({"tessera": 1, "block_types": types})
    assert errors(report) == [("block_does_not_fit", "/block_types/0/fields")]
    assert "hero-default" in report.problems[-1].message


def test_a_type_may_lose_a_field_and_gain_a_required_one() -> None:
    load(BUNDLE)
    types = copy.deepcopy(BUNDLE["block_types"])
    types[0]["fields"][3] = {"key": "kicker", "kind": "text", "required": True}
    assert not errors(load({"tessera": 1, "block_types": types}))
    assert headlines() == ["Hello there"]


def test_the_type_of_a_block_stays() -> None:
    load(BUNDLE)
    report = load({"tessera": 1, "blocks": [{"key": "boots", "type": "hero", "fields": {"headline": "x"}}]})
    assert errors(report) == [("type_fixed", "/blocks/0/type")]


HOSTILE = json.loads((Path(__file__).parents[1] / "cases" / "hostile-templates.json").read_text("utf-8"))


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case["name"])
def test_a_hostile_source_is_refused_at_save(case: Mapping[str, Any]) -> None:
    if "source" in case:
        source = case["source"]
    else:
        before, piece, times, after = case["repeat"]
        source = before + piece * times + after
    part = "templates" if case["roots"] == "page" else "block_types"
    report = load({"tessera": 1, part: [{"key": "evil", "source": source}]})
    assert f"/{part}/0/source" in {p.pointer.partition(":")[0] for p in report.problems} or "nul" in str(
        errors(report)
    )
    assert errors(report)
    assert not Template.objects.exists()
    assert not BlockType.objects.exists()


def test_pictures_travel_with_a_dump_that_is_written_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "ridge.png").write_bytes(picture("JPEG"))
    load({"tessera": 1, "media": [{"key": "ridge", "file": "ridge.png"}]}, folder=tmp_path)
    before = rows()
    away = tmp_path / "away"
    away.mkdir()
    run("dump_bundle", away / "copy.json")
    assert run("load_bundle", away / "copy.json")[0] == "Changed: nothing.\n"
    (tmp_path / "printed.json").write_text(run("dump_bundle")[0])
    assert run("load_bundle", tmp_path / "printed.json")[0] == "Changed: nothing.\n"
    assert rows() == before
    Media.objects.all().delete()
    assert run("load_bundle", away / "copy.json")[0] == "Changed: 1 media.\n"


def test_media_come_from_files_beside_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "ridge.png").write_bytes(picture())
    bundle = {"tessera": 1, "media": [{"key": "ridge", "file": "ridge.png", "alt": {"en": "A ridge"}}]}
    assert load(bundle, folder=tmp_path).changed == {"media": 1}
    assert load(bundle, folder=tmp_path).changed == {"media": 0}


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/passwd", "nowhere.png", "link.png", "a\ud800", "x" * 5000, 5]
)
def test_a_file_outside_the_folder_is_not_read(tmp_path: Path, name: Any) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(picture())
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    report = load({"tessera": 1, "media": [{"key": "ridge", "file": name}]}, folder=folder)
    assert errors(report) == [("file_missing", "/media/0/file")]


@pytest.mark.parametrize("content", [b"<svg onload='x()'/>", b"", b"GIF89a"])
def test_a_file_that_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "evil.png").write_bytes(content)
    report = load({"tessera": 1, "media": [{"key": "evil", "file": "evil.png"}]}, folder=tmp_path)
    assert errors(report) == [("not_an_image", "/media/0/file")]


def test_a_load_that_keeps_nothing_leaves_no_files(tmp_path: Path, settings: Any) -> None:
    (tmp_path / "ridge.png").write_bytes(picture())
    bundle = {"tessera": 1, "media": [{"key": "ridge", "file": "ridge.png"}]}
    load(bundle, folder=tmp_path, dry_run=True)
    assert not list(Path(settings.MEDIA_ROOT).iterdir())


JUNK: tuple[Any, ...] = (
    None,
    5,
    -1.5,
    True,
    "x",
    "",
    "\x00",
    [],
    [1],
    [[]],
    {},
    {"x": 1},
    {"en": 5},
    "é" * 300,
)


def places(value: Any, pointer: str = "") -> Iterator[str]:
    if pointer:
        yield pointer
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            if "/" not in str(key):
                yield from places(part, f"{pointer}/{key}")


@pytest.mark.parametrize("seed", range(4))
def test_whatever_stands_in_a_bundle_it_is_loaded_or_refused_and_never_an_error(seed: int) -> None:
    choose = random.Random(seed)
    for _ in range(12):
        pointer, junk = choose.choice(list(places(BUNDLE))), choose.choice(JUNK)
        report = load(with_at(pointer, junk), dry_run=True)
        for problem in report.problems:
            assert problem.pointer.startswith("/"), (pointer, junk, problem)
            assert problem.message, (pointer, junk, problem)


def test_a_bundle_that_nests_without_end_is_refused() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    assert [code for code, _ in errors(load({"tessera": 1, "pages": deep}))] == ["too_deep"]


def run(*arguments: Any, **options: Any) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    with committing():
        call_command(*arguments, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def test_the_commands_load_and_dump(tmp_path: Path) -> None:
    file, copy_ = tmp_path / "bundle.json", tmp_path / "copy.json"
    file.write_text(json.dumps(BUNDLE))
    assert run("load_bundle", file, publish=True)[0].startswith("Changed: ")
    assert run("load_bundle", file, publish=True)[0] == "Changed: nothing.\n"
    run("dump_bundle", copy_)
    assert run("load_bundle", copy_, publish=True)[0] == "Changed: nothing.\n"
    assert json.loads(run("dump_bundle")[0]) == json.loads(copy_.read_text())


def test_the_command_says_where_and_keeps_nothing(tmp_path: Path) -> None:
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps(with_at("/blocks/0/type", "nowhere")))
    err = StringIO()
    with pytest.raises(CommandError, match="Nothing was loaded"):
        call_command("load_bundle", file, stderr=err, stdout=StringIO())
    assert "/blocks/0/type: There is no block type 'nowhere'. (unknown_type)" in err.getvalue()
    assert not BlockType.objects.exists()


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\xff"])
def test_the_command_refuses_what_is_not_json(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bundle.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(CommandError, match="is not JSON"):
        call_command("load_bundle", file)
