"""The event door: every call and spelling, what is kept, what is dropped and why, and what a key may not do."""

import base64
import datetime as dt
import hashlib
import hmac
import uuid
from typing import Any

import orjson
import pytest
from django.conf import settings

from consent.identities import owner_of
from consent.models import SubjectIdentifier
from personalization import tasks
from personalization.models import Event, Profile
from tests.builders import committing
from tests.flows.front import Front, agreed, make_key, zipped

pytestmark = pytest.mark.usefixtures("shop")
CALLS = {"track": "t", "identify": "i", "page": "p", "screen": "s", "group": "g", "alias": "a"}
NEEDS: dict[str, dict[str, Any]] = {"track": {"event": "Seen"}, "identify": {"traits": {"kids": 1}}}


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def dropped(answer: Any) -> dict[str, int]:
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["success"] is True
    return dict(body["dropped"])


@pytest.fixture
def ada() -> Front:
    return agreed(personalization=True, analytics=True)


@pytest.mark.parametrize("call", [*CALLS, *CALLS.values()])
def test_every_call_and_its_short_form_is_kept(ada: Front, write_key: str, call: str) -> None:
    kind = {short: name for name, short in CALLS.items()}.get(call, call)
    assert ada.send(write_key, call, **NEEDS.get(kind, {})).json()["accepted"] == 1
    row = Event.objects.get()
    assert row.kind == kind
    assert row.name == {"track": "Seen", "page": "Page Viewed", "screen": "Screen Viewed"}.get(kind, kind)
    assert str(row.subject_key) == ada.visitor


@pytest.mark.parametrize("call", ["batch", "b", "m"])
def test_a_batch_keeps_what_it_can_and_counts_the_rest(ada: Front, write_key: str, call: str) -> None:
    who = {"anonymousId": ada.visitor}
    batch = [
        {"type": "track", "event": "One", **who},
        {"type": "page", **who},
        {"type": "track", "event": "Stranger", "anonymousId": str(uuid.uuid4())},
        {"type": "dance", **who},
        "nonsense",
    ]
    answer = ada.send(write_key, call, batch=batch)
    assert answer.json()["accepted"] == 2
    assert dropped(answer) == {"no_consent": 1, "unknown_type": 1, "invalid": 1}


def work() -> None:
    """Let the worker fold in what happened."""
    with committing():
        tasks.fold_touched()


