"""The SDKs of Segment and RudderStack for Python, unmodified, over a real socket."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rudderstack.analytics.client as rudderstack
import segment.analytics.client as segment

from consent.identities import owner_of
from personalization.models import Event, Profile
from tests.flows.front import Front, agreed
from tests.flows.server import serving

pytestmark = pytest.mark.usefixtures("shop")
Make = Callable[..., Any]
CLIENTS = {"segment": segment.Client, "rudderstack": rudderstack.Client}


@pytest.fixture
def ada() -> Front:
    return agreed(personalization=True, analytics=True)


@pytest.fixture
def address() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.mark.parametrize("gzip", [True, False], ids=["gzip", "plain"])
@pytest.mark.parametrize("name", CLIENTS)
def test_every_call_of_an_sdk_arrives(
    name: str, gzip: bool, ada: Front, server_key: str, address: str
) -> None:
    client = CLIENTS[name](server_key, host=address, sync_mode=True, gzip=gzip, max_retries=0)
    who = {"anonymous_id": ada.visitor}
    client.identify("u-1", {"kids": 2, "tier": "gold"}, **who)
    client.track(None, "Order Completed", {"revenue": 12.5}, **who)
    client.page(None, "docs", "Start", {"path": "/start"}, **who)
    client.screen(None, "app", "Home", **who)
    client.group(None, "acme", {"size": 5}, **who)
    client.alias(ada.visitor, "u-1")
    kept = {row.kind: row for row in Event.objects.all()}
    assert set(kept) == {"identify", "track", "page", "screen", "group", "alias"}
    assert kept["page"].properties == {"path": "/start", "name": "Start", "category": "docs"}
    assert kept["group"].properties["groupId"] == "acme"
    assert str(owner_of("user", "u-1")) == ada.visitor
    assert Profile.objects.get(pk=ada.visitor).traits == {"kids": 2, "tier": "gold"}
    assert ada.variant("/gold") == ("loyal", "matched")


@pytest.mark.parametrize("name", CLIENTS)
def test_an_sdk_sends_in_batches_and_in_order(name: str, ada: Front, write_key: str, address: str) -> None:
    client = CLIENTS[name](write_key, host=address, max_retries=0)
    for n in range(230):
        client.track(None, f"Step {n}", {"n": n}, anonymous_id=ada.visitor)
    client.flush()
    client.join()
    assert [row.properties["n"] for row in Event.objects.order_by("id")] == list(range(230))


@pytest.mark.parametrize(("name", "error"), [("segment", segment.post), ("rudderstack", rudderstack.post)])
def test_an_sdk_gives_up_at_once_where_it_is_refused(name: str, error: Any, ada: Front, address: str) -> None:
    failures: list[Exception] = []
    client = CLIENTS[name](
        "no.key", host=address, max_retries=3, on_error=lambda cause, batch: failures.append(cause)
    )
    client.track(None, "Seen", anonymous_id=ada.visitor)
    client.flush()
    client.join()
    (failure,) = failures
    assert type(failure).__name__ == "APIError"
    assert "401" in str(failure) or "not_authenticated" in str(failure) or "write key" in str(failure)
    assert not Event.objects.exists()
