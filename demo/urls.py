"""Routes of the demo; the storefront takes every path that nothing else took."""

from django.conf import settings
from django.urls import path, re_path
from django.views.static import serve

from demo import views

urlpatterns = [
    path("demo/toolbar", views.toolbar),
    path("demo/persona", views.become),
    re_path(
        r"^media/(?P<path>[0-9a-f]{32}\.(?:jpg|png|webp|gif))$", serve, {"document_root": settings.MEDIA_ROOT}
    ),
    path("", views.storefront, name="storefront"),
    path("<path:path>", views.storefront),
]
