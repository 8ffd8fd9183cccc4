"""The ASGI entry point, for streams only; pages are served through WSGI (docs/explanation/performance.md)."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_asgi_application()
from consent.seal import refuse_without_keys  # noqa: E402  # models can be read only now

refuse_without_keys()
