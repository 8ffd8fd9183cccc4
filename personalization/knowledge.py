"""What one may read about oneself: facts, all that one did, segments, delicate topics.

In: a subject. Out: `Item`s in the active language, with what they come from, what they are for and how long they stay;
only of purposes that are granted. `steering` fulfils wishes about them.
"""

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Count, Max, Min
from django.urls import reverse
from django.utils.formats import date_format, number_format
from django.utils.timezone import localtime
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from cms.language.vocabulary import Fact
from cms.models import Page, Site
from consent.holders import About, Item
from consent.models import ConsentState
from consent.state import allowed_by
from personalization import exclusions
from personalization.directory import CompiledSegment, Directory, base_name
from personalization.fold import Basis, basis_of
from personalization.forgetting import resting_on
from personalization.handles import SEGMENT, outward
from personalization.models import Event, Profile, SegmentChange, Trait
from personalization.models.segments import TOPICS
from personalization.portrait import portrait_of
from personalization.profiles import current
from personalization.retention import days_kept
from personalization.segments.directory import FEATURES, directory_of
from personalization.visitor import BEHAVIOUR, NOTHING_DONE

PAGES: Final = "personalization"
NOTHING_SAID: Final = {**NOTHING_DONE, "features.session_depth": 0}
LOOKED_BACK: Final = 200  # views, among which the last pages are found
PAGES_SHOWN: Final = 10
# words of the vocabulary and of topics that visitors read, too
VISITORS_WORDS: Final = (
    N_("orders"), N_("revenue"), N_("average order"), N_("first order"), N_("last order"), N_("favourite category"),
    N_("first visit"), N_("last visit"), N_("visits"), N_("days between visits"), N_("seconds of the last visit"),
    N_("pages of the last visit"), N_("paths of the last visit"), N_("device last used"),
    N_("Alcohol"), N_("Dating"), N_("Gambling"), N_("Pregnancy and parenting"), N_("Weight loss"),
)  # fmt: skip


def in_words(label: Mapping[str, str], otherwise: str) -> str:
    """Return what visitors read of something, in the active language or its fallback."""
    language = (get_language() or "en").split("-")[0]
    return label.get(language) or label.get("en") or _(otherwise)


def _allowed(subject: uuid.UUID, now: dt.datetime) -> tuple[frozenset[str], Mapping[str, float]]:
    """Return what is granted, a pause aside, and when each grant ends."""
    row = ConsentState.objects.filter(pk=subject).first()
    if row is None:
        return frozenset(), {}
    return allowed_by(row, now=now.timestamp()).granted, row.expires


# -- facts --------------------------------------------------------------------------------------------


def facts_known(subject: uuid.UUID, now: dt.datetime) -> list[Item]:
    """Return the declared traits, what was worked out, and all that one did as one item."""
    profile = Profile.objects.filter(pk=subject).first()
    if profile is None:
        return []
    granted, ends = _allowed(subject, now)
    excluded = frozenset(profile.excluded)
    known = current(subject, directory_of(profile.site), now=now.timestamp()).facts
    said = profile.features.get("said", {})
    items = [
        _trait(trait, known[trait.key], said.get(trait.key), excluded, ends)
        for trait in Trait.objects.filter(site=profile.site_id, purpose__in=granted)
        if trait.purposes <= granted and known.get(trait.key) is not None
    ]
    if PAGES in granted:
        rests_on = _what_rests(subject)
        items += [
            _feature(fact, known[fact.name], excluded, ends, rests_on[basis_of(fact.name)])
            for fact in FEATURES
            if known.get(fact.name) not in (None, NOTHING_SAID.get(fact.name))
        ]
    return items


def _trait(
    trait: Trait, value: Any, said: int | None, excluded: frozenset[str], ends: Mapping[str, float]
) -> Item:
    by_server = trait.source == Trait.Source.SERVER
    return Item(
        About.FACT,
        trait.key,
        in_words(trait.label, trait.title or trait.key),
        spelled(trait.type, value),
        source=_("The site told us") if by_server else _("You told us"),
        purposes=tuple(sorted(trait.purposes)),
        since=dt.datetime.fromtimestamp(said / 1_000_000, dt.UTC) if said else None,
        until=_moment(ends.get(trait.purpose)),
        hidden=trait.key in excluded,
        kind="" if by_server else trait.type,
        raw=_raw(trait.type, value),
        deletable=True,
        disputable=by_server,
    )


