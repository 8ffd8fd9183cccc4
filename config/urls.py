"""Every route. Pages first; the storefront last, because it takes any path while the demo is loaded."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from config.views import healthz, readyz
from consent.api.views import ConsentHistoryView, ConsentView
from consent.api.well_known import consent_ledger, gpc
from personalization.api import catalogue, events, pages, preview, profiles, why
from personalization.api.privacy import kept, requests

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/pages/", pages.page, name="page"),
    path("api/v1/pages/<path:path>", pages.page, name="page-at"),
    path("api/v1/decide/", pages.decide, name="decide"),
    path("api/v1/decide/<path:path>", pages.decide, name="decide-at"),
    path("api/v1/preview", preview.PreviewView.as_view(), name="preview"),
    path("api/v1/consent", ConsentView.as_view(), name="consent"),
    path("api/v1/consent/history", ConsentHistoryView.as_view(), name="consent-history"),
    path("api/v1/catalogue/<slug:type_key>", catalogue.CatalogueView.as_view(), name="catalogue"),
    path("api/v1/profiles/<path:who>", profiles.ProfileView.as_view(), name="profile"),
    re_path(
        r"^v1/(?P<call>track|identify|page|screen|group|alias|batch|[tipsgabm])$",
        events.collect,
        name="events",
    ),
    path("beacon/v1/batch", events.collect, {"call": "batch"}, name="events-beacon"),
    path("v1/projects/<str:write_key>/settings", events.settings_of, name="sdk-settings"),
    path("sourceConfig/", events.settings_of, name="sdk-source-config"),
    path("api/v1/privacy/why", why.WhyView.as_view(), name="why"),
    path("api/v1/privacy/profile", kept.KeptView.as_view(), name="kept"),
    path("api/v1/privacy/items", kept.WishView.as_view(), name="kept-item"),
    path("api/v1/privacy/export", requests.ExportView.as_view(), name="export"),
    path("api/v1/privacy/export/<uuid:export_id>", requests.ExportStateView.as_view(), name="export-state"),
    path("api/v1/privacy/erase", requests.EraseView.as_view(), name="erase"),
    path("api/v1/privacy/reset", requests.ResetView.as_view(), name="reset"),
    path("api/v1/privacy/object", requests.ObjectView.as_view(), name="object"),
    path("api/v1/privacy/opt-out", requests.OptOutView.as_view(), name="opt-out"),
    path("api/v1/privacy/limit", requests.LimitView.as_view(), name="limit"),
    path("api/v1/privacy/pause", requests.PauseView.as_view(), name="pause"),
    path("api/v1/privacy/undo", requests.UndoView.as_view(), name="undo"),
    path("api/v1/privacy/requests", requests.RequestsView.as_view(), name="requests"),
    path("privacy/why/", why.why_page, name="privacy-why"),
    path("privacy/", include("consent.dashboard.urls")),
    path(".well-known/consent-ledger.json", consent_ledger, name="consent-ledger"),
    path(".well-known/gpc.json", gpc, name="gpc"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    # browsers ask for it on every page that names no icon of its own
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}demo/icon.png", permanent=True)),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("", include("django_prometheus.urls")),
    path("admin/", admin.site.urls),
    path("", include("demo.urls")),
]
handler403 = "config.views.forbidden"
handler404 = "config.views.not_found"
handler500 = "config.views.broken"
handler400 = "config.views.bad_request"
