"""The privacy desk: what waits, whether the ledger is tied down, the records of processing, and how people decide.

In: the consent application's own summaries. Out: three pages and a table for spreadsheets. Nobody is named on them.
"""

import csv
import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString

from cms.admin.charts import bars, two_lines
from cms.models.site import current_site
from consent import overview, processing, trends
from consent.exports import harmless
from consent.holders import holders
from consent.models import Purpose
from consent.purposes import asked_for
from personalization.admin.clocks import clock_badge, pseudonym, state_badge

SHOWN: Final = 10  # requests on the first page
LEVELS: Final = {
    1: "far too personal",
    2: "a little too personal",
    3: "just right",
    4: "could be more personal",
    5: "not personal enough",
}
COLUMNS: Final = (
    "store", "model", "what is kept", "purposes", "legal basis", "how long", "who answers for it", "people now", "controller",
)  # fmt: skip


def urls(admin_site: Any) -> list[URLPattern]:
    """Return the pages of the desk, for whoever sees the requests."""

    def page(view: Any) -> Any:
        def shown(request: HttpRequest) -> HttpResponse:
            if not request.user.has_perm("consent.view_privacyrequest"):
                raise PermissionDenied
            answer: HttpResponse = view(admin_site, request)
            return answer

        return admin_site.admin_view(shown)

    return [
        path("desk/", page(desk_view), name="consent_desk"),
        path("desk/processing/", page(processing_view), name="consent_processing"),
        path("desk/processing.csv", page(processing_csv), name="consent_processing_csv"),
        path("desk/rates/", page(rates_view), name="consent_rates"),
    ]


def _context(admin_site: Any, request: HttpRequest, title: str) -> dict[str, Any]:
    return {**admin_site.each_context(request), "title": title}


def desk_view(admin_site: Any, request: HttpRequest) -> HttpResponse:
    """Show what needs the office today."""
    now, site_id = timezone.now(), current_site().pk
    waiting = list(overview.open_requests())
    titles = {one.name: one.title for one in holders()}
    shown = {
        **_context(admin_site, request, "Privacy desk"),
        "requests": [
            (row, pseudonym(row), clock_badge(row, now=now), state_badge(row)) for row in waiting[:SHOWN]
        ],
        "open": len(waiting),
        "overdue": sum(overview.is_overdue(row, now=now) for row in waiting),
        "ledger": overview.ledger(),
        "failed": [(titles.get(name, name), n) for name, n in overview.failed_duties().items()],
        "asked": asked_for(site_id),
        "notice": overview.last_notice(site_id),
    }
    return render(request, "admin/consent/desk.html", shown)


# -- records of processing ------------------------------------------------------------------------------


def processing_view(admin_site: Any, request: HttpRequest) -> HttpResponse:
    """Show the records of processing activities."""
    shown = {
        **_context(admin_site, request, "Records of processing"),
        "records": processing.records(site_id=current_site().pk),
        "plain": processing.not_personal(),
        "controller": settings.CONTROLLER,
        "now": timezone.now(),
    }
    return render(request, "admin/consent/processing.html", shown)


def processing_csv(admin_site: Any, request: HttpRequest) -> HttpResponse:
    """Answer the records as a table."""
    answer = HttpResponse("\ufeff", content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="records-of-processing.csv"'
    answer["Cache-Control"] = "private, no-store"
    writer = csv.writer(answer)
    writer.writerow(COLUMNS)
    writer.writerows(_cells(one) for one in processing.records(site_id=current_site().pk))
    return answer


def _cells(one: processing.Record) -> list[str]:
    controller = ", ".join(filter(None, (settings.CONTROLLER["name"], settings.CONTROLLER["address"])))
    purposes = [why.title for why in one.purposes] + ([one.rule] if one.rule else [])
    bases = dict.fromkeys(why.basis for why in one.purposes)
    cells = (
        one.title, one.model, ", ".join(one.fields), "; ".join(purposes), "; ".join(bases), one.kept, one.holder,
        str(one.people), controller,
    )  # fmt: skip
    return [harmless(cell) for cell in cells]


# -- how people decide ----------------------------------------------------------------------------------


def rates_view(admin_site: Any, request: HttpRequest) -> HttpResponse:
    """Show how often people allow and refuse, and how personal the site feels."""
    now, site_id = timezone.now(), current_site().pk
    rows = trends.decisions(site_id=site_id, now=now)
    titles = {one.key: str(one) for one in Purpose.objects.filter(site_id=site_id)}
    by_version = trends.by_version(rows)
    felt = trends.feelings(site_id=site_id, now=now)
    shown = {
        **_context(admin_site, request, "Consent over time"),
        "versions": [
            (titles.get(key, key), notice or "none", *_told(rate))
            for wanted in _in_order({key for key, _ in by_version}, titles)
            for (key, notice), rate in by_version.items()
            if key == wanted
        ],
        "curves": list(_curves(rows, titles, now)),
        "felt": bars([(LEVELS[one], n) for one, n in felt.items()], title="Answers", fewest=trends.FEW)
        if any(felt.values())
        else "",
        "days": trends.DAYS,
        "few": trends.FEW,
    }
    return render(request, "admin/consent/rates.html", shown)


def _told(rate: trends.Rate) -> tuple[str, str, str]:
    return trends.told(rate.granted), trends.told(rate.closed), rate.share


def _curves(
    rows: Sequence[trends.Decided], titles: dict[str, str], now: dt.datetime
) -> Iterator[tuple[str, SafeString, list[tuple[dt.date, str, str, str]]]]:
    """Yield each purpose that was decided about: its title, its picture, and the same as a table, the newest first."""
    first = trends.first_day(now)
    days = [first + dt.timedelta(days=n) for n in range(trends.DAYS)]
    for key in _in_order({row.purpose for row in rows}, titles):
        found, title = trends.by_day(rows, key), titles.get(key, key)
        counts = [found.get(day, trends.Rate()) for day in days]
        granted, closed = [_drawn(one.granted) for one in counts], [_drawn(one.closed) for one in counts]
        picture = two_lines(
            [f"{day:%-d %b}" for day in days],
            ("allowed", granted),
            ("refused or withdrawn", closed),
            title=f"{title} by day",
        )
        drawn = picture if any((*granted, *closed)) else SafeString()
        yield title, drawn, [(day, *_told(found[day])) for day in sorted(found, reverse=True)]


def _in_order(keys: Collection[str], titles: Mapping[str, str]) -> list[str]:
    """Return keys in the order of the notice, those that are no purpose any more behind them."""
    return [key for key in titles if key in keys] + sorted(set(keys) - titles.keys())


def _drawn(number: int) -> int:
    return number if number >= trends.FEW else 0
