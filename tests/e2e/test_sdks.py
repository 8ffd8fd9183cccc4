"""The browser SDKs of Segment and RudderStack, unmodified, on a page of another origin."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import APIRequestContext, Page, Playwright, Route, expect

from tests.e2e.files import serving
from tests.e2e.running import ROOT, System

pytestmark = pytest.mark.e2e


@pytest.fixture
def api(playwright: Playwright, system: System) -> Iterator[APIRequestContext]:
    context = playwright.request.new_context(base_url=system.address)
    yield context
    context.dispose()


@pytest.fixture
def elsewhere() -> Iterator[str]:
    with serving(Path(ROOT, "tests", "e2e", "sdks")) as address:
        yield address


def key_of(system: System, *scopes: str) -> str:
    named = [part for scope in scopes for part in ("--scope", scope)]
    return system.manage("api_key", "create", "sdk", *named).splitlines()[-1]


def agree(api: APIRequestContext) -> str:
    """Agree, as the page's own server would let its visitor do; return the visitor."""
    notice = api.get("/api/v1/consent").json()["notice"]["version"]
    purposes = {"personalization": True, "analytics": True}
    visitor: str = api.put("/api/v1/consent", data={"purposes": purposes, "notice": notice}).json()[
        "visitor_id"
    ]
    return visitor


@pytest.mark.parametrize("sdk", ["segment", "rudderstack"])
def test_an_sdk_sends_every_call_from_another_origin(
    sdk: str, page: Page, api: APIRequestContext, system: System, elsewhere: str
) -> None:
    visitor, write, read = agree(api), key_of(system, "ingest"), key_of(system, "profiles")
    asked = urlencode({"key": write, "host": system.address, "visitor": visitor})
    foreign: list[str] = []
    page.on(
        "request",
        lambda one: (
            foreign.append(one.url) if not one.url.startswith((system.address, elsewhere, "data:")) else None
        ),
    )
    with page.expect_response(lambda answer: "/v1/" in answer.url and answer.request.method == "POST"):
        page.goto(f"{elsewhere}/{sdk}.html?{asked}")
    address = f"/api/v1/profiles/{visitor}?include=events,traits"

    def arrived() -> set[str]:
        found = api.get(address, headers={"Authorization": f"Api-Key {read}"}).json()
        return {event["name"] for event in found["events"]}

    for _ in range(50):
        if arrived() >= {"Page Viewed", "SDK Tried"}:
            break
        page.wait_for_timeout(200)
    assert {"Page Viewed", "SDK Tried"} <= arrived()
    assert foreign == []


@pytest.mark.parametrize("sdk", ["segment", "rudderstack"])
def test_a_call_that_met_a_failure_is_sent_again(
    sdk: str,
    page: Page,
    api: APIRequestContext,
    system: System,
    elsewhere: str,
) -> None:
    """The second try carries headers of its own, which a browser asks about first."""
    other = page.context.new_page()  # not watched: a failing answer is an error on its console
    visitor, write, read = agree(api), key_of(system, "ingest"), key_of(system, "profiles")
    failed: list[str] = []

    def fail_once(route: Route) -> None:
        if route.request.method == "POST" and not failed:
            failed.append(route.request.url)
            route.fulfill(status=503, body="{}", headers={"Access-Control-Allow-Origin": "*"})
        else:
            route.continue_()

    other.route("**/v1/*", fail_once)
    other.goto(
        f"{elsewhere}/{sdk}.html?{urlencode({'key': write, 'host': system.address, 'visitor': visitor})}"
    )
    headers = {"Authorization": f"Api-Key {read}"}
    for _ in range(100):
        events = api.get(f"/api/v1/profiles/{visitor}?include=events", headers=headers).json()["events"]
        if {event["name"] for event in events} >= {"Page Viewed", "SDK Tried"}:
            break
        other.wait_for_timeout(200)
    assert failed
    assert {event["name"] for event in events} >= {"Page Viewed", "SDK Tried"}
    other.close()


def test_a_beacon_needs_no_preflight(
    page: Page, api: APIRequestContext, system: System, elsewhere: str
) -> None:
    visitor, write, read = agree(api), key_of(system, "ingest"), key_of(system, "profiles")
    page.goto(f"{elsewhere}/empty.html")
    batch = json.dumps({"batch": [{"type": "track", "event": "Left", "anonymousId": visitor}]})
    sent = page.evaluate(
        "([url, body]) => navigator.sendBeacon(url, new Blob([body], {type: 'text/plain'}))",
        [f"{system.address}/v1/batch?writeKey={write}", batch],
    )
    assert sent is True
    headers = {"Authorization": f"Api-Key {read}"}
    for _ in range(30):
        events = api.get(f"/api/v1/profiles/{visitor}?include=events", headers=headers).json()["events"]
        if events:
            break
        page.wait_for_timeout(100)
    assert [event["name"] for event in events] == ["Left"]
    expect(page).to_have_url(f"{elsewhere}/empty.html")


@pytest.mark.parametrize("sdk", ["segment", "rudderstack"])
def test_an_sdk_for_node_sends_every_call(sdk: str, api: APIRequestContext, system: System) -> None:
    visitor, write, read = agree(api), key_of(system, "ingest", "manage"), key_of(system, "profiles")
    command = ["node", "node.mjs", sdk, write, system.address, visitor]
    done = subprocess.run(
        command,
        cwd=Path(ROOT, "tests", "e2e", "sdks"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answer = api.get(
        f"/api/v1/profiles/{visitor}?include=events,traits", headers={"Authorization": f"Api-Key {read}"}
    ).json()
    assert len(answer["events"]) == 6  # one of each kind
    properties = {event["name"]: event["properties"] for event in answer["events"]}
    assert properties["Order Completed"]["revenue"] == 12.5
    assert properties["Page Viewed"] == {"path": "/start", "name": "Start", "category": "docs"}
    assert "Screen Viewed" in properties
