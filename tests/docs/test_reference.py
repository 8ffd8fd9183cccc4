"""The reference says what the code says: names, reasons, codes and commands, in both directions where it can."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

from cms.language.parse import LISTS, OPERATORS, ORDER, PATTERNS, VERSIONS
from cms.language.placeholders import FILTERS
from cms.language.vocabulary import CONTEXT
from personalization.ingest import pipeline
from personalization.models.keys import SCOPES
from personalization.plan import REASONS
from personalization.segments.directory import FEATURES

ROOT: Path = settings.BASE_DIR
REFERENCE = ROOT / "docs" / "reference"
OURS = ("cms", "consent", "personalization", "demo")
READ_BY_THE_LAUNCHER = {"PORT", "HOST", "WORKER_CONCURRENCY"}
GROUPS_OF_SDKS = {"$inGroup", "$notInGroup"}  # lists that only an SDK brings along; refused as unknown here


def reference(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text()


def first_cells(text: str, pattern: str) -> set[str]:
    """Return what stands in code spans in the first cell of each row of the tables."""
    cells = re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(f"`({pattern})`", cell)}


def source_of(*packages: str) -> str:
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    return "\n".join(file.read_text() for file in files)


def test_every_variable_that_the_settings_read_is_documented_and_no_other() -> None:
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (ROOT / "config" / "settings.py").read_text()))
    assert first_cells(reference("settings"), "[A-Z_]+") == read | READ_BY_THE_LAUNCHER


def test_the_launcher_reads_what_is_documented_of_it() -> None:
    launcher = source_of("launcher")
    assert all(f'"{name}"' in launcher for name in READ_BY_THE_LAUNCHER)


def test_the_reasons_are_the_closed_list() -> None:
    assert first_cells(reference("reasons"), "[a-z_]+") == set(REASONS)


def test_every_command_of_ours_is_documented() -> None:
    ours = {name for name, app in get_commands().items() if app in OURS}
    documented = set(re.findall(r"^### `(\w+)", reference("commands"), re.MULTILINE))
    assert documented <= ours
    assert ours - documented == set()


def test_every_target_of_make_is_documented_and_no_other() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert first_cells(reference("commands"), "make [a-z0-9-]+") == {
        f"make {one}" for one in targets - {"help"}
    }


def test_the_scopes_are_documented() -> None:
    assert set(SCOPES) <= first_cells(reference("commands"), "[a-z]+")


def test_the_operators_are_documented_and_no_other() -> None:
    documented = set(re.findall(r"\$[a-z]+[a-zA-Z]*", reference("rules")))
    assert documented >= OPERATORS - GROUPS_OF_SDKS
    assert documented - OPERATORS == {"$and", "$or", "$nor", "$did", "$seq"}
    assert documented >= ORDER | PATTERNS | VERSIONS | LISTS


def test_the_facts_are_documented() -> None:
    facts = first_cells(reference("rules"), r"[a-z_.]+")
    assert facts >= set(CONTEXT) | {fact.name for fact in FEATURES}


def test_the_filters_are_documented() -> None:
    documented = set(re.findall(r"[a-z]+", " ".join(first_cells(reference("placeholders"), "[^`]+"))))
    assert set(FILTERS) <= documented


def test_the_reasons_for_dropping_an_event_are_documented() -> None:
    dropped = set(re.findall(r'Drop\("(\w+)"\)', Path(pipeline.__file__).read_text()))
    assert dropped <= first_cells(reference("events"), "[a-z_]+")


@pytest.fixture(scope="module")
def codes() -> set[str]:
    """Return the codes that the reference of errors lists."""
    text = reference("errors")
    _, of_content = text.split("## Of content")
    listed = re.findall(r"^\| [a-z]+ \| (.*) \|$", of_content, re.MULTILINE)
    return first_cells(text, "[a-z_]+") | {code for row in listed for code in re.findall(r"`(\w+)`", row)}


def test_every_documented_error_is_one(codes: set[str]) -> None:
    of_the_framework = {"throttled"}
    source = source_of("cms", "consent", "personalization", "config")
    known = set(re.findall(r'"([a-z_]+)"', source)) | of_the_framework
    assert codes - known == set()
