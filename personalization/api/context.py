"""Context facts of a request: device, locale, country, local time, campaign. Never personal.

In: a request and the names that a plan reads. Out: only these. What a key with the scope `deliver` sets in
`X-Context` wins over what the request says itself.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import ValidationError

from personalization.delivery import Context, local_time
from personalization.devices import device_of
from personalization.plan import BoundPlan
from personalization.plans import SiteFacts

MAX_CONTEXT_BYTES = 4096
SETTABLE = ("device", "locale", "country", "time", "weather", "referrer", "campaign")

_READERS: Mapping[str, Callable[[HttpRequest], Any]] = {
    "context.device": lambda r: device_of(r.headers.get("User-Agent", ""), r.headers.get("Sec-CH-UA-Mobile")),
    "context.country": lambda r: (
        r.headers.get(settings.TRUSTED_COUNTRY_HEADER, "")[:2].upper() or None
        if settings.TRUSTED_COUNTRY_HEADER
        else None
    ),
    "context.referrer": lambda r: r.headers.get("Referer", "")[:500] or None,
    "context.campaign": lambda r: r.GET.get("utm_campaign", "")[:200] or None,
}


def context_of(request: HttpRequest, stated: Mapping[str, Any]) -> Context:
    """Return a function that reads the context facts of a plan from this request."""

    def read(plan: BoundPlan, site: SiteFacts) -> tuple[Mapping[str, Any], dt.datetime]:
        if not (plan.reads_the_clock or plan.context_names):
            return {}, dt.datetime.now(dt.UTC)  # whose zone nobody looks at
        now = moment_of(request, stated, site)
        values = {name: value(request, name, plan, now, stated) for name in plan.context_names}
        return values, now

    return read


def value(
    request: HttpRequest, name: str, plan: BoundPlan, now: dt.datetime, stated: Mapping[str, Any]
) -> Any:
    """Return one context fact."""
    short = name.removeprefix("context.")
    if short in ("hour", "weekday", "time"):
        return clock_facts(now)[name]
    if short in stated:
        return stated[short]
    if short == "locale":
        return plan.locale
    if short == "path":
        return plan.path
    reader = _READERS.get(name)
    return reader(request) if reader else None


def clock_facts(now: dt.datetime) -> dict[str, Any]:
    """Return hour, weekday and time of a local moment."""
    return {
        "context.hour": now.hour,
        "context.weekday": now.isoweekday(),
        "context.time": now.strftime("%H:%M"),
    }


def moment_of(request: HttpRequest, stated: Mapping[str, Any], site: SiteFacts) -> dt.datetime:
    """Return the visitor's local time: what a key states, else the clock in `X-Time-Zone`, else in the site's zone."""
    if "time" in stated:
        moment: dt.datetime = stated["time"]
        return moment
    zone = request.headers.get("X-Time-Zone", "")
    return local_time(dt.datetime.now(dt.UTC).timestamp(), zone if 0 < len(zone) <= 64 else site.time_zone)


def parse_context(source: str | bytes | Mapping[str, Any]) -> dict[str, Any]:
    """Read `X-Context`; raises ValidationError with the attribute that is wrong."""
    if isinstance(source, str | bytes):
        if len(source) > MAX_CONTEXT_BYTES:
            raise ValidationError({"X-Context": "The context is larger than 4 KB."}, "too_large")
        try:
            source = orjson.loads(source)
        except orjson.JSONDecodeError as error:
            raise ValidationError({"X-Context": "The context is not JSON."}, "invalid") from error
    if not isinstance(source, Mapping):
        raise ValidationError({"X-Context": "The context is an object."}, "invalid")
    for key, one in source.items():
        if key not in SETTABLE:
            raise ValidationError({key: f"The context has no '{key}'."}, "unknown_field")
        if not isinstance(one, str) or len(one) > 500:
            raise ValidationError({key: "Send text."}, "invalid")
    stated = dict(source)
    if "time" in stated:
        stated["time"] = _time(stated["time"])
    if "device" in stated and stated["device"] not in ("mobile", "tablet", "desktop", "other"):
        raise ValidationError({"device": "A device is mobile, tablet, desktop or other."}, "invalid")
    return stated


def _time(text: str) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ValidationError(
            {"time": "Send a time such as 2026-11-22T07:30:00+01:00."}, "invalid"
        ) from error
    if not 1970 <= moment.year < 9000:  # near the calendar's ends no time zone can be applied any more
        raise ValidationError({"time": "Send a time of these days."}, "invalid")
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
