"""How a privacy request looks in a row: whose it is, how much time is left, how far it is."""

import datetime as dt
from typing import Final

from django.utils.html import format_html
from django.utils.safestring import SafeString

from cms.admin.notes import badge
from consent.deadlines import clock
from consent.models import PrivacyRequest
from consent.overview import is_overdue
from consent.rights import OPEN, State

SOON: Final = dt.timedelta(days=7)
LOOKS: Final = {State.DONE: "good", State.READY: "good", State.FAILED: "bad"}


def pseudonym(row: PrivacyRequest) -> str:
    """Return how a person is called here."""
    return f"{row.subject_key.hex[:8]}…" if row.subject_key else "erased since"


def clock_badge(row: PrivacyRequest, *, now: dt.datetime) -> SafeString:
    """Return how much time is left; once it is answered, whether that was in time."""
    if row.state not in OPEN:
        late = row.done_at is not None and row.done_at > row.due_at
        return format_html('<span class="quiet">{}</span>', "answered late" if late else "answered in time")
    said = clock(row.due_at, now)
    if is_overdue(row, now=now):
        icon = '<span class="badge badge--bad"><span class="material-symbols-outlined" aria-hidden="true">alarm</span> {}</span>'
        return format_html(icon, said)
    return badge(said, "open" if row.due_at - now < SOON else "")


def state_badge(row: PrivacyRequest) -> SafeString:
    """Return how far a request is."""
    return badge(row.get_state_display(), LOOKS.get(State(row.state), "open" if row.state in OPEN else ""))
