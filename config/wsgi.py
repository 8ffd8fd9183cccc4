"""The WSGI entry point: one process, two middleware stacks.

Delivery answers behind `settings.DELIVERY_MIDDLEWARE`, everything else behind `settings.MIDDLEWARE`.
Django knows one stack per handler, so there are two handlers and a look at the path.
"""

import os
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class DeliveryHandler(WSGIHandler):
    """Django's handler, loaded with the short middleware list."""

    def load_middleware(self, is_async: bool = False) -> None:
        full = settings.MIDDLEWARE
        settings.MIDDLEWARE = settings.DELIVERY_MIDDLEWARE
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = full


_everything = get_wsgi_application()
from consent.seal import refuse_without_keys  # noqa: E402  # models can be read only now

refuse_without_keys()
_delivery = DeliveryHandler()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    handler = _delivery if environ.get("PATH_INFO", "").startswith(settings.DELIVERY_PATHS) else _everything
    return handler(environ, start_response)
