"""`check_personalization`: every published page resolves, whoever asks; exit 1 with the places otherwise.

Each page is decided in each locale, at this moment, for nobody, for each consent state, for an empty profile, for each
purpose alone and for a member of each segment, by the calls that a preview makes; the answer is made as JSON and HTML.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rest_framework.exceptions import APIException

from cms.models import Page, Site
from cms.models.site import current_site
from consent.models import Purpose
from personalization.api.pages import html_of
from personalization.api.preview import as_json, preview
from personalization.assemble import Decision
from personalization.plans import plan_store, read_site

BROKEN = ("error", "timeout")
CLOSED_STATES = ("unset", "refused", "withdrawn", "expired")


class Command(BaseCommand):
    help = "Check that every published page resolves for everybody."

    def handle(self, *args: Any, **options: Any) -> None:
        site = current_site()
        askers, faults, decided = asking(), [], 0
        for path in served_paths(site):
            for locale in site.locales:
                for name, asker in askers.items():
                    decided += 1
                    place = f"{path} ({locale}), {name}"
                    faults += [
                        f"{place}: {fault}" for fault in faults_of({**asker, "path": path, "locale": locale})
                    ]
        for fault in faults:
            self.stderr.write(fault)
        if faults:
            raise CommandError(f"{len(faults)} of {decided} answers are not as they should be.")
        self.stdout.write(f"{decided} answers are as they should be.")


def served_paths(site: Site) -> list[str]:
    """Return the paths that something is served at now."""
    facts, now = read_site(), timezone.now().timestamp()
    paths = Page.objects.filter(site=site, published__isnull=False).values_list("path", flat=True)
    return [path for path in paths if plan_store.find(facts, path, site.default_locale, now=now)]


def asking() -> dict[str, Mapping[str, Any]]:
    """Return who asks: a name → what a preview of that person prescribes."""
    purposes = list(Purpose.objects.filter(active=True).values_list("key", flat=True))
    everything = dict.fromkeys(purposes, True)
    askers: dict[str, Mapping[str, Any]] = {"nobody": {}}
    askers |= {f"everything {state}": {"consent": dict.fromkeys(purposes, False)} for state in CLOSED_STATES}
    askers["everything granted, an empty profile"] = {"consent": everything}
    askers |= {f"{purpose} alone granted": {"consent": {purpose: True}} for purpose in purposes}
    segments = plan_store.directory(read_site()).segments
    askers |= {f"in segment {key}": {"consent": everything, "segments": [key]} for key in segments}
    return askers


def faults_of(asked: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with one answer."""
    try:
        decision = preview(asked, now=timezone.now())
        answer = as_json(decision)
        html_of(decision)
    except APIException as error:
        yield str(error.detail)
    except Exception as error:  # noqa: BLE001  # whatever goes wrong is what this command is there to tell
        yield f"{type(error).__name__}: {error}"
    else:
        yield from _faults(decision, answer)


def _faults(decision: Decision, answer: Mapping[str, Any]) -> Iterator[str]:
    for placement, (_, reason) in zip(decision.plan.placements, decision.choices, strict=True):
        if reason in BROKEN:
            yield f"placement {placement.key} ends in '{reason}'"
    for slot, _, indexes in decision.plan.layouts[decision.layout].slots:
        if indexes and not answer["slots"][slot] and not _may_hide(decision, indexes):
            yield f"slot {slot} is empty, though its placements show blocks"


def _may_hide(decision: Decision, indexes: tuple[int, ...]) -> bool:
    """Say whether an editor hid one of the placements on purpose."""
    chosen = [decision.plan.placements[i].variants[decision.choices[i][0]] for i in indexes]
    program = {p["key"]: p["variants"] for p in decision.plan.program["placements"]}
    keys = [decision.plan.placements[i].key for i in indexes]
    return any(
        stored["key"] == variant.key and stored["kind"] == "hide"
        for key, variant in zip(keys, chosen, strict=True)
        for stored in program[key]
    )
