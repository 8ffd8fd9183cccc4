"""The dashboard in German: every sentence has its translation, and what is compiled is what was written."""

import io
import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_python
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django.utils.translation import gettext as _
from django.utils.translation import override
from django.utils.translation.template import templatize

from consent.models import PrivacyRequest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "consent" / "locale" / "de" / "LC_MESSAGES"
OTHERS = (
    ROOT / "personalization" / "locale" / "de" / "LC_MESSAGES"
)  # of the page of reasons, which extends the same base
KEYWORDS = ("_", "gettext", "ngettext", "N_")


def sentences() -> set[str]:
    """Return every text that the dashboard shows, as it is written in code and templates."""
    found = set()
    for path in (ROOT / "consent").rglob("*.py"):
        found |= _of(path.read_bytes())
    for path in (ROOT / "templates" / "django" / "consent").rglob("*.html"):
        found |= _of(templatize(path.read_text("utf-8")).encode())
    found |= {
        str(label) for kinds in (PrivacyRequest.Kind, PrivacyRequest.State) for _, label in kinds.choices
    }
    return found


def _of(source: bytes) -> set[str]:
    messages = (message for _, _, message, _ in extract_python(io.BytesIO(source), KEYWORDS, [], {}))
    firsts = (message[0] if isinstance(message, tuple) else message for message in messages)
    return {first for first in firsts if first}


def test_every_sentence_has_its_german() -> None:
    known = set()
    for folder in (FOLDER, OTHERS):
        with (folder / "django.po").open("rb") as file:
            known |= {
                m.id[0] if isinstance(m.id, tuple) else m.id for m in read_po(file, locale="de") if m.string
            }
    assert sentences() - known == set()
    assert len(sentences()) > 150


def test_what_is_compiled_is_what_was_written() -> None:
    with (FOLDER / "django.po").open("rb") as written, (FOLDER / "django.mo").open("rb") as compiled:
        source = {_key(m.id): _key(m.string) for m in read_po(written, locale="de") if m.id}
        built = {_key(m.id): _key(m.string) for m in read_mo(compiled) if m.id}
    assert source == built


def _key(id_: object) -> object:
    return tuple(id_) if isinstance(id_, list | tuple) else id_


@pytest.mark.parametrize(
    "sentence", ["Sealed, nothing reads it: %(things)s.", "Deleted in %(seconds).1f s: %(things)s."]
)
def test_places_for_values_are_the_same(sentence: str) -> None:
    with override("de"):
        german = _(sentence)
    assert german != sentence
    assert re.findall(r"%\(\w+\)", german)
    assert set(re.findall(r"%\(\w+\)", german)) == set(re.findall(r"%\(\w+\)", sentence))
