"""No route shows or changes another visitor's state: every route of the OpenAPI document, `/.well-known/` and the pages beside it, every method, every key."""

import datetime as dt
import uuid
from urllib.parse import urlencode

import orjson
import pytest
from drf_spectacular.generators import SchemaGenerator

from cms.roles import AUTHORS, ensure_roles
from consent import rights
from consent.dashboard.links import link_of
from consent.dashboard.urls import urlpatterns
from consent.models import ConsentEvent, ConsentState, PrivacyRequest, SubjectIdentifier
from personalization.models import Profile
from tests.admin.content import client_of
from tests.builders import committing
from tests.flows.front import Front, agreed, make_key

pytestmark = pytest.mark.usefixtures("shop")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CANARY = "Canaryville"
# no part of the API's document
WELL_KNOWN = ["/.well-known/consent-ledger.json", "/.well-known/gpc.json"]
PAGES = ["/privacy/why/", *(f"/privacy/{one.pattern}" for one in urlpatterns)]


def routes(known: Front) -> list[str]:
    """Return every path of the API and of the dashboard; its variable parts name what belongs to somebody else."""
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    export = PrivacyRequest.objects.get(subject_key=known.visitor)
    entry = ConsentEvent.objects.filter(subject_key=known.visitor).first()
    assert entry is not None
    filled = {
        "{path}": "",
        "{type_key}": "product",
        "{who}": known.visitor,
        "{export_id}": str(export.pk),
        "<str:entry>": entry.hash,
        "<str:signed>": f"{export.pk.hex}.{link_of(entry.subject_key).split('.')[1].strip('/')}",
    }
    return sorted(_filled(path, filled) for path in [*paths, *WELL_KNOWN, *PAGES])


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
    with committing():
        now = dt.datetime.now(dt.UTC)
        rights.ask("export", uuid.UUID(front.visitor), channel="dashboard", verification="token", now=now)
        assert rights.answer(now=now + dt.timedelta(seconds=1)) == 1
    return front


FORM = "application/x-www-form-urlencoded"
WISHES = {
    "holder": "profile",
    "name": "first_name",
    "wish": "delete",
    "kind": "export",
    "days": "7",
    "sure": "yes",
    "all": "no",
}


@pytest.mark.parametrize("kind", ["application/json", FORM])
@pytest.mark.parametrize("key", ["", "write_key", "preview_key", "deliver_key"])
def test_no_route_shows_or_changes_somebody_else(
    known: Front, key: str, kind: str, request: pytest.FixtureRequest
) -> None:
    authorization = {"Authorization": f"Api-Key {request.getfixturevalue(key)}"} if key else {}
    before = state_of(known.visitor)
    asked = 0
    for path in routes(known):
        if path.startswith("/v1/"):
            continue  # events name their subject by contract: tests/flows/test_events.py
        stranger = agreed(personalization=True)  # anew for each: some routes erase who asks
        claims = dict.fromkeys(("visitor_id", "subject", "subject_id", "visitor", "id"), known.visitor)
        claims |= {"notice": stranger.notice()} | WISHES
        body = (
            orjson.dumps({**claims, "purposes": {"personalization": False}})
            if kind != FORM
            else urlencode(claims).encode()
        )
        for method in METHODS:
            for query in ("", f"?visitor_id={known.visitor}&subject={known.visitor}"):
                answer = stranger.generic(
                    method,
                    path + query,
                    body if method != "GET" else b"",
                    content_type=kind,
                    headers={"X-Visitor": stranger.token, **authorization},
                )
                asked += 1
                assert answer.status_code < 500, (method, path)
                assert CANARY.encode() not in answer.content, (method, path)
                assert known.visitor.encode() not in answer.content, (method, path)
    assert asked >= 300
    assert state_of(known.visitor) == before
    assert PrivacyRequest.objects.get(subject_key=known.visitor).state == "ready"


# Who else could try: keys with the scopes of back ends (and where theirs end), staff, and browsers of their own.
ELSEWHERE = {
    "manage": ("/nowhere/",),
    "profiles": ("/api/v1/profiles/",),
    "privacy": ("/api/v1/privacy",),
    "author": ("/nowhere/",),
    "cookie": ("/nowhere/",),
    "foreign": ("/nowhere/",),
    "nobody": ("/nowhere/",),
}


@pytest.mark.parametrize("role", ELSEWHERE)
def test_no_role_reaches_further_than_its_own_doors(known: Front, role: str) -> None:
    before, asked = state_of(known.visitor), 0
    headers = (
        {"Authorization": f"Api-Key {make_key(role)}"} if role in ("manage", "profiles", "privacy") else {}
    )
    if role == "cookie":
        headers = {"Sec-Fetch-Site": "same-origin"}
    elif role == "foreign":
        headers = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    browser = Front()
    if role == "author":
        ensure_roles()
        browser.cookies = client_of(AUTHORS).cookies
    for path in routes(known):
        if path.startswith(("/v1/", *ELSEWHERE[role])):
            continue  # what the role is there for: tests/flows/test_profiles_api.py, test_privacy_api.py, test_events.py
        if role in ("cookie", "foreign"):
            stranger = agreed(personalization=True)
            browser.cookies["tessera_visitor"] = stranger.token or ""
        claims = {"visitor_id": known.visitor, "subject": known.visitor, **WISHES}
        body = orjson.dumps({**claims, "purposes": {"personalization": False}})
        for method in METHODS:
            answer = browser.generic(
                method,
                f"{path}?visitor_id={known.visitor}&subject={known.visitor}",
                body if method != "GET" else b"",
                content_type="application/json",
                headers=headers,
            )
            asked += 1
            assert answer.status_code < 500, (method, path)
            assert CANARY.encode() not in answer.content, (method, path)
            assert known.visitor.encode() not in answer.content, (method, path)
    assert asked >= 100
    assert state_of(known.visitor) == before
    assert PrivacyRequest.objects.get(subject_key=known.visitor).state == "ready"


def test_the_doors_of_events_tell_nothing_of_whom_they_name(known: Front, write_key: str) -> None:
    """Whoever knows a visitor_id may write for it, as the contract says: they read nothing, and set nothing that only servers may."""
    paths = [p for p in routes(known) if p.startswith("/v1/") and "settings" not in p]
    assert len(paths) >= 7
    for path in paths:
        message = {
            "type": "identify",
            "anonymousId": known.visitor,
            "userId": "u-1",
            "traits": {"tier": "gold"},
        }
        answer = Front().post_events(
            path, orjson.dumps({**message, "batch": [message], "event": "X"}), write_key
        )
        assert answer.status_code < 500, path
        assert CANARY.encode() not in answer.content
        assert known.visitor.encode() not in answer.content
    assert "tier" not in Profile.objects.get(pk=known.visitor).traits
    assert not SubjectIdentifier.objects.filter(subject_id=known.visitor).exists()