class TestHowTheyAreSpelled:
    @pytest.mark.parametrize(
        "kind",
        ["application/json", "text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded"],
    )
    @pytest.mark.parametrize("packed", [True, False])
    def test_json_is_read_whatever_it_is_called_and_gzip_wherever_it_is(
        self, ada: Front, write_key: str, kind: str, packed: bool
    ) -> None:
        message = {"event": "Seen", "anonymousId": ada.visitor}
        body = zipped(message) if packed else orjson.dumps(message)
        assert ada.post_events("/v1/track", body, write_key, kind=kind).json()["accepted"] == 1

    @pytest.mark.parametrize("place", ["basic", "body", "query", "api-key"])
    def test_the_key_is_found(self, ada: Front, write_key: str, place: str) -> None:
        body = {"event": "Seen", "anonymousId": ada.visitor}
        basic = base64.b64encode(f"{write_key}:".encode()).decode()
        headers = {"basic": f"Basic {basic}", "api-key": f"Api-Key {write_key}"}
        path = f"/v1/t?writeKey={write_key}" if place == "query" else "/v1/t"
        body |= {"writeKey": write_key} if place == "body" else {}
        sent = {"Authorization": headers[place]} if place in headers else {}
        answer = Front().post(path, orjson.dumps(body), content_type="text/plain", headers=sent)
        assert answer.json()["accepted"] == 1

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Authorization": "Basic !!!"},
            {"Authorization": "Basic \xe9"},
            {"Authorization": "Api-Key a.b"},
        ],
    )
    def test_without_a_valid_key_nothing_is_kept(self, ada: Front, headers: dict[str, str]) -> None:
        answer = ada.post("/v1/t", b'{"event": "x"}', content_type="text/plain", headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "not_authenticated")

    def test_a_key_with_a_null_character_is_no_key(self) -> None:
        assert Front().post("/v1/t?writeKey=%00.x", b"{}", content_type="text/plain").status_code == 401
        assert (
            Front().post("/v1/t", b'{"writeKey": "a\\u0000.b"}', content_type="text/plain").status_code == 401
        )

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"{", 400),
            (b"[]", 400),
            (b"\x1f\x8bnot gzip", 400),
            (b"[" * 100_000, 400),
            (b'{"a":' * 900 + b"1" + b"}" * 900, 400),
            (b'{"batch": 7}', 400),
            (b" " * 600_000, 413),
            (b" " * 11_000_000, 413),
            (zipped({"a": "x" * 600_000}), 413),
            (orjson.dumps({"batch": [{}] * 2501}), 413),
        ],
    )
    def test_what_cannot_be_read_is_refused_in_one_shape(
        self, write_key: str, body: bytes, status: int
    ) -> None:
        call = "batch" if b"batch" in body[:20] else "track"
        answer = Front().post_events(f"/v1/{call}", body, write_key)
        assert answer.status_code == status, answer.content
        assert set(answer.json()["errors"][0]) == {"code", "detail", "attr"}

    def test_only_posting_sends_events(self, write_key: str) -> None:
        assert Front().get("/v1/track").status_code == 405

    def test_browsers_of_other_origins_may_send(self, write_key: str) -> None:
        asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
        answer = Front().options("/v1/track", headers=asked)
        assert answer.status_code in (200, 204)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


class TestLimits:
    def test_one_message_is_at_most_32_kb(self, ada: Front, write_key: str) -> None:
        assert ada.send(write_key, "track", event="A", properties={"x": "y" * 31_000}).json()["accepted"] == 1
        assert ada.send(write_key, "track", event="A", properties={"x": "y" * 33_000}).status_code == 413
        big = {"type": "track", "event": "A", "anonymousId": ada.visitor, "properties": {"x": "y" * 33_000}}
        assert dropped(ada.send(write_key, "batch", batch=[big])) == {"too_large": 1}

    def test_2500_messages_are_a_batch(self, ada: Front, write_key: str) -> None:
        batch = [
            {"type": "track", "event": "A", "anonymousId": ada.visitor, "messageId": str(i)}
            for i in range(2500)
        ]
        assert ada.send(write_key, "batch", batch=batch).json()["accepted"] == 2500

    @pytest.mark.parametrize("depth", [6, 60, 400])
    def test_what_is_too_deep_is_refused(self, ada: Front, write_key: str, depth: int) -> None:
        deep: Any = 1
        for _ in range(depth):
            deep = {"a": deep}
        answer = ada.send(write_key, "track", event="A", properties=deep)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "too_deep")
        message = {"type": "track", "event": "A", "context": deep}
        assert dropped(ada.send(write_key, "batch", batch=[message | {"properties": deep}])) == {
            "too_deep": 1
        }

    def test_a_null_character_cannot_be_stored_but_its_spelling_can(self, ada: Front, write_key: str) -> None:
        assert ada.send(write_key, "track", event="A", properties={"x": "a\x00b"}).status_code == 400
        assert ada.send(write_key, "track", event="A", properties={"a\x00": 1}).status_code == 400
        assert ada.send(write_key, "track", event="A\x00").status_code == 400
        assert ada.send(write_key, "track", event="A", properties={"x": "a\\u0000b"}).json()["accepted"] == 1

    def test_too_many_calls_of_one_key_wait_and_do_not_hold_up_another(
        self, ada: Front, write_key: str, settings: Any
    ) -> None:
        settings.RATES = settings.RATES | {"ingest": (0.1, 2)}
        answers = [ada.send(write_key, "page") for _ in range(3)]
        assert [one.status_code for one in answers] == [200, 200, 429]
        assert int(answers[2].headers["Retry-After"]) > 0
        assert ada.send(make_key("ingest"), "page").status_code == 200

    def test_an_absurd_revenue_is_capped_and_fails_nothing(self, ada: Front, write_key: str) -> None:
        for _ in range(12):
            order = {"revenue": 99_999_999_999}
            assert (
                ada.send(write_key, "track", event="Order Completed", properties=order).json()["accepted"]
                == 1
            )
        work()
        assert Profile.objects.get(pk=ada.visitor).orders == 12


