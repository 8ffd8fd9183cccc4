"""The rights of a visitor over HTTP: with their own token, or for a back end with a key that may."""

import datetime as dt
import io
import json
import uuid
import zipfile
from typing import Any

import pytest
import time_machine

from consent import rights
from consent.enforcement import enforce
from consent.identities import owner_of
from consent.models import AccessLog, ConsentEvent, ConsentState, PrivacyRequest, Subject
from personalization.handles import handle_of
from personalization.lanes import catch_up
from personalization.models import Event, Profile
from personalization.segments.refresh import refresh
from tests.builders import committing, the_site
from tests.flows.front import Front, agreed, make_key
from tests.flows.test_dashboard import proof

pytestmark = pytest.mark.usefixtures("shop")


def now(**later: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(**later)


def work(**later: float) -> None:
    with committing():
        rights.answer(now=now(seconds=1, **later))
        enforce(now=now(seconds=1, **later))


@pytest.fixture
def privacy_key(db: None) -> str:
    return make_key("privacy")


@pytest.fixture
def ada(write_key: str) -> Front:
    front = agreed(personalization=True, analytics=True)
    front.tells(write_key, first_name="Ada", kids=2)
    refresh(the_site(), now=now(seconds=1))
    front.buys(write_key, times=3)
    with committing():
        catch_up(the_site(), now=now(seconds=1))
    assert front.variant() == ("loyal", "matched")
    return front


def read(front: Front, path: str, **headers: str) -> Any:
    return front.get(f"/api/v1/privacy/{path}", headers={"X-Visitor": front.token or ""} | headers)


def change(front: Front, path: str, body: Any = None, *, method: str = "POST", **headers: str) -> Any:
    return front.generic(
        method,
        f"/api/v1/privacy/{path}",
        json.dumps({} if body is None else body),
        content_type="application/json",
        headers={"X-Visitor": front.token or ""} | headers,
    )


def problem(answer: Any) -> tuple[int, str, str | None]:
    (error,) = answer.json()["errors"]
    return answer.status_code, error["code"], error["attr"]


class TestWhatIsKept:
    def test_everything_is_told_by_holder_and_purpose(self, ada: Front) -> None:
        answer = read(ada, "profile")
        kept = answer.json()
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert kept["visitor_id"] == ada.visitor
        assert kept["holders"]["profile"]["data"]["first_name"] == "Ada"
        assert kept["holders"]["profile"]["purposes"] == ["personalization"]
        assert len(kept["holders"]["events"]["data"]["events"]) == 4
        assert kept["holders"]["events"]["purposes"] == ["analytics", "personalization"]
        items = {(item["holder"], item["name"]): item for item in kept["items"]}
        assert items["profile", "kids"]["value"] == "2"
        assert items["profile", "kids"]["kind"] == "number"
        assert items["profile", "features.orders"]["inferred"]
        assert items["memberships", f"segment:{handle_of('loyal')}"]["about"] == "segment"

    def test_nobody_has_nothing_and_a_bad_token_is_nobody(self) -> None:
        for headers in ({}, {"X-Visitor": "v1.bad"}):
            kept = Front().get("/api/v1/privacy/profile", headers=headers).json()
            assert (kept["visitor_id"], kept["holders"], kept["items"]) == (None, {}, [])
        assert not Subject.objects.exists()

    def test_a_wrong_fact_is_corrected(self, ada: Front) -> None:
        answer = change(ada, "profile", {"traits": {"first_name": "Ada L.", "kids": None}}, method="PATCH")
        assert answer.status_code == 200
        assert answer.json()["holders"]["profile"]["data"]["first_name"] == "Ada L."
        assert "kids" not in Profile.objects.get(pk=ada.visitor).traits
        assert PrivacyRequest.objects.get().kind == "rectify"

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({"traits": {"kids": "two"}}, (400, "invalid", "traits.kids")),
            ({"traits": {"shoe": 42}}, (400, "invalid", "traits.shoe")),
            ({"traits": {"tier": "gold"}}, (400, "invalid", "traits.tier")),
            (
                {"traits": {"letter": "weekly"}},
                (400, "invalid", "traits.letter"),
            ),  # not allowed for its purpose
            ({"traits": {"first_name": "A" * 1_001}}, (400, "invalid", "traits.first_name")),
            ({"traits": {}}, (400, "invalid", "traits")),
            ({"traits": {"kids": 1}, "x": 1}, (400, "unknown_field", "x")),
            ([], (400, "invalid", None)),
        ],
    )
    def test_what_cannot_be_corrected_is_told_with_its_place(
        self, ada: Front, body: Any, expected: tuple[int, str, str | None]
    ) -> None:
        assert problem(change(ada, "profile", body, method="PATCH")) == expected
        assert Profile.objects.get(pk=ada.visitor).traits["kids"] == 2

    def test_one_thing_is_taken_out_of_use(self, ada: Front) -> None:
        wish = {"holder": "memberships", "name": f"segment:{handle_of('loyal')}", "wish": "hide"}
        assert change(ada, "items", wish).status_code == 200
        assert ada.variant()[0] == "default"
        assert problem(change(ada, "items", wish | {"name": "segment:none"}))[1:] == ("impossible", "name")
        assert problem(change(ada, "items", wish | {"holder": "touched"}))[1:] == ("unknown_holder", "holder")


