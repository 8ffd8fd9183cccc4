"""What visitors read is there in German, and the compiled catalogue is the one that people edit."""

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from personalization.segments.directory import FEATURES, HISTORY

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "personalization" / "locale" / "de" / "LC_MESSAGES"
ENTRY = re.compile(r'^(msgid|msgid_plural|msgstr|msgstr\[(\d)\]) ((?:"(?:[^"\\]|\\.)*"\n?)+)', re.MULTILINE)
TAGS = re.compile(
    r'{% translate "([^"]+)" %}|{% blocktranslate with (?:.+?) %}(.+?){% endblocktranslate %}', re.DOTALL
)


def written() -> dict[str | tuple[str, int], str]:
    """Read `django.po` as `gettext` reads its compiled form: a plural is kept under its first form and a number."""
    found: dict[str | tuple[str, int], str] = {}
    msgid = ""
    plural = False
    for name, number, spelled in ENTRY.findall((FOLDER / "django.po").read_text("utf-8")):
        text = "".join(ast.literal_eval(line) for line in spelled.split("\n") if line)
        if name == "msgid":
            msgid, plural = text, False
        elif name == "msgid_plural":
            plural = True
        else:
            found[(msgid, int(number)) if plural else msgid] = text
    return found


def compiled() -> dict[str | tuple[str, int], str]:
    with (FOLDER / "django.mo").open("rb") as file:
        catalogue: dict[str | tuple[str, int], str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    return catalogue


def marked(module: str) -> Iterator[str]:
    """Yield every sentence that a module marks for translation."""
    for node in ast.walk(ast.parse((ROOT / module).read_text("utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("_", "N_", "ngettext")
        ):
            yield from (
                one.value
                for one in node.args[:1]
                if isinstance(one, ast.Constant) and isinstance(one.value, str)
            )


def in_page(template: str) -> Iterator[str]:
    for simple, block in TAGS.findall((ROOT / template).read_text("utf-8")):
        yield simple or re.sub(r"{{ *(\w+) *}}", r"%(\1)s", block)


def test_the_compiled_catalogue_says_what_is_written() -> None:
    assert compiled() == written(), (
        "Compile it again: msgfmt --check --output-file=django.mo django.po (in personalization/locale/de/LC_MESSAGES)."
    )


@pytest.mark.parametrize(
    "module", ["personalization/why.py", "personalization/knowledge.py", "personalization/keeping.py"]
)
def test_every_sentence_has_its_german(module: str) -> None:
    german = {key if isinstance(key, str) else key[0] for key, text in written().items() if text}
    sentences = set(marked(module))
    assert sentences
    assert sentences - german == set()


def test_the_page_that_tells_why_and_the_facts_that_everybody_has_are_there_in_german() -> None:
    german = {key for key, text in written().items() if text}
    asked = {*in_page("templates/django/consent/why.html"), *(fact.title for fact in (*FEATURES, *HISTORY))}
    assert len(asked) > 20
    assert asked - german == set()


def test_a_translation_fills_in_what_its_sentence_fills_in() -> None:
    for key, text in written().items():
        sentence = key if isinstance(key, str) else key[0]
        assert sorted(re.findall(r"%\(\w+\)s", sentence)) == sorted(re.findall(r"%\(\w+\)s", text)), sentence