class TestTime:
    def test_a_wrong_clock_is_corrected_by_when_it_was_sent(self, ada: Front, write_key: str) -> None:
        wrong = now() + dt.timedelta(days=365)
        stamps = {
            "originalTimestamp": (wrong - dt.timedelta(hours=2)).isoformat(),
            "sentAt": wrong.isoformat(),
        }
        ada.send(write_key, "page", **stamps)
        assert abs((now() - dt.timedelta(hours=2) - Event.objects.get().happened_at).total_seconds()) < 20

    def test_the_future_and_what_is_older_than_is_kept_are_dropped(self, ada: Front, write_key: str) -> None:
        day = dt.timedelta(days=1)
        assert dropped(ada.send(write_key, "page", timestamp=(now() + 2 * day).isoformat())) == {
            "clock_skew": 1
        }
        assert ada.send(write_key, "page", timestamp=(now() + day / 2).isoformat()).json()["accepted"] == 1
        assert ada.send(write_key, "page", timestamp=(now() - 399 * day).isoformat()).json()["accepted"] == 1
        assert dropped(ada.send(write_key, "page", timestamp=(now() - 401 * day).isoformat())) == {
            "too_old": 1
        }

    @pytest.mark.parametrize(
        ("timestamp", "sent_at"),
        [
            ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
            ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"),
            ("0001-01-01T00:00:00+14:00", None),
            ("yesterday", None),
            (7, 8),
        ],
    )
    def test_no_clock_is_wrong_enough_to_break_anything(
        self, ada: Front, write_key: str, timestamp: Any, sent_at: Any
    ) -> None:
        answer = ada.send(write_key, "page", timestamp=timestamp, sentAt=sent_at)
        assert answer.status_code in (200, 400)

    def test_a_message_counts_once(self, ada: Front, write_key: str) -> None:
        order = {"event": "Order Completed", "messageId": "m-1", "properties": {"revenue": 7}}
        assert ada.send(write_key, "track", **order).json()["accepted"] == 1
        again = ada.send(write_key, "track", **order)
        assert (again.json()["accepted"], dropped(again)) == (0, {"duplicate": 1})
        twice = [order | {"type": "track", "anonymousId": ada.visitor, "messageId": "m-2"}] * 2
        assert ada.send(write_key, "batch", batch=twice).json()["accepted"] == 1
        work()
        profile = Profile.objects.get(pk=ada.visitor)
        assert (profile.orders, profile.revenue) == (2, 14)