class TestACopy:
    def test_it_is_asked_for_built_and_fetched_once(self, ada: Front) -> None:
        asked = change(ada, "export")
        assert asked.status_code == 202
        state = read(ada, f"export/{asked.json()['id']}").json()
        assert (state["state"], state["url"]) == ("waiting", None)
        work()
        state = read(ada, f"export/{asked.json()['id']}").json()
        assert state["state"] == "ready"
        assert state["progress"]["done"] == state["progress"]["of"] > 5
        content = Front().get(state["url"].removeprefix("http://testserver")).content
        assert json.loads(zipfile.ZipFile(io.BytesIO(content)).read("data.json"))["subject"] == ada.visitor
        assert Front().get(state["url"].removeprefix("http://testserver")).status_code == 410
        assert AccessLog.objects.filter(kind="export_made", subject_key=ada.visitor).count() == 1

    def test_somebody_elses_is_not_found(self, ada: Front) -> None:
        asked = change(ada, "export").json()["id"]
        work()
        assert read(agreed(), f"export/{asked}").status_code == 404
        assert Front().get(f"/api/v1/privacy/export/{asked}").status_code == 404

    def test_ten_thousand_events_are_exported_whole(self, ada: Front) -> None:
        row = Event.objects.filter(subject_key=ada.visitor).first()
        assert row is not None
        Event.objects.bulk_create(
            Event(
                site_id=row.site_id,
                subject_key=row.subject_key,
                key_prefix=row.key_prefix,
                message_id=uuid.uuid4().hex,
                kind="track",
                name="Product Viewed",
                properties={"product_id": f"p{n}"},
                happened_at=row.happened_at,
                received_at=row.received_at,
                purposes=["personalization"],
            )
            for n in range(10_000)
        )
        asked = change(ada, "export").json()["id"]
        work()
        url = read(ada, f"export/{asked}").json()["url"].removeprefix("http://testserver")
        file = zipfile.ZipFile(io.BytesIO(Front().get(url).content))
        assert file.read("csv/events.csv").count(b"\r\n") == 10_005
        assert b"p9999" in file.read("index.html")

    def test_it_survives_a_failure_and_says_what_failed_without_quoting_anybody(
        self, ada: Front, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any, **__: Any) -> bytes:
            raise RuntimeError("Ada")

        asked = change(ada, "export").json()["id"]
        with monkeypatch.context() as broken:
            broken.setattr("consent.exports.sealed", fail)
            work()
        row = PrivacyRequest.objects.get(pk=asked)
        assert (row.state, row.attempts) == ("waiting", 1)
        assert "RuntimeError in fail" in row.error
        assert "Ada" not in row.error
        work(minutes=1)
        assert read(ada, f"export/{asked}").json()["state"] == "ready"


class TestErasing:
    def test_everything_is_gone_and_the_answer_says_so(self, ada: Front) -> None:
        answer = change(ada, "erase")
        assert (answer.status_code, answer.json()["state"]) == (202, "done")
        work()
        assert not Subject.objects.filter(pk=ada.visitor).exists()
        assert not Event.objects.filter(subject_key=ada.visitor).exists()
        assert read(ada, "profile").json()["visitor_id"] is None
        assert ada.variant()[0] == "default"
        assert PrivacyRequest.objects.get().subject_key is None

    def test_a_known_user_proves_who_they_are(self, ada: Front, write_key: str) -> None:
        user = "ada@example.org"
        ada.send(write_key, "identify", userId=user, context={"userHash": proof(user)})
        assert owner_of("user", user) == uuid.UUID(ada.visitor)
        assert change(ada, "erase").json()["state"] == "verifying"
        assert change(ada, "erase", {"userId": user, "userHash": "00"}).json()["state"] == "verifying"
        assert Subject.objects.filter(pk=ada.visitor).exists()
        assert change(ada, "erase", {"userId": user, "userHash": proof(user)}).json()["state"] == "done"
        assert not Subject.objects.filter(pk=ada.visitor).exists()

    def test_without_a_token_nothing_can_be_changed(self, ada: Front) -> None:
        for path in ("export", "erase", "reset", "object", "pause", "undo", "items"):
            assert change(Front(), path).status_code == 401, path
            assert change(Front(), path, **{"X-Visitor": "v1.bad"}).status_code == 401, path
        assert change(Front(), "profile", {"traits": {"kids": 1}}, method="PATCH").status_code == 401


