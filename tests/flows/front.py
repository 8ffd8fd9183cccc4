"""A frontend: speaks HTTP with the whole application, as `config/wsgi.py` dispatches it.

Delivery answers behind its own short middleware list, everything else behind Django's. What waits for a commit runs
when a request ends, as it does in the server; the test's own transaction never commits.
"""

import base64
import gzip
import json
import uuid
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.http import HttpResponse
from django.test import Client, override_settings
from django.test.client import ClientHandler

from personalization.models import ApiKey
from tests.builders import committing, the_site


class _Delivery(ClientHandler):
    """Django's test handler behind the middleware of delivery."""

    def load_middleware(self, is_async: bool = False) -> None:
        with override_settings(MIDDLEWARE=settings.DELIVERY_MIDDLEWARE):
            super().load_middleware(is_async)


class _Everything(ClientHandler):
    """Both handlers behind one look at the path, as in `config/wsgi.py`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.delivery = _Delivery(**options)

    def load_middleware(self, is_async: bool = False) -> None:
        Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)  # collected where a system is deployed
        super().load_middleware(is_async)

    def __call__(self, environ: dict[str, Any]) -> HttpResponse:
        with committing():
            if environ["PATH_INFO"].startswith(settings.DELIVERY_PATHS):
                return self.delivery(environ)
            return super().__call__(environ)


@cache
def application() -> _Everything:
    """Return the application, whose middleware is loaded once."""
    return _Everything(enforce_csrf_checks=False)


class Front(Client):
    """One browser, or one back end: keeps cookies, and the token of the last decision."""

    def __init__(self, **options: Any) -> None:
        super().__init__(raise_request_exception=False, **options)
        self.handler = application()
        self.token: str | None = None
        self.visitor: str | None = None

    def page(self, path: str = "/", *, key: str = "", known: bool = True, **headers: str) -> HttpResponse:
        """Ask for a page; `known` sends the visitor's token."""
        return self.get(f"/api/v1/pages{path}", headers=self._headers(key, known, headers))

    def slots(self, path: str = "/", **options: Any) -> dict[str, Any]:
        """Return placement → (variant, reason, fields) of a page."""
        answer = self.page(path, **options)
        assert answer.status_code == 200, answer.content
        slots = orjson.loads(answer.content)["slots"]
        return {one["placement"]: one for listed in slots.values() for one in listed}

    def variant(self, path: str = "/", placement: str = "", **options: Any) -> tuple[str, str]:
        """Return the variant of a placement (the page's first), and its reason."""
        found = self.slots(path, **options)
        one = found[placement] if placement else next(iter(found.values()))
        return one["variant"], one["reason"]

    def notice(self) -> str:
        """Return the version of the notice that is asked now."""
        version: str = self.get("/api/v1/consent").json()["notice"]["version"]
        return version

    def ask(self) -> dict[str, Any]:
        """Return whether this browser is to be asked, and why."""
        asked: dict[str, Any] = self.get("/api/v1/consent", headers=self._headers("", True, {})).json()["ask"]
        return asked

    def decide(self, *, known: bool = True, headers: dict[str, str] | None = None, **purposes: bool) -> Any:
        """Allow or refuse purposes with the current notice, and remember the token."""
        body = {"purposes": purposes, "notice": self.notice()}
        answer = self.change(body, headers=self._headers("", known, headers or {}))
        if answer.status_code == 200 and answer.json()["token"]:
            self.token, self.visitor = answer.json()["token"], answer.json()["visitor_id"]
        return answer

    def change(self, body: Any, *, headers: dict[str, str] | None = None) -> Any:
        """Send a body to the consent door."""
        return self.put("/api/v1/consent", body, content_type="application/json", headers=headers or {})

    def send(self, key: str, call: str, *, kind: str = "application/json", **body: Any) -> Any:
        """Send one call of the event API in this visitor's name."""
        named = {"anonymousId": self.visitor, "messageId": uuid.uuid4().hex} | body
        return self.post_events(f"/v1/{call}", json.dumps(named).encode(), key, kind=kind)

    def post_events(self, path: str, body: bytes, key: str, *, kind: str = "application/json") -> Any:
        """Post bytes to the event door with the key by Basic auth."""
        basic = base64.b64encode(f"{key}:".encode()).decode()
        return self.post(path, body, content_type=kind, headers={"Authorization": f"Basic {basic}"})

    def buys(self, key: str, *, times: int = 1, **message: Any) -> None:
        """Let this visitor order something a few times."""
        products = [{"product_id": "trail-socks", "category": "hiking", "quantity": 1}]
        for _ in range(times):
            answer = self.send(
                key,
                "track",
                event="Order Completed",
                properties={"revenue": 20, "products": products},
                **message,
            )
            assert answer.json()["accepted"] == 1, answer.content

    def tells(self, key: str, **traits: Any) -> Any:
        """Let this visitor say something of themselves."""
        return self.send(key, "identify", traits=traits)

    def _headers(self, key: str, known: bool, headers: dict[str, str]) -> dict[str, str]:
        made = {name.replace("_", "-"): text for name, text in headers.items()}
        if known and self.token:
            made.setdefault("X-Visitor", self.token)
        if key:
            made["Authorization"] = f"Api-Key {key}"
        return made


def make_key(*scopes: str) -> str:
    """Make a key and return its text."""
    _, key = ApiKey.objects.create_key(name="test", site=the_site(), scopes=list(scopes))
    text: str = key
    return text


def zipped(body: Any) -> bytes:
    """Return a body as the SDKs for servers send it."""
    return gzip.compress(orjson.dumps(body))


def agreed(**purposes: bool) -> Front:
    """Return somebody who allowed these purposes, by default personal content."""
    front = Front()
    answer = front.decide(**(purposes or {"personalization": True}))
    assert answer.status_code == 200, answer.content
    front.cookies.clear()
    return front