class TestConsent:
    def test_nobody_and_somebody_unknown_are_not_kept(self, write_key: str) -> None:
        front = Front()
        for name in (None, "", "not-a-uuid", str(uuid.uuid4())):
            front.visitor = name
            assert dropped(front.send(write_key, "page")) == {"no_consent": 1}
        assert not Event.objects.exists()
        assert not Profile.objects.exists()

    def test_an_event_is_stamped_with_what_is_granted_at_receipt(self, write_key: str) -> None:
        front = agreed(analytics=True, marketing=True)
        front.send(write_key, "page")
        assert Event.objects.get().purposes == ["analytics"]

    def test_the_message_may_only_narrow_what_is_allowed(self, ada: Front, write_key: str) -> None:
        said = {"consent": {"categoryPreferences": {"analytics": False, "profiling": True}}}
        ada.send(write_key, "page", context=said)
        assert Event.objects.get().purposes == ["personalization"]

    def test_a_valid_token_wins_over_the_id_that_is_claimed(self, ada: Front, write_key: str) -> None:
        other = agreed()
        body = orjson.dumps({"event": "Seen", "anonymousId": other.visitor, "writeKey": write_key})
        Front().post("/v1/t", body, content_type="text/plain", headers={"X-Visitor": ada.token})
        assert str(Event.objects.get().subject_key) == ada.visitor

    def test_bots_are_dropped_by_the_events_own_user_agent(self, ada: Front, write_key: str) -> None:
        bot = {"userAgent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}
        assert dropped(ada.send(write_key, "page", context=bot)) == {"bot": 1}
        headless = {"userAgent": "Mozilla/5.0 HeadlessChrome/130"}
        assert ada.send(write_key, "page", context=headless).json()["accepted"] == 1


class TestTraits:
    def test_only_declared_ones_of_an_open_purpose_and_the_right_type_are_kept(
        self, ada: Front, write_key: str
    ) -> None:
        ada.tells(write_key, kids=2, letter="weekly", shoe_size=44, first_name="Ada")
        profile = Profile.objects.get(pk=ada.visitor)
        assert profile.traits == {"kids": 2}
        assert b"Ada" not in bytes(profile.sealed or b"")
        assert dropped(ada.tells(write_key, letter="weekly")) == {"no_consent": 1}
        assert dropped(ada.tells(write_key, shoe_size=44)) == {"undeclared": 1}
        assert dropped(ada.tells(write_key, kids="two")) == {"wrong_type": 1}
        assert dropped(ada.tells(write_key, born="0001-01-01T00:00:00+14:00")) == {"wrong_type": 1}

    def test_a_trait_set_to_null_is_forgotten(self, ada: Front, write_key: str) -> None:
        ada.tells(write_key, kids=2)
        ada.tells(write_key, kids=None)
        assert Profile.objects.get(pk=ada.visitor).traits == {}

    def test_a_public_key_cannot_make_anybody_gold(self, ada: Front, write_key: str, server_key: str) -> None:
        assert dropped(ada.tells(write_key, tier="gold")) == {"untrusted": 1}
        assert ada.variant("/gold") == ("default", "default")
        assert ada.tells(server_key, tier="gold").json()["accepted"] == 1
        assert ada.variant("/gold") == ("loyal", "matched")

    def test_what_somebody_said_is_not_kept_with_the_event(self, ada: Front, write_key: str) -> None:
        ada.tells(write_key, first_name="Ada")
        assert Event.objects.get().properties == {}


class TestJoining:
    def proof(self, user: str) -> dict[str, str]:
        digest = hmac.new(settings.SITE_SECRET.encode(), user.encode(), hashlib.sha256).hexdigest()
        return {"userHash": digest}

    def test_a_public_key_joins_nothing_without_the_sites_hash(self, ada: Front, write_key: str) -> None:
        for context in ({}, {"userHash": "0" * 64}, self.proof("u-2"), {"userHash": "\xe9"}, {"userHash": 7}):
            ada.send(write_key, "identify", userId="u-1", traits={"kids": 1}, context=context)
        assert not SubjectIdentifier.objects.exists()

    def test_the_hash_or_a_secret_key_joins(self, ada: Front, write_key: str, server_key: str) -> None:
        ada.send(write_key, "identify", userId="u-1", traits={"kids": 1}, context=self.proof("u-1"))
        assert str(owner_of("user", "u-1")) == ada.visitor
        ben = agreed()
        ben.send(server_key, "identify", userId="u-2", traits={"kids": 1})
        assert str(owner_of("user", "u-2")) == ben.visitor

    def test_who_is_somebody_becomes_nobody_else(self, ada: Front, server_key: str) -> None:
        ada.send(server_key, "identify", userId="u-1")
        ada.send(server_key, "identify", userId="u-2")
        assert owner_of("user", "u-2") is None

    def test_saying_who_one_is_needs_no_trait(self, ada: Front, write_key: str) -> None:
        answer = ada.send(write_key, "identify", userId="u-1", context=self.proof("u-1"))
        assert answer.json()["accepted"] == 1
        assert str(owner_of("user", "u-1")) == ada.visitor

    def test_an_identifier_is_stored_encrypted(self, ada: Front, server_key: str) -> None:
        ada.send(server_key, "identify", userId="ada@example.org")
        row = SubjectIdentifier.objects.get()
        assert b"ada" not in bytes(row.value_enc)
        assert "@" not in row.blind_index


@pytest.mark.parametrize(
    ("method", "path"),
    [("post", "/api/v1/preview"), ("get", "/api/v1/pages/?explain"), ("post", "/api/v1/catalogue/hero")],
)
def test_a_write_key_reads_nothing(write_key: str, method: str, path: str) -> None:
    answer = (
        getattr(Front(), method)(
            path,
            data={} if method == "get" else b"{}",
            content_type="application/json",
            headers={"Authorization": f"Api-Key {write_key}"},
        )
        if method == "post"
        else Front().get(path, headers={"Authorization": f"Api-Key {write_key}"})
    )
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "permission_denied")