class TestTheOthers:
    def test_behaviour_is_forgotten_and_consent_kept(self, ada: Front) -> None:
        assert change(ada, "reset").status_code == 202
        assert not Event.objects.filter(subject_key=ada.visitor).exists()
        assert ConsentState.objects.get(pk=ada.visitor).state["personalization"] == "granted"

    def test_an_objection_is_a_refusal_with_its_own_name(self, ada: Front) -> None:
        assert change(ada, "object", {"purposes": ["analytics"]}).status_code == 202
        last = ConsentEvent.objects.filter(subject_key=ada.visitor).order_by("-seq").first()
        assert last is not None
        assert (last.purpose, last.action, last.method) == ("analytics", "withdrawn", "objection")
        assert problem(change(ada, "object", {"purposes": ["weather"]})) == (
            400,
            "unknown_purpose",
            "purposes.weather",
        )
        assert problem(change(ada, "object", {"purposes": []})) == (400, "invalid", "purposes")

    @pytest.mark.parametrize(
        ("path", "kind", "closed"),
        [("opt-out", "opt_out", "third_party"), ("limit", "limit", "sensitive")],
    )
    def test_what_is_sold_or_sensitive_is_refused_with_one_call(
        self, path: str, kind: str, closed: str
    ) -> None:
        eve = agreed(personalization=True, third_party=True, sensitive=True)
        asked = change(eve, path)
        assert asked.status_code == 202
        assert (asked.json()["kind"], asked.json()["state"]) == (kind, "done")
        state = ConsentState.objects.get(pk=eve.visitor).state
        assert [key for key, one in state.items() if one == "withdrawn"] == [closed]
        assert change(Front(), path).status_code == 401
        assert problem(change(eve, path, {"purposes": []})) == (400, "unknown_field", "purposes")

    def test_a_reminder_that_a_banner_showed_is_not_due_again(self, ada: Front) -> None:
        ConsentState.objects.filter(pk=ada.visitor).update(remind_days=30, reminded_at=now(days=-31))
        token = {"X-Visitor": ada.token or ""}
        assert ada.get("/api/v1/consent", headers=token).json()["remind"] is True
        body = {"purposes": {}, "notice": ada.notice(), "reminded": True}
        assert ada.change(body, headers=token).status_code == 200
        assert ada.get("/api/v1/consent", headers=token).json()["remind"] is False

    def test_a_pause_begins_and_ends(self, ada: Front) -> None:
        assert change(ada, "pause", {"days": 30}).json()["paused_until"]
        assert ada.variant() == ("default", "no_consent")
        assert change(ada, "pause", {"days": 0}).json() == {"paused_until": None}
        assert ada.variant() == ("loyal", "matched")
        for days in (5, True, "7", None):
            assert problem(change(ada, "pause", {"days": days})) == (400, "invalid", "days")

    def test_a_sealed_withdrawal_is_taken_back_within_ten_minutes_and_not_after(self, ada: Front) -> None:
        def withdraw() -> None:
            body = {"purposes": {"personalization": False}, "notice": ada.notice(), "seal": True}
            assert ada.change(body, headers={"X-Visitor": ada.token or ""}).status_code == 200

        withdraw()
        assert ada.variant() == ("default", "no_consent")
        assert change(ada, "undo").json()["purposes"]["personalization"] == "granted"
        assert ada.variant() == ("loyal", "matched")
        assert problem(change(ada, "undo")) == (409, "too_late", None)
        withdraw()
        with time_machine.travel(now(minutes=10, seconds=1), tick=True):
            assert problem(change(ada, "undo")) == (409, "too_late", None)


