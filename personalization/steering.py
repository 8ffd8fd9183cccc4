"""How one steers what is known about oneself: take it out of use or back into it, correct it, delete it.

In: a subject, the name of an item (`knowledge.py`), a wish. Out: how many things were deleted; `Impossible` with a sentence
for a wish that cannot be fulfilled. It holds at once: the next page follows.
"""

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any, Final

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from cms.models import Site
from consent.holders import Impossible, Wish
from personalization import exclusions
from personalization.fold import basis_of
from personalization.forgetting import forget_all, forget_basis
from personalization.handles import SEGMENT, inward
from personalization.ingest.pipeline import MAX_ENTRIES, MAX_TEXT, as_type, fits
from personalization.ingest.store import Sender
from personalization.knowledge import site_of
from personalization.models import Trait
from personalization.segments.directory import FEATURES, directory_of
from personalization.telling import tell
from personalization.visitor import BEHAVIOUR


def steer_fact(subject: uuid.UUID, name: str, wish: Wish, value: str, now: dt.datetime) -> int:
    """Take a fact out of use or back into it, correct it, or delete it."""
    site = site_of(subject)
    if wish in (Wish.HIDE, Wish.SHOW):
        _exclude(subject, name, wish, site, now)
        return 0
    trait = Trait.objects.filter(site=site, key=name).first()
    if trait is None:
        return _steer_feature(subject, name, wish, now)
    if wish is Wish.DELETE:
        _tell(subject, {name: None}, site, now)
        return 1
    _refuse_of_server(trait)
    _tell(subject, {name: typed(trait.type, value)}, site, now)
    return 0


def _steer_feature(subject: uuid.UUID, name: str, wish: Wish, now: dt.datetime) -> int:
    """Delete what a computed fact was worked out from; otherwise it would be worked out again."""
    if name not in {fact.name for fact in FEATURES}:
        raise Impossible(_("There is nothing like it."))
    if wish is not Wish.DELETE:
        raise Impossible(_("This was worked out. Say what is wrong with it, hide it or delete it."))
    return forget_basis(subject, basis_of(name), now)


def correct(subject: uuid.UUID, name: str, value: Any, now: dt.datetime) -> None:
    """Set one typed value, as the API sends it, or remove it with None; raises Impossible with a sentence."""
    site = site_of(subject)
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
        raise Impossible(
            _("Only the site itself can change this. Say what is wrong with it, hide it or delete it.")
        )


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
    _exclude(subject, name, wish, site_of(subject), now)
    return 0


def _exclude(subject: uuid.UUID, name: str, wish: Wish, site: Site, now: dt.datetime) -> None:
    try:
        name = inward(name, directory_of(site))
        hide, show = ([name], []) if wish is Wish.HIDE else ([], [name])
        exclusions.change(subject, site_id=site.pk, exclude=hide, include=show, now=now)
    except (LookupError, exclusions.NothingLikeIt) as error:
        raise Impossible(_("There is nothing like it.")) from error


def steer_segment(subject: uuid.UUID, name: str, wish: Wish, value: str, now: dt.datetime) -> int:
    """Leave a segment or a topic, or come back."""
    if wish not in (Wish.HIDE, Wish.SHOW) or not name.startswith((SEGMENT, exclusions.TOPIC)):
        raise Impossible(_("There is nothing like it."))
    _exclude(subject, name, wish, site_of(subject), now)
    return 0
