"""What one may read about oneself, and how one steers it: facts, all that one did, segments, delicate topics.

In: a subject. Out: `Item`s in the active language, with what they come from, what they are for and how long they stay;
only of purposes that are granted. A wish about one of them is fulfilled at once: the next page follows.
"""

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Min
from django.urls import reverse
from django.utils.formats import date_format, number_format
from django.utils.timezone import localtime
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from cms.language.vocabulary import Fact
from cms.models import Page, Site
from consent.holders import About, Impossible, Item, Wish
from consent.models import ConsentState
from consent.state import allowed_by
from personalization import exclusions
from personalization.directory import CompiledSegment, Directory, base_name
from personalization.forgetting import forget_all
from personalization.ingest.pipeline import MAX_ENTRIES, MAX_TEXT, as_type, fits
from personalization.ingest.store import Sender
from personalization.models import Event, Profile, SegmentChange, Trait
from personalization.models.segments import TOPICS
from personalization.portrait import portrait_of
from personalization.profiles import current
from personalization.segments.directory import FEATURES, directory_of
from personalization.telling import tell
from personalization.visitor import BEHAVIOUR, NOTHING_DONE

PAGES: Final = "personalization"
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
        items += [
            _feature(fact, known[fact.name], excluded, ends)
            for fact in FEATURES
            if known.get(fact.name) not in (None, NOTHING_DONE.get(fact.name))
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
    )


def _feature(fact: Fact, value: Any, excluded: frozenset[str], ends: Mapping[str, float]) -> Item:
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
    )


def behaviour_known(subject: uuid.UUID, now: dt.datetime) -> list[Item]:
    """Return all that one did here as one item."""
    granted, ends = _allowed(subject, now)
    rows = Event.objects.filter(subject_key=subject, purposes__overlap=sorted(granted))
    number, first = rows.count(), rows.aggregate(first=Min("happened_at"))["first"]
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
        until=_moment(max((ends[p] for p in purposes if p in ends), default=None)),
        hidden=profile is not None and BEHAVIOUR in profile.excluded,
        deletable=True,
    )
    return [item, *_pages_seen(subject, granted)]


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
    site = _site(subject)
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


def steer_fact(subject: uuid.UUID, name: str, wish: Wish, value: str, now: dt.datetime) -> int:
    """Take a fact out of use or back into it, correct it, or delete it."""
    site = _site(subject)
    if wish in (Wish.HIDE, Wish.SHOW):
        _exclude(subject, name, wish, site, now)
        return 0
    trait = Trait.objects.filter(site=site, key=name).first()
    if trait is None:
        raise Impossible(_("This was worked out. You can hide it, or delete what it was worked out from."))
    if wish is Wish.DELETE:
        _tell(subject, {name: None}, site, now)
        return 1
    _refuse_of_server(trait)
    _tell(subject, {name: typed(trait.type, value)}, site, now)
    return 0


def correct(subject: uuid.UUID, name: str, value: Any, now: dt.datetime) -> None:
    """Set one typed value, as the API sends it, or remove it with None; raises Impossible with a sentence."""
    site = _site(subject)
    trait = Trait.objects.filter(site=site, key=name).first()
    if trait is None:
        raise Impossible(_("There is no fact '%(name)s'.") % {"name": name})
    _refuse_of_server(trait)
    if value is not None and as_type(value, trait.type) is None:
        raise Impossible(_(_NO_VALUE[trait.type]))
    _refuse_too_long(value)
    _tell(subject, {name: value}, site, now)


def _refuse_too_long(value: Any) -> None:
    if fits(value):
        return
    if isinstance(value, str):
        most = number_format(MAX_TEXT, force_grouping=True)
        raise Impossible(_("Write at most %(most)s characters.") % {"most": most})
    raise Impossible(_("Write at most %(most)s entries.") % {"most": MAX_ENTRIES})


def _refuse_of_server(trait: Trait) -> None:
    if trait.source == Trait.Source.SERVER:
        raise Impossible(_("Only the site itself can change this. You can hide it or delete it."))


def _tell(subject: uuid.UUID, traits: Mapping[str, Any], site: Site, now: dt.datetime) -> None:
    outcome = tell(subject, traits, sender=Sender("dashboard", True, site.pk), now=now)
    if outcome.traits or not outcome.accepted:
        raise Impossible(_("This cannot be kept while its purpose is off or paused."))


_NO_VALUE: Final[Mapping[str, str]] = {
    "text": N_("Write a text."),
    "number": N_("Write a number, such as 2 or 3.5."),
    "boolean": N_("Answer yes or no."),
    "date": N_("Write a date, such as 2026-05-01."),
    "list": N_("Write the entries with commas between them."),
}


def typed(kind: str, text: str) -> Any:
    """Return what somebody wrote into a form field as a value of the type; raises Impossible."""
    text = text.strip()
    found: Any = text
    if kind == "number":
        try:
            number = float(text.replace(",", "."))
        except ValueError:
            number = float("nan")
        found = None if number != number or abs(number) == float("inf") else number
        found = int(found) if found is not None and found.is_integer() else found
    elif kind == "boolean":
        found = {"true": True, "false": False}.get(text)
    elif kind == "list":
        found = [part.strip() for part in text.split(",") if part.strip()]
    value = as_type(found, kind) if found not in (None, "") else None
    if value is None:
        raise Impossible(_(_NO_VALUE[kind]))
    _refuse_too_long(found)
    return value


def steer_behaviour(subject: uuid.UUID, name: str, wish: Wish, value: str, now: dt.datetime) -> int:
    """Take all that one did out of use, or back into it, or delete it."""
    if name != BEHAVIOUR:
        raise Impossible(_("There is nothing like it."))
    if wish is Wish.DELETE:
        return forget_all(subject, now)
    if wish is Wish.CORRECT:
        raise Impossible(_("What happened cannot be changed. You can hide it or delete it."))
    _exclude(subject, name, wish, _site(subject), now)
    return 0


def _exclude(subject: uuid.UUID, name: str, wish: Wish, site: Site, now: dt.datetime) -> None:
    hide, show = ([name], []) if wish is Wish.HIDE else ([], [name])
    try:
        exclusions.change(subject, site_id=site.pk, exclude=hide, include=show, now=now)
    except exclusions.NothingLikeIt as error:
        raise Impossible(_("There is nothing like it.")) from error


def _site(subject: uuid.UUID) -> Site:
    row = ConsentState.objects.filter(pk=subject).first()
    return Site.objects.get(pk=row.site_id if row else 1)


# -- segments and topics ------------------------------------------------------------------------------


def segments_known(subject: uuid.UUID, now: dt.datetime) -> list[Item]:
    """Return the segments one is in, those one left, and the delicate topics."""
    site = _site(subject)
    portrait = portrait_of(subject, site=site, now=now)
    if portrait is None:
        return []
    directory = directory_of(site)
    inside = [*portrait.segments, *portrait.contextual]
    left = [key for key in directory.segments if exclusions.SEGMENT + key in portrait.excluded]
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
        exclusions.SEGMENT + segment.key,
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


def steer_segment(subject: uuid.UUID, name: str, wish: Wish, value: str, now: dt.datetime) -> int:
    """Leave a segment or a topic, or come back."""
    if wish not in (Wish.HIDE, Wish.SHOW) or not name.startswith((exclusions.SEGMENT, exclusions.TOPIC)):
        raise Impossible(_("There is nothing like it."))
    _exclude(subject, name, wish, _site(subject), now)
    return 0
