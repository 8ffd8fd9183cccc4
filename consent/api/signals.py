"""Signals: what a browser or a platform says about consent beside a decision, and what others are told of it.

In: a request. Out: the purposes that its signals refuse. Global Privacy Control is the first signal; consent platforms, TCF
and GPP strings register here as further ones. What others understand of our state: Google's Consent Mode (version 2).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest

from consent.api.asking import sends_gpc
from consent.models import Purpose
from consent.purposes import covered_by_gpc


@dataclass(frozen=True, slots=True)
class Signal:
    """`is_sent(request)` says whether it came along; `refuses(site_id)` which purposes it then closes."""

    name: str
    is_sent: Callable[[HttpRequest], bool]
    refuses: Callable[[int], frozenset[str]]


GPC: Final = Signal("gpc", sends_gpc, covered_by_gpc)
_signals: dict[str, Signal] = {GPC.name: GPC}
_NONE: Final[frozenset[str]] = frozenset()


def register_signal(signal: Signal) -> None:
    """Add a signal; a second one of the same name is a mistake."""
    if _signals.get(signal.name, signal) != signal:
        raise ValueError(f"There are two signals named '{signal.name}'.")
    _signals[signal.name] = signal


def signals_of(request: HttpRequest) -> dict[str, bool]:
    """Return the name of every signal, and whether this request carries it."""
    return {signal.name: signal.is_sent(request) for signal in _signals.values()}


def refused_by(closed: frozenset[str], states: Mapping[str, str]) -> dict[str, str]:
    """Return states as they hold for a request whose signals close these purposes."""
    return {
        key: "refused" if key in closed and state == "granted" else state for key, state in states.items()
    }


def closed_by_signals(request: HttpRequest, site_id: int) -> frozenset[str]:
    """Return the purposes that this request refuses, whatever was decided before."""
    closed = _NONE
    for signal in _signals.values():
        if signal.is_sent(request):
            closed |= signal.refuses(site_id)
    return closed


def gpc_of(request: HttpRequest, told: object) -> bool:
    """Say whether Global Privacy Control is on: by the header, else by what a script read from the browser."""
    if "HTTP_SEC_GPC" in request.META:
        return sends_gpc(request)
    return told is True


def consent_mode(purposes: Iterable[Purpose], states: Mapping[str, str], *, gpc: bool) -> dict[str, str]:
    """Return the state of each type of Google's Consent Mode: granted where all purposes that name it are.

    Types and words are those of Google's consent API (`gtag('consent', 'update', …)`).
    """
    mode: dict[str, str] = {}
    for purpose in purposes:
        open_ = states.get(purpose.key) == "granted" and not (gpc and purpose.gpc_applies)
        for kind in purpose.consent_mode:
            mode[kind] = "granted" if open_ and mode.get(kind, "granted") == "granted" else "denied"
    return mode
