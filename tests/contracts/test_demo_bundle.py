"""The demo's content: it loads, it publishes, everybody is answered, and its sources are the files that people edit."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from cms.models import Page, Plan
from personalization.bundle import dump_bundle, load_bundle
from tests.builders import NOW, committing, the_site

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "demo"
BUNDLE: dict[str, Any] = json.loads((DEMO / "bundle.json").read_text("utf-8"))


@pytest.fixture
def demo(db: None) -> None:
    with committing():
        report = load_bundle(BUNDLE, now=NOW, publish=True, folder=DEMO)
    assert report.problems == []


def test_every_page_is_served_in_every_locale_as_data_and_as_html(demo: None) -> None:
    for page in BUNDLE["pages"]:
        for locale in BUNDLE["locales"]:
            for accept in ("application/json", "text/html"):
                address = f"/api/v1/pages{page['path']}?locale={locale}"
                assert Client().get(address, headers={"Accept": accept}).status_code == 200


def test_loading_it_again_changes_nothing(demo: None) -> None:
    report = load_bundle(BUNDLE, now=NOW, publish=True, folder=DEMO)
    assert not any(report.changed.values())


def test_its_dump_changes_nothing(demo: None) -> None:
    report = load_bundle(dump_bundle(the_site()), now=NOW, publish=True)
    assert report.problems == []
    assert not any(report.changed.values())


def test_everybody_is_answered(demo: None) -> None:
    out = StringIO()
    call_command("check_personalization", stdout=out)
    assert out.getvalue().endswith("answers are as they should be.\n")


def test_a_page_that_does_not_resolve_is_named(demo: None) -> None:
    plan = Plan.objects.get(page__path="/about", locale="de", active=True)
    plan.program["placements"][0]["variants"][-1]["block"] = {
        "type": "hero",
        "block": "x",
        "fields": {"a": {"$rich": "{{"}},
    }
    plan.save()
    err = StringIO()
    with pytest.raises(CommandError, match="answers are not as they should be"):
        call_command("check_personalization", stdout=StringIO(), stderr=err)
    lines = err.getvalue().splitlines()
    assert lines
    assert all(line.startswith("/about (de), ") for line in lines)


def test_nothing_published_is_nothing_to_check(db: None) -> None:
    assert not Page.objects.exists()
    out = StringIO()
    call_command("check_personalization", stdout=out)
    assert out.getvalue() == "0 answers are as they should be.\n"


@pytest.mark.parametrize("part", ["block_types", "templates"])
def test_a_source_is_the_file_of_its_name(part: str) -> None:
    prefix = "block" if part == "block_types" else "page"
    for entry in BUNDLE[part]:
        file = ROOT / "templates" / "demo" / f"{prefix}-{entry['key'].replace('_', '-')}.html"
        assert entry["source"] == file.read_text("utf-8"), file.name


def test_every_file_has_its_source() -> None:
    named = {f"block-{t['key'].replace('_', '-')}.html" for t in BUNDLE["block_types"]}
    named |= {f"page-{t['key'].replace('_', '-')}.html" for t in BUNDLE["templates"]}
    assert {file.name for file in (ROOT / "templates" / "demo").iterdir()} == named
