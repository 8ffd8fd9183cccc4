"""The five minutes of the README, walked word for word: its bundle loads, its answers hold."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from personalization.bundle import load_bundle
from personalization.models import ApiKey
from tests.builders import committing, the_site

README: Path = settings.BASE_DIR / "README.md"
EXAMPLES = re.findall(r"^```json\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def holds(answer: Any, example: Any) -> bool:
    """Say whether an answer has everything that an example shows, and perhaps more."""
    if isinstance(example, dict):
        return isinstance(answer, dict) and all(
            k in answer and holds(answer[k], v) for k, v in example.items()
        )
    if isinstance(example, list):
        same_length = isinstance(answer, list) and len(answer) == len(example)
        return same_length and all(map(holds, answer, example))
    return bool(answer == example)


def send(client: Client, method: str, path: str, content: Any = None, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with committing():
        response = client.generic(
            method, path, orjson.dumps(content), content_type="application/json", headers=named
        )
    assert response.status_code == 200, response.content
    return orjson.loads(response.content)


@pytest.mark.django_db
def test_the_first_page_of_the_readme() -> None:
    bundle, nobody, agreed, told, known, withdrawn = map(json.loads, EXAMPLES)
    with committing():
        report = load_bundle(bundle, now=timezone.now(), publish=True)
    assert report.problems == []
    _, key = ApiKey.objects.create_key(name="first-page", site=the_site(), scopes=["ingest"])
    client = Client()

    assert holds(send(client, "GET", "/api/v1/pages/hello"), nobody)

    choice = {"purposes": {"personalization": True}, "notice": "1"}
    answer = send(Client(), "PUT", "/api/v1/consent", choice)
    assert holds(answer, agreed)
    visitor = {"X_Visitor": answer["token"]}

    basic = base64.b64encode(f"{key}:".encode()).decode()
    traits = {"anonymousId": answer["visitor_id"], "traits": {"activity": "hiking", "given_name": "Ada"}}
    assert send(client, "POST", "/v1/identify", traits, Authorization=f"Basic {basic}") == told

    assert holds(send(client, "GET", "/api/v1/pages/hello", **visitor), known)

    send(client, "PUT", "/api/v1/consent", {"purposes": {"personalization": False}, "notice": "1"}, **visitor)
    assert holds(send(client, "GET", "/api/v1/pages/hello", **visitor), withdrawn)


@pytest.mark.django_db
def test_loading_the_readme_twice_changes_nothing() -> None:
    bundle = json.loads(EXAMPLES[0])
    with committing():
        load_bundle(bundle, now=timezone.now(), publish=True)
    with committing():
        again = load_bundle(bundle, now=timezone.now(), publish=True)
    assert not any(again.changed.values())