def test_a_key_without_the_scope_sends_nothing(preview_key: str) -> None:
    assert agreed().send(preview_key, "page").status_code == 403


def test_the_next_page_reflects_every_event_that_was_acknowledged(write_key: str) -> None:
    front = agreed()
    for times, variant in ((1, "default"), (2, "default"), (3, "loyal")):
        front.buys(write_key)
        assert front.variant()[0] == variant, times


@pytest.mark.parametrize("path", ["/v1/projects/{}/settings", "/sourceConfig/?writeKey={}"])
def test_the_sdks_of_browsers_find_their_settings(write_key: str, path: str) -> None:
    answer = Front().get(path.format(write_key))
    assert answer.status_code == 200
    assert answer.json()["integrations"]["Segment.io"]["apiHost"] == "testserver/v1"


def test_what_an_sdk_says_of_itself_is_answered_and_not_kept() -> None:
    answer = Front().post("/v1/m", b'{"series": [{"metric": "x"}]}', content_type="text/plain")
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert not Event.objects.exists()


def test_a_beacon_of_rudderstack_is_a_batch(ada: Front, write_key: str) -> None:
    body = {"batch": [{"type": "track", "event": "Seen", "anonymousId": ada.visitor}]}
    path = f"/beacon/v1/batch?writeKey={write_key}"
    answer = Front().post(
        path, orjson.dumps(body), content_type="text/plain", headers={"Origin": "https://a.example"}
    )
    assert answer.json()["accepted"] == 1
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "name",
    [
        "anonymousid",
        "sentat",
        "x-retry-count",
        "rsa-recovered",
        "rsa-retry-attempt",
        "rsa-since-last-attempt",
    ],
)
def test_browsers_may_send_what_the_sdks_send_along(name: str) -> None:
    headers = {
        "Origin": "https://a.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": f"authorization,{name}",
    }
    answer = Front().options("/v1/track", headers=headers)
    assert name in answer.headers["Access-Control-Allow-Headers"].split(", ")


def test_an_unknown_trait_does_not_keep_somebody_from_being_known(ada: Front, server_key: str) -> None:
    answer = ada.send(server_key, "identify", userId="u-1", traits={"shoe": 43}).json()
    assert (answer["accepted"], answer["traits"]) == (1, {"shoe": "undeclared"})
    assert str(owner_of("user", "u-1")) == ada.visitor
