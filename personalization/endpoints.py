"""Where webhooks go: an endpoint's secret, its health, and when it is switched off.

A secret is shown when it is made and never again; it is kept encrypted. While a new one takes over, both sign.
"""

import base64
import datetime as dt
import secrets as randomness
from typing import Final

from django.conf import settings
from django.db.models import F

from consent.seal import unwrap, wrap
from personalization.addresses import Policy
from personalization.announcements import GIVES_UP_AFTER, pause_after
from personalization.models import WebhookDelivery, WebhookEndpoint

OVERLAP: Final = dt.timedelta(hours=24)
_BYTES: Final = 24


def policy() -> Policy:
    """Return what may be called, as the settings say."""
    return Policy(settings.WEBHOOK_ALLOW_PRIVATE, frozenset(settings.WEBHOOK_PORTS))


def new_secret(endpoint: WebhookEndpoint) -> str:
    """Give an endpoint its first secret and return it; the caller saves the row."""
    made = _made()
    endpoint.secret = wrap(made.encode())
    return made


def rotate_secret(endpoint: WebhookEndpoint, *, now: dt.datetime) -> str:
    """Give an endpoint a new secret and return it; the one before signs beside it for a day."""
    endpoint.previous_secret, endpoint.previous_until = endpoint.secret, now + OVERLAP
    made = new_secret(endpoint)
    endpoint.save(update_fields=["secret", "previous_secret", "previous_until"])
    return made


def _made() -> str:
    return f"whsec_{base64.b64encode(randomness.token_bytes(_BYTES)).decode()}"


def secrets_of(endpoint: WebhookEndpoint, *, now: dt.datetime) -> list[str]:
    """Return the secrets that sign now, the newest first."""
    kept = [endpoint.secret]
    if endpoint.previous_secret and endpoint.previous_until and endpoint.previous_until > now:
        kept.append(endpoint.previous_secret)
    return [unwrap(bytes(one)).decode() for one in kept]


def note_success(endpoint: WebhookEndpoint) -> None:
    """Forget that an endpoint was failing."""
    failing = WebhookEndpoint.objects.filter(pk=endpoint.pk, failing_since__isnull=False)
    failing.update(failing_since=None, failures=0, paused_until=None)


def note_failure(
    endpoint: WebhookEndpoint, *, silent: bool, now: dt.datetime, wait_seconds: int | None = None
) -> None:
    """Note a failure; one that is `silent` (no answer, or a server's error) leaves the endpoint alone for a while."""
    rows = WebhookEndpoint.objects.filter(pk=endpoint.pk)
    rows.filter(failing_since__isnull=True).update(failing_since=now)
    if silent:
        rows.update(failures=F("failures") + 1)
        endpoint.refresh_from_db(fields=["failures"])
        pause = pause_after(endpoint.failures)
        asked = dt.timedelta(seconds=min(wait_seconds or 0, 3600))
        rows.update(paused_until=now + max(pause, asked))
    endpoint.refresh_from_db(fields=["failing_since"])
    if endpoint.failing_since and now - endpoint.failing_since >= GIVES_UP_AFTER:
        switch_off(endpoint, f"It failed for {GIVES_UP_AFTER.days} days without one success.", now=now)


def switch_off(endpoint: WebhookEndpoint, reason: str, *, now: dt.datetime) -> None:
    """Send nothing there any more, with a reason that the office sees; what still waited has failed."""
    rows = WebhookEndpoint.objects.filter(pk=endpoint.pk, active=True)
    if rows.update(active=False, disabled_at=now, disabled_reason=reason):
        waiting = WebhookDelivery.objects.filter(endpoint=endpoint, state=WebhookDelivery.State.WAITING)
        waiting.update(
            state=WebhookDelivery.State.FAILED, error=f"The endpoint was switched off: {reason}", done_at=now
        )


def switch_on(endpoint: WebhookEndpoint) -> None:
    """Let an endpoint be told again, from now on."""
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        active=True, disabled_at=None, disabled_reason="", failing_since=None, failures=0, paused_until=None
    )
