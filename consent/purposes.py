"""The purposes of a site and the notice that asks for them.

The built-in purposes come with the first migration. A notice asks only for what something reads today
(`consent/readers.py`); a version is made when what would be asked has changed: its text is what visitors saw, word for
word.
"""

import datetime as dt
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785
from django.db import transaction

from consent.models import ConsentEvent, ConsentState, NoticeVersion, Purpose
from consent.readers import purposes_in_use
from consent.reasking import says_otherwise

SUMMARY = {
    "en": "You decide what this site may know about you. You can change your mind at any time.",
    "de": "Sie entscheiden, was diese Website über Sie wissen darf. Sie können es jederzeit ändern.",
}
_CACHE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Closing:
    """Which purposes Global Privacy Control refuses, and which are switched off for everybody."""

    by_gpc: frozenset[str] = frozenset()
    for_all: frozenset[str] = frozenset()


_closing: dict[int, tuple[float, Closing]] = {}


def active_purposes(site_id: int) -> list[Purpose]:
    """Return what can be decided about, in order."""
    return list(Purpose.objects.filter(site_id=site_id, active=True))


def asked_for(site_id: int) -> list[Purpose]:
    """Return what a notice asks for: what is always on, and what something reads today."""
    used = purposes_in_use(site_id)
    return [purpose for purpose in active_purposes(site_id) if purpose.required or purpose.key in used]


def closing_of(site_id: int) -> Closing:
    """Return what closes purposes whatever was decided; read again every ten seconds and process."""
    read_at, found = _closing.get(site_id, (-_CACHE_SECONDS, Closing()))
    if time.monotonic() - read_at >= _CACHE_SECONDS:
        rows = list(Purpose.objects.filter(site_id=site_id))
        by_gpc = frozenset(one.key for one in rows if one.gpc_applies)
        found = Closing(by_gpc, frozenset(one.key for one in rows if not one.active))
        _closing[site_id] = (time.monotonic(), found)
    return found


def covered_by_gpc(site_id: int) -> frozenset[str]:
    """Return the purposes that Global Privacy Control refuses."""
    return closing_of(site_id).by_gpc


def forget_closing() -> None:
    """Read the purposes again at the next question."""
    _closing.clear()


def _texts(purposes: list[Purpose]) -> dict[str, Any]:
    locales = sorted({locale for purpose in purposes for locale in purpose.title} | {"en"})
    return {
        locale: {
            "summary": SUMMARY.get(locale, SUMMARY["en"]),
            "purposes": [text_of(purpose, locale) for purpose in purposes],
        }
        for locale in locales
    }


def text_of(purpose: Purpose, locale: str) -> dict[str, Any]:
    """Return the words of a purpose in a locale or its fallback, as a notice spells them."""

    def said(words: Mapping[str, str]) -> str:
        return words.get(locale) or words.get("en") or ""

    return {
        "key": purpose.key,
        "title": said(purpose.title),
        "summary": said(purpose.summary),
        "details": said(purpose.details),
        "legal_basis": purpose.legal_basis,
        "required": purpose.required,
        "sensitive": purpose.sensitive,
    }


def digest_of(texts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a notice's texts, spelled as JCS."""
    return hashlib.sha256(rfc8785.dumps(dict(texts))).hexdigest()


def current_notice(site_id: int, *, now: dt.datetime) -> NoticeVersion:
    """Return the notice that is asked today; a changed purpose, or a new reader, makes a new version."""
    purposes = asked_for(site_id)
    texts = _texts(purposes)
    digest = digest_of(texts)
    latest = NoticeVersion.objects.filter(site_id=site_id).first()
    if latest is not None and latest.sha256 == digest:
        return latest
    return _new_version(site_id, texts, digest, now)


@transaction.atomic
def _new_version(site_id: int, texts: dict[str, Any], digest: str, now: dt.datetime) -> NoticeVersion:
    Purpose.objects.select_for_update().filter(site_id=site_id).first()  # one writer at a time
    latest = NoticeVersion.objects.filter(site_id=site_id).first()
    if latest is not None and latest.sha256 == digest:
        return latest
    n = latest.n + 1 if latest else 1
    return NoticeVersion.objects.create(site_id=site_id, n=n, texts=texts, sha256=digest, published_at=now)


def spelled_notice(notice: NoticeVersion, locale: str) -> dict[str, Any]:
    """Return the notice as an answer shows it, in the locale or its fallback."""
    found = next(
        (one for one in (locale, locale.split("-")[0], "en") if one in notice.texts), next(iter(notice.texts))
    )
    return {"version": str(notice.n), "locale": found, **notice.texts[found]}


def answered_other_words(row: ConsentState, notice: NoticeVersion, asked: Sequence[str]) -> bool:
    """Say whether this person answered a notice that put something that is asked today into other words."""
    last = ConsentEvent.objects.filter(subject_key=row.pk, purpose__in=asked).exclude(notice_version="")
    answered = dict(
        last.order_by("purpose", "-seq").distinct("purpose").values_list("purpose", "notice_version")
    )
    numbers = {int(n) for n in answered.values() if n.isdecimal() and n != str(notice.n)}
    texts = (
        dict(NoticeVersion.objects.filter(site_id=row.site_id, n__in=numbers).values_list("n", "texts"))
        if numbers
        else {}
    )
    return any(
        says_otherwise(texts[int(n)], notice.texts, purpose)
        for purpose, n in answered.items()
        if n.isdecimal() and int(n) in texts
    )