def _what_rests(subject: uuid.UUID) -> dict[Basis, str]:
    """Say what would be deleted with a computed fact, by what it was worked out from."""
    counts = {basis.name: Count("id", filter=resting_on(basis)) for basis in Basis}
    found = Event.objects.filter(subject_key=subject).aggregate(**counts)
    number = {basis: found[basis.name] for basis in Basis}
    sentences = {
        Basis.ORDERS: ngettext(
            "It was worked out from %(number)s order. That is deleted with it, and all that was worked out from it.",
            "It was worked out from %(number)s orders. They are deleted with it, and all that was worked out from them.",
            number[Basis.ORDERS],
        ),
        Basis.PAGES: ngettext(
            "It was worked out from %(number)s page view. That is deleted with it, and all that was worked out from it.",
            "It was worked out from %(number)s page views. They are deleted with it, and all that was worked out from them.",
            number[Basis.PAGES],
        ),
        Basis.DEVICES: ngettext(
            "It is noted beside %(number)s event. The note is deleted; the event stays.",
            "It is noted beside %(number)s events. The notes are deleted; the events stay.",
            number[Basis.DEVICES],
        ),
        Basis.EVERYTHING: ngettext(
            "It was worked out from all that you did here. All of it is deleted: %(number)s event.",
            "It was worked out from all that you did here. All of it is deleted: %(number)s events.",
            number[Basis.EVERYTHING],
        ),
    }
    return {basis: text % {"number": number_format(number[basis])} for basis, text in sentences.items()}


def _feature(
    fact: Fact, value: Any, excluded: frozenset[str], ends: Mapping[str, float], rests_on: str
) -> Item:
    return Item(
        About.FACT,
        fact.name,
        _(fact.title),
        spelled(fact.type, value),
        source=_("Worked out from your visits and orders"),
        inferred=True,
        purposes=(PAGES,),
        until=_moment(ends.get(PAGES)),
        hidden=fact.name in excluded,
        deletable=True,
        rests_on=rests_on,
        disputable=True,
    )


def behaviour_known(subject: uuid.UUID, now: dt.datetime) -> list[Item]:
    """Return all that one did here as one item."""
    granted, ends = _allowed(subject, now)
    rows = Event.objects.filter(subject_key=subject, purposes__overlap=sorted(granted))
    found = rows.aggregate(number=Count("id"), first=Min("happened_at"), last=Max("happened_at"))
    number, first = found["number"], found["first"]
    if not number:
        return []
    profile = Profile.objects.filter(pk=subject).first()
    purposes = sorted(
        {p for stamp in rows.values_list("purposes", flat=True).distinct() for p in stamp} & granted
    )
    value = ngettext("%(number)s event", "%(number)s events", number) % {"number": number_format(number)}
    item = Item(
        About.FACT,
        BEHAVIOUR,
        _("What you looked at and did here"),
        value,
        source=_("Observed while you used this site"),
        inferred=False,
        purposes=tuple(purposes),
        since=first,
        until=_forgotten(subject, purposes, found["last"], ends),
        hidden=profile is not None and BEHAVIOUR in profile.excluded,
        deletable=True,
    )
    return [item, *_pages_seen(subject, granted)]


def _forgotten(
    subject: uuid.UUID, purposes: Sequence[str], last: dt.datetime, ends: Mapping[str, float]
) -> dt.datetime:
    """Return when the last of it is gone: consent has ended, or its time is over, or the shorter one that they chose."""
    site = site_of(subject)
    own = ConsentState.objects.filter(pk=subject).values_list("keep_days", flat=True).first()
    kept = days_kept(site, own or settings.EVENT_RETENTION_DAYS)
    moments = [
        min(
            last + dt.timedelta(days=kept[purpose]),
            _moment(ends.get(purpose)) or dt.datetime.max.replace(tzinfo=dt.UTC),
        )
        for purpose in purposes
        if purpose in kept
    ]
    return max(moments, default=last)


