"""Every link of the documentation leads somewhere, and every page is led to."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from django.conf import settings

ROOT: Path = settings.BASE_DIR
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield (file, fragment) of every relative link outside of code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = unquote(target).partition("#")
        yield (page.parent / path).resolve() if path else page, fragment


def anchors(page: Path) -> set[str]:
    """Return the fragments of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, fragment in links(page):
        assert target.exists(), f"{target} does not exist"
        assert not fragment or fragment in anchors(target), f"{target} has no heading #{fragment}"


def test_every_page_is_reached_from_the_index() -> None:
    seen: set[Path] = set()
    todo = [DOCS / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        todo += [target for target, _ in links(page)]
    assert set(DOCS.rglob("*.md")) <= seen


def test_every_example_in_json_is_json() -> None:
    import json

    for page in PAGES:
        for example in re.findall(r"^```json\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            json.loads(example)
