"""No route shows or changes another visitor's state: every route of the OpenAPI document, `/.well-known/` and the pages beside it, every method, every key."""

import orjson
import pytest
from drf_spectacular.generators import SchemaGenerator

from consent.models import ConsentState
from personalization.models import Profile
from tests.flows.front import Front, agreed

pytestmark = pytest.mark.usefixtures("shop")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CANARY = "Canaryville"
THEIRS = "{theirs}"  # the id of the one who is asked about
# no part of the API's document
WELL_KNOWN = ["/.well-known/consent-ledger.json", "/.well-known/gpc.json"]
PAGES = ["/privacy/why/"]


def routes() -> list[str]:
    """Return every path of the API, with its variable parts filled in."""
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    filled = {"{path}": "", "{type_key}": "product", "{who}": THEIRS}
    return sorted(_filled(path, filled) for path in paths) + WELL_KNOWN + PAGES


def _filled(path: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        path = path.replace(name, value)
    return path


def state_of(visitor: str) -> tuple[object, object]:
    consent = ConsentState.objects.values("version", "state").get(subject_id=visitor)
    return consent, Profile.objects.values("traits", "version", "orders").get(pk=visitor)


@pytest.fixture
def known(write_key: str) -> Front:
    """Somebody of whom something is known that nobody else may see."""
    front = agreed(personalization=True, analytics=True)
    said = front.send(write_key, "identify", traits={"first_name": CANARY})
    assert said.json()["accepted"] == 1
    return front


@pytest.mark.parametrize("key", ["", "write_key", "preview_key", "deliver_key"])
def test_no_route_shows_or_changes_somebody_else(
    known: Front, key: str, request: pytest.FixtureRequest
) -> None:
    stranger = agreed(personalization=True)
    authorization = {"Authorization": f"Api-Key {request.getfixturevalue(key)}"} if key else {}
    claims = dict.fromkeys(("visitor_id", "subject", "subject_id", "visitor", "id"), known.visitor)
    before = state_of(known.visitor)
    body = orjson.dumps({**claims, "purposes": {"personalization": False}, "notice": stranger.notice()})
    asked = 0
    for path in (route.replace(THEIRS, known.visitor) for route in routes()):
        if path.startswith("/v1/"):
            continue  # events name their subject by contract: tests/flows/test_events.py
        for method in METHODS:
            for query in ("", f"?visitor_id={known.visitor}&subject={known.visitor}"):
                answer = stranger.generic(
                    method,
                    path + query,
                    body if method != "GET" else b"",
                    content_type="application/json",
                    headers={"X-Visitor": stranger.token, **authorization},
                )
                asked += 1
                assert answer.status_code < 500, (method, path)
                assert CANARY.encode() not in answer.content, (method, path)
                assert known.visitor.encode() not in answer.content, (method, path)
    assert asked >= 80
    assert state_of(known.visitor) == before