def _pages_seen(subject: uuid.UUID, granted: frozenset[str]) -> list[Item]:
    """Return the pages that one looked at last, each with the way to why it looked as it did; the newest first."""
    if PAGES not in granted:
        return []
    rows = Event.objects.filter(subject_key=subject, name="Page Viewed", purposes__contains=[PAGES])
    seen: dict[str, dt.datetime] = {}
    for path, at in rows.order_by("-happened_at", "-id").values_list("properties__path", "happened_at")[
        :LOOKED_BACK
    ]:
        if isinstance(path, str):
            seen.setdefault(path, at)
    site = site_of(subject)
    titles = dict(
        Page.objects.filter(site=site, path__in=seen, published__isnull=False).values_list("path", "title")
    )
    shown = [(path, at) for path, at in seen.items() if path in titles][:PAGES_SHOWN]
    return [
        Item(
            About.PAGE,
            f"page:{path}",
            in_words(titles[path], path),
            purposes=(PAGES,),
            since=at,
            link=f"{reverse('privacy-why')}?{urlencode({'path': path})}",
            steerable=False,
        )
        for path, at in shown
    ]


def spelled(kind: str, value: Any) -> str:
    """Return a value as people read it."""
    if kind == "date":
        return date_format(localtime(dt.datetime.fromisoformat(value)), "DATE_FORMAT")
    if kind == "boolean":
        return _("yes") if value else _("no")
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if kind == "number":
        return number_format(value, use_l10n=True)
    return str(value)


def _raw(kind: str, value: Any) -> str:
    """Return a value as it stands in a form field."""
    if kind == "date":
        return str(value)[:10]
    if kind == "list":
        return ", ".join(map(str, value))
    if kind == "boolean":
        return "true" if value else "false"
    return str(value)


def _moment(at: float | None) -> dt.datetime | None:
    return None if at is None else dt.datetime.fromtimestamp(at, dt.UTC)


def site_of(subject: uuid.UUID) -> Site:
    row = ConsentState.objects.filter(pk=subject).first()
    return Site.objects.get(pk=row.site_id if row else 1)


# -- segments and topics ------------------------------------------------------------------------------


def segments_known(subject: uuid.UUID, now: dt.datetime) -> list[Item]:
    """Return the segments one is in, those one left, and the delicate topics."""
    site = site_of(subject)
    portrait = portrait_of(subject, site=site, now=now)
    if portrait is None:
        return []
    directory = directory_of(site)
    inside = [*portrait.segments, *portrait.contextual]
    left = [key for key in directory.segments if SEGMENT + key in portrait.excluded]
    entered = SegmentChange.objects.filter(subject_key=subject, entered=True, segment__key__in=inside)
    since = dict(
        entered.order_by("segment__key", "-at").distinct("segment__key").values_list("segment__key", "at")
    )
    labels = dict(Trait.objects.filter(site=site).values_list("key", "label"))
    listed = [
        _segment(directory.segments[key], since.get(key), key in left, because_of(key, directory, labels))
        for key in directory.segments
        if key in inside or key in left
    ]
    return [*listed, *_topics(directory, portrait.excluded)]


def _segment(segment: CompiledSegment, since: dt.datetime | None, left: bool, why: str) -> Item:
    return Item(
        About.SEGMENT,
        outward(SEGMENT + segment.key),
        in_words(segment.label, segment.title),
        why=why,
        source=_("A list of the site") if segment.kind == "list" else _("Worked out from what is known"),
        inferred=segment.kind != "list",
        purposes=tuple(sorted(segment.purposes)),
        since=since,
        hidden=left,
    )


def because_of(key: str, directory: Directory, labels: Mapping[str, Mapping[str, str]]) -> str:
    """Say what a segment is made from, in words of facts: never its rule. `labels` are those of the traits."""
    words = list(dict.fromkeys(_words_behind(key, directory, labels)))
    return _("Because of: %(facts)s") % {"facts": ", ".join(words)} if words else ""


def _words_behind(key: str, directory: Directory, labels: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for one in directory.closure([key]):
        for name in sorted(one.reads):
            fact = directory.vocabulary.find(base_name(name))
            if fact is not None and fact.purposes:
                yield in_words(labels.get(fact.name) or {}, fact.label)
            elif fact is not None:
                yield _("where and when you read")
        if one.behaviours:
            yield _("what you looked at and did here")


def _topics(directory: Directory, excluded: frozenset[str]) -> list[Item]:
    """Return the delicate topics: each can be switched off, whether anything is about it today or not."""
    return [
        Item(About.TOPIC, exclusions.TOPIC + key, _(title), hidden=exclusions.TOPIC + key in excluded)
        for key, title in TOPICS
    ]