class TestWithAKey:
    def test_a_back_end_speaks_for_a_subject_it_names(self, ada: Front, privacy_key: str) -> None:
        key = {"Authorization": f"Api-Key {privacy_key}"}
        back_end = Front()
        kept = back_end.get(f"/api/v1/privacy/profile?subject={ada.visitor}", headers=key).json()
        assert kept["holders"]["profile"]["data"]["first_name"] == "Ada"
        assert AccessLog.objects.filter(kind="profile_read", subject_key=ada.visitor).exists()
        told = {"subject": ada.visitor, "traits": {"kids": 3}}
        assert change(back_end, "profile", told, method="PATCH", **key).status_code == 200
        wish = {"subject": ada.visitor, "holder": "profile", "name": "kids", "wish": "hide"}
        assert change(back_end, "items", wish, **key).status_code == 200
        assert AccessLog.objects.filter(kind="profile_changed", subject_key=ada.visitor).count() == 2
        asked = change(back_end, "export", {"subject": ada.visitor}, **key)
        assert asked.status_code == 202
        work()
        path = f"/api/v1/privacy/export/{asked.json()['id']}?subject={ada.visitor}"
        assert back_end.get(path, headers=key).json()["state"] == "ready"
        assert change(back_end, "erase", {"subject": ada.visitor}, **key).json()["state"] == "done"
        assert not Subject.objects.filter(pk=ada.visitor).exists()

    @pytest.mark.parametrize("who", ["", "nobody", "user:nobody", "5f7a9a3e-0000-4000-8000-000000000000"])
    def test_who_is_not_there_is_told(self, privacy_key: str, who: str) -> None:
        key = {"Authorization": f"Api-Key {privacy_key}"}
        answer = Front().get(f"/api/v1/privacy/profile?subject={who}", headers=key)
        assert answer.status_code == (404 if who else 400)

    @pytest.mark.parametrize("scope", ["deliver", "preview", "ingest", "profiles", "manage"])
    def test_no_other_key_may(self, ada: Front, scope: str) -> None:
        key = {"Authorization": f"Api-Key {make_key(scope)}"}
        answer = Front().get(f"/api/v1/privacy/profile?subject={ada.visitor}", headers=key)
        assert answer.status_code == 403
        assert change(Front(), "erase", {"subject": ada.visitor}, **key).status_code == 403


class TestConsentMode:
    def test_the_same_state_in_googles_words(self) -> None:
        front = Front()
        mode = front.get("/api/v1/consent").json()["consent_mode"]
        assert (mode["analytics_storage"], mode["security_storage"]) == ("denied", "granted")
        mode = front.decide(analytics=True, third_party=True).json()["consent_mode"]
        assert (mode["analytics_storage"], mode["ad_storage"]) == ("granted", "granted")
        read_again = front.get("/api/v1/consent", headers={"Sec-GPC": "1"}).json()["consent_mode"]
        assert (read_again["analytics_storage"], read_again["ad_storage"]) == ("granted", "denied")

    def test_a_kept_signal_and_a_pause_close_it_as_they_close_the_gates(self) -> None:
        front = agreed(third_party=True, analytics=True)
        front.get("/api/v1/consent", headers={"Sec-GPC": "1", "X-Visitor": front.token or ""})
        mode = front.decide(analytics=True, third_party=True).json()[
            "consent_mode"
        ]  # from a browser without it
        assert (mode["analytics_storage"], mode["ad_storage"]) == ("granted", "denied")
        assert change(front, "pause", {"days": 7}).status_code == 200
        for mode in (
            front.get("/api/v1/consent", headers={"X-Visitor": front.token or ""}).json()["consent_mode"],
            front.decide(analytics=True).json()["consent_mode"],
        ):
            assert {mode["analytics_storage"], mode["ad_storage"]} == {"denied"}
            assert mode["security_storage"] == "granted"

    @pytest.mark.parametrize(
        ("header", "told", "on"),
        [
            (None, True, True),
            (None, False, False),
            (None, "1", False),
            ("1", False, True),
            ("0", True, False),
            ("true", True, False),
            ("1, 0", None, True),
            (" 1", None, True),
        ],
    )
    def test_the_signal_of_a_script_counts_where_no_header_says_otherwise(
        self, header: str | None, told: Any, on: bool
    ) -> None:
        front = agreed(marketing=True)
        body = {"purposes": {"analytics": True}, "notice": front.notice()} | (
            {} if told is None else {"gpc": told}
        )
        headers = {"X-Visitor": front.token or ""} | ({"Sec-GPC": header} if header else {})
        assert front.change(body, headers=headers).status_code == 200
        assert ConsentState.objects.get(pk=front.visitor).gpc is on
