"""What the admin tells an editor: problems with their places, badges of states, dates as people read them."""

import datetime as dt
from collections.abc import Iterable

from django.contrib import messages
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from cms.language.nodes import Problem

LOOKS = {"good": "badge badge--good", "open": "badge badge--open", "bad": "badge badge--bad", "": "badge"}


def say_refused(request: HttpRequest, sentence: str, problems: Iterable[Problem]) -> None:
    """Show what stands in the way: a sentence, and each problem with its place."""
    messages.error(request, format_html("{}{}", sentence, listed(problems)))


def listed(problems: Iterable[Problem]) -> SafeString:
    """Return problems as a list; a problem without a place speaks of the whole."""
    rows = ((f"{p.pointer}: " if p.pointer else "", p.message) for p in problems)
    return format_html('<ul class="problems">{}</ul>', format_html_join("", "<li>{}{}</li>", rows))


def badge(text: str, look: str = "") -> SafeString:
    """Return a short state; `look` is good, open, bad or nothing."""
    return format_html('<span class="{}">{}</span>', LOOKS[look], text)


def when(moment: dt.datetime | None, otherwise: str = "never") -> str:
    """Return a moment as people read it."""
    return date_format(localtime(moment), "DATETIME_FORMAT") if moment else otherwise
