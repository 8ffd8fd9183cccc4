"""Where folding fails on purpose, when the fault tests want it: `FAULT=poison:NAME` fails over events of that name."""

from collections.abc import Iterable

from django.conf import settings

from cms.language.behaviour.events import Happened


class Poisoned(RuntimeError):
    """The failure that the fault tests asked for."""


def fail_over(events: Iterable[Happened]) -> None:
    """Raise over an event that is poison."""
    kind, _, name = settings.FAULT.partition(":")
    if kind == "poison" and any(event.name == name for event in events):
        raise Poisoned
