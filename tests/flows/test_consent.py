"""What people decide, through HTTP: states, notices, tokens, signals, receipts."""

import datetime as dt
import time
import uuid
from typing import Any

import pytest
import time_machine
from django.conf import settings

from consent.decisions import states_of
from consent.identities import claim
from consent.models import ConsentEvent, ConsentState, Purpose, Subject
from consent.purposes import current_notice
from consent.state import read_gates
from consent.tokens import make_token, read_token
from tests.builders import make_home, make_trait
from tests.flows.front import Front, agreed, make_key

pytestmark = pytest.mark.django_db
STATES = {"necessary", "analytics", "personalization", "profiling", "marketing", "third_party", "sensitive"}


def error_of(answer: Any) -> tuple[int, str, str | None]:
    """Return status, code and attribute of the first error, and check the one shape that errors have."""
    body = answer.json()
    assert body["type"] in ("validation_error", "client_error")
    assert all(set(one) == {"code", "detail", "attr"} for one in body["errors"])
    return answer.status_code, body["errors"][0]["code"], body["errors"][0]["attr"]


def test_nobody_is_asked_with_the_notice_and_every_purpose_unset() -> None:
    answer = Front().get("/api/v1/consent")
    body = answer.json()
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert body["visitor_id"] is None
    assert body["purposes"] == {key: "granted" if key == "necessary" else "unset" for key in STATES}
    assert {one["key"] for one in body["notice"]["purposes"]} == {"necessary"}  # nothing reads anything yet
    assert body["ask"] == {"needed": False, "why": None}
    fields = {"key", "title", "summary", "details", "legal_basis", "required", "sensitive"}
    assert all(set(one) == fields for one in body["notice"]["purposes"])
    assert body["signals"] == {"gpc": False}
    assert not answer.cookies


def test_the_notice_speaks_the_locale_that_was_asked_for() -> None:
    front = Front()
    assert front.get("/api/v1/consent?locale=de-AT").json()["notice"]["locale"] == "de"
    assert front.get("/api/v1/consent", headers={"Accept-Language": "de"}).json()["notice"]["locale"] == "de"
    assert front.get("/api/v1/consent?locale=xx").json()["notice"]["locale"] == "en"


def test_a_first_yes_makes_the_visitor_and_a_no_later_is_withdrawn() -> None:
    front = Front()
    first = front.decide(personalization=True, analytics=False)
    body = first.json()
    assert uuid.UUID(body["visitor_id"])
    assert (body["purposes"]["personalization"], body["purposes"]["analytics"]) == ("granted", "refused")
    assert body["purposes"]["marketing"] == "unset"
    cookie = first.cookies["tessera_visitor"]
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", "")
    second = front.decide(personalization=False).json()
    assert second["visitor_id"] == body["visitor_id"]
    assert second["purposes"]["personalization"] == "withdrawn"
    assert second["purposes"]["analytics"] == "refused"


def test_the_cookie_is_secure_over_https() -> None:
    answer = Front().put(
        "/api/v1/consent",
        {"purposes": {"analytics": True}, "notice": Front().notice()},
        content_type="application/json",
        secure=True,
    )
    assert answer.cookies["tessera_visitor"]["secure"] is True


def test_a_grant_that_ran_out_is_expired_and_its_gate_closed() -> None:
    front = agreed()
    row = ConsentState.objects.get(subject_id=front.visitor)
    row.expires["personalization"] = time.time() - 1
    row.save()
    now = dt.datetime.now(dt.UTC)
    assert states_of(row, now=now)["personalization"] == "expired"
    assert read_gates(row.subject_id).granted == frozenset()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"purposes": {"analytics": True}}, (400, "notice_unknown", "notice")),
        ({"purposes": {"analytics": True}, "notice": "99"}, (400, "notice_unknown", "notice")),
        ({"purposes": {"analytics": True}, "notice": 1}, (400, "notice_unknown", "notice")),
        ({"purposes": {"analytics": True}, "notice": "٣"}, (400, "notice_unknown", "notice")),
        ({"purposes": {"astrology": True}, "notice": "1"}, (400, "unknown_purpose", "purposes.astrology")),
        ({"purposes": {"necessary": False}, "notice": "1"}, (400, "required_purpose", "purposes.necessary")),
        ({"purposes": {"analytics": "yes"}, "notice": "1"}, (400, "invalid", "purposes.analytics")),
        ({"purposes": [], "notice": "1"}, (400, "invalid", "purposes")),
        ({"notice": "1"}, (400, "invalid", "purposes")),
        ({"purposes": {}, "notice": "1", "cookie": 1}, (400, "unknown_field", "cookie")),
    ],
)
def test_what_cannot_be_decided_says_where_and_stores_nothing(body: Any, expected: Any) -> None:
    front = Front()
    front.notice()
    assert error_of(front.change(body)) == expected
    assert not Subject.objects.exists()


def test_a_superseded_notice_is_a_conflict_and_shows_the_current_one() -> None:
    make_key("ingest")  # from now on events are kept, and shown to the office
    front = Front()
    old = front.notice()
    Purpose.objects.filter(key="analytics").update(summary={"en": "We count other things now."})
    answer = front.change({"purposes": {"analytics": True}, "notice": old})
    assert error_of(answer) == (409, "notice_superseded", "notice")
    assert answer.json()["notice"]["version"] == front.notice() != old


def test_refusing_everything_stores_nothing_and_looks_the_same_for_everyone() -> None:
    no = dict.fromkeys(STATES - {"necessary"}, False)
    first, second = Front().decide(**no), Front().decide(**no)
    for answer in (first, second):
        assert [answer.json()[name] for name in ("visitor_id", "token", "receipt")] == [None, None, None]
        assert set(answer.json()["purposes"].values()) == {"granted", "refused"}
        assert "tessera_visitor" not in answer.cookies
    assert first.content == second.content
    spelled = [one.cookies["tessera_consent"].OutputString() for one in (first, second)]
    assert spelled[0].split("expires")[0] == spelled[1].split("expires")[0]
    assert first.cookies["tessera_consent"].value == f"refused.{Front().notice()}"
    assert not Subject.objects.exists()
    assert not ConsentEvent.objects.exists()


def test_deciding_nothing_leaves_no_cookie() -> None:
    answer = Front().decide()
    assert answer.status_code == 200
    assert not answer.cookies


def test_agreeing_forgets_that_everything_was_refused() -> None:
    front = Front()
    front.decide(analytics=False)
    answer = front.decide(analytics=True)
    assert answer.cookies["tessera_consent"]["max-age"] == 0


def test_the_statement_of_what_was_served_is_in_the_receipt() -> None:
    front = Front()
    asked = front.get("/api/v1/consent").json()
    choice = {"purposes": {"analytics": True}, "notice": asked["notice"]["version"]}
    assert front.change(choice | {"served": asked["served"]}).json()["receipt"]["served"] is True
    assert Front().change(choice).json()["receipt"]["served"] is False
    assert (
        Front().change(choice | {"served": asked["served"][:-1] + "!"}).json()["receipt"]["served"] is False
    )
    assert Front().change(choice | {"served": 7}).json()["receipt"]["served"] is False


def test_a_receipt_has_the_fields_of_the_standard_and_its_entries_of_the_ledger() -> None:
    receipt = agreed(analytics=True, marketing=True).get("/api/v1/consent/history")
    assert receipt.json() == []  # the cookie is gone, and no token was sent
    front = Front()
    receipt = front.decide(analytics=True, marketing=True).json()["receipt"]
    assert receipt["schema_version"] == "ISO/IEC TS 27560:2023"
    assert receipt["pii_principal_id"] == front.visitor
    assert [one["purpose"] for one in receipt["purposes"]] == ["analytics", "marketing"]
    assert {one["event_state"] for one in receipt["purposes"]} == {"granted"}
    assert [one["seq"] for one in receipt["ledger"]] == [1, 2]
    assert receipt["ledger"][1]["prev"] == receipt["ledger"][0]["hash"]
    stored = ConsentEvent.objects.filter(subject_key=front.visitor).order_by("seq")
    assert [one["hash"] for one in receipt["ledger"]] == [row.hash for row in stored]


def test_history_lists_ones_own_decisions_the_newest_first() -> None:
    front = agreed(analytics=True)
    front.decide(analytics=False)
    answer = Front().get("/api/v1/consent/history", headers={"X-Visitor": front.token})
    assert [one["purposes"][0]["event_state"] for one in answer.json()] == ["withdrawn", "granted"]
    assert agreed().get("/api/v1/consent/history").json() == []


class TestTheToken:
    def test_in_the_header_or_in_the_cookie_it_is_the_visitor(self) -> None:
        front = Front()
        front.decide(analytics=True)
        by_cookie = front.get("/api/v1/consent").json()
        by_header = Front().get("/api/v1/consent", headers={"X-Visitor": front.token}).json()
        assert by_cookie["visitor_id"] == by_header["visitor_id"] == front.visitor

    def test_the_header_counts_before_the_cookie(self) -> None:
        front, other = Front(), agreed(analytics=True)
        front.decide(analytics=True)
        answer = front.get("/api/v1/consent", headers={"X-Visitor": other.token})
        assert answer.json()["visitor_id"] == other.visitor

    @pytest.mark.parametrize("place", range(0, 90, 7))
    def test_with_any_byte_changed_it_is_nobody_on_reads_and_refused_on_changes(self, place: int) -> None:
        front = agreed()
        token = str(front.token)
        place = min(place, len(token) - 1)
        bad = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        headers = {"X-Visitor": bad}
        assert Front().get("/api/v1/consent", headers=headers).json()["visitor_id"] is None
        answer = Front().change({"purposes": {"analytics": True}, "notice": "1"}, headers=headers)
        assert error_of(answer)[:2] == (401, "not_authenticated")

    def test_a_bad_one_in_the_cookie_is_refused_on_changes_of_the_same_origin(self) -> None:
        front = Front()
        front.cookies["tessera_visitor"] = "v1.bad.1.x"
        same = {"Sec-Fetch-Site": "same-origin"}
        body = {"purposes": {"analytics": True}, "notice": front.notice()}
        assert front.get("/api/v1/consent").json()["visitor_id"] is None
        assert front.change(body, headers=same).status_code == 401

    def test_it_lives_thirteen_months_and_is_renewed_by_each_decision(self) -> None:
        now, visitor = dt.datetime.now(dt.UTC), uuid.uuid4()
        token = make_token(visitor, now=now)
        life = settings.VISITOR_MAX_AGE_SECONDS
        assert 390 <= life / 86_400 <= 400
        assert read_token(token, now=now.timestamp() + life - 120) == visitor
        assert read_token(token, now=now.timestamp() + life + 120) is None
        assert read_token(token, now=now.timestamp() - 3600) is None
        front = agreed(analytics=True)
        old = make_token(uuid.UUID(front.visitor), now=now - dt.timedelta(days=300))
        answer = Front().change({"purposes": {"analytics": True}, "notice": "1"}, headers={"X-Visitor": old})
        renewed = answer.json()["token"]
        assert read_token(renewed, now=now.timestamp() + life - 120) == uuid.UUID(front.visitor)

    def test_of_somebody_who_is_kept_no_more_it_is_nobody(self) -> None:
        gone = make_token(uuid.uuid4(), now=dt.datetime.now(dt.UTC))
        front = Front()
        front.token = gone
        assert front.decide(analytics=False).json()["visitor_id"] is None
        assert not Subject.objects.exists()
        again = front.decide(analytics=True).json()
        assert again["visitor_id"] not in (None, gone.split(".")[1])


CROSS = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}


class TestOrigins:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Sec-Fetch-Site": "same-origin"}, 200),
            ({"Origin": "http://testserver"}, 200),
            ({}, 403),
            (CROSS, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": "http://["}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Sec-Fetch-Site": "none"}, 403),
            ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"}, 403),
        ],
    )
    def test_the_cookie_speaks_for_somebody_on_the_same_origin_alone(
        self, headers: dict[str, str], status: int
    ) -> None:
        front = Front()
        front.decide(analytics=True)
        body = {"purposes": {"analytics": False}, "notice": front.notice()}
        assert front.change(body, headers=headers).status_code == status
        state = front.get("/api/v1/consent").json()["purposes"]["analytics"]
        assert state == ("withdrawn" if status == 200 else "granted")

    def test_an_origin_in_the_sites_list_is_at_home(self, settings: Any) -> None:
        settings.SITE_ORIGINS = ["https://www.shop.example"]
        front = Front()
        front.decide(analytics=True)
        body = {"purposes": {"analytics": False}, "notice": front.notice()}
        headers = {"Origin": "https://www.shop.example", "Sec-Fetch-Site": "cross-site"}
        assert front.change(body, headers=headers).status_code == 200

    def test_a_token_in_the_header_changes_something_from_anywhere(self) -> None:
        front = agreed(analytics=True)
        assert front.decide(analytics=False, headers=CROSS).status_code == 200

    def test_a_first_decision_checks_the_origin_where_it_is_sent(self) -> None:
        assert Front().decide(analytics=True, headers=CROSS).status_code == 403
        assert Front().decide(analytics=True, headers={"Origin": "https://evil.example"}).status_code == 403
        assert Front().decide(analytics=True).status_code == 200
        assert Front().decide(analytics=True, headers={"Origin": "http://testserver"}).status_code == 200

    def test_reading_changes_nothing(self) -> None:
        front = agreed(analytics=True)
        before = list(ConsentState.objects.values())
        for path in (
            "/api/v1/consent?purposes=x",
            "/api/v1/consent/history",
            "/privacy/",
            "/privacy/?all=no",
        ):
            assert front.get(path, headers={"X-Visitor": front.token}).status_code == 200
        assert list(ConsentState.objects.values()) == before
        assert ConsentEvent.objects.count() == 1

    @pytest.mark.parametrize("method", ["post", "patch", "delete"])
    def test_other_methods_are_not_allowed_and_say_so_in_one_shape(self, method: str) -> None:
        assert error_of(getattr(Front(), method)("/api/v1/consent"))[:2] == (405, "method_not_allowed")


class TestGlobalPrivacyControl:
    @pytest.mark.parametrize(
        ("sent", "on"),
        [
            ("1", True),
            (" 1", True),
            ("0, 1", True),
            ("0", False),
            ("true", False),
            ("11", False),
            ("", False),
        ],
    )
    def test_exactly_one_is_on_and_once_is_enough(self, sent: str, on: bool) -> None:
        answer = Front().get("/api/v1/consent", headers={"Sec-GPC": sent})
        assert answer.json()["signals"] == {"gpc": on}

    def test_it_is_kept_with_a_known_visitor_and_closes_what_it_covers(
        self, shop: None, write_key: str
    ) -> None:
        front = agreed(marketing=True, personalization=True)
        front.tells(write_key, letter="weekly")
        assert front.variant("/offers") == ("letter", "matched")
        assert front.variant("/offers", Sec_GPC="1") == ("default", "no_consent")
        assert front.variant("/offers") == ("default", "no_consent")  # kept: also without the header
        assert front.variant("/") == ("new", "matched")  # first-party personalisation is not what it covers
        row = ConsentState.objects.get(subject_id=front.visitor)
        assert row.gpc
        assert row.gpc_seen_at is not None
        last = ConsentEvent.objects.filter(subject_key=front.visitor).latest("seq")
        assert (last.action, last.actor) == ("opt_out_signal", "browser")

    def test_nothing_is_kept_of_nobody(self, shop: None) -> None:
        assert Front().variant("/offers", Sec_GPC="1") == ("default", "no_consent")
        assert not Subject.objects.exists()

    def test_a_decision_that_carries_it_closes_what_it_covers_with_its_duties(self) -> None:
        front = agreed(marketing=True)
        front.decide(analytics=True, headers={"Sec-GPC": "1"})
        assert read_gates(uuid.UUID(front.visitor)).granted == {"analytics"}
        actions = ConsentEvent.objects.filter(subject_key=front.visitor).order_by("seq")
        assert [row.action for row in actions] == ["granted", "granted", "opt_out_signal"]
        assert actions[2].jobs.filter(purposes__contains=["marketing"]).exists()


class TestThePageForPeople:
    def test_a_form_with_the_token_of_the_page_changes_what_it_names(self) -> None:
        from django.test import Client

        make_trait("kids", "number")
        front = Client(enforce_csrf_checks=True)
        page = front.get("/privacy/")
        notice = current_notice(1, now=dt.datetime.now(dt.UTC)).n
        form = {"notice": str(notice), "personalization": "yes"}
        ours, foreign = {"Sec-Fetch-Site": "same-origin"}, {"Origin": "https://elsewhere.example"}
        assert not front.cookies  # nothing tells this browser from another one
        assert front.post("/privacy/", form).status_code == 403
        assert front.post("/privacy/", form, headers=foreign).status_code == 403
        assert not ConsentState.objects.exists()
        answer = front.post("/privacy/", form, headers=ours)
        assert (page.status_code, answer.status_code) == (200, 302)
        assert ConsentState.objects.get().state == {"personalization": "granted"}
        refusal = {"notice": str(notice), "all": "no"}  # somebody known sends the token of the page as well
        assert front.post("/privacy/", refusal, headers=ours).status_code == 403
        front.get("/privacy/")
        token = {"csrfmiddlewaretoken": front.cookies["csrftoken"].value}
        assert front.post("/privacy/", refusal | token, headers=ours).status_code == 302
        assert ConsentState.objects.get().state == {"personalization": "withdrawn"}

    def test_the_site_sends_its_proof_from_a_page_that_knows_no_token_of_ours(self) -> None:
        from django.test import Client

        from tests.flows.test_dashboard import proof

        make_trait("kids", "number")
        front = Client(enforce_csrf_checks=True)
        ours, foreign = {"Sec-Fetch-Site": "same-origin"}, {"Origin": "https://elsewhere.example"}
        notice = current_notice(1, now=dt.datetime.now(dt.UTC)).n
        front.post("/privacy/", {"notice": str(notice), "personalization": "yes"}, headers=ours)
        claim(ConsentState.objects.get().pk, "user", "ada")
        form = {"userId": "ada", "userHash": proof("ada")}
        assert front.post("/privacy/prove/", form, headers=foreign).status_code == 403
        assert front.post("/privacy/prove/", form).status_code == 403
        answer = front.post("/privacy/prove/", form, headers=ours)
        assert "said=proved" in answer.headers["Location"]
        assert front.post("/privacy/rights/", {"kind": "export"}, headers=ours).status_code == 403

    def test_refusing_everything_there_stores_nothing(self) -> None:
        front = Front()
        front.get("/privacy/")
        answer = front.post("/privacy/", {"notice": front.notice(), "all": "no"})
        assert answer.cookies["tessera_consent"].value.startswith("refused.")
        assert not Subject.objects.exists()


def test_too_many_decisions_are_told_when_to_come_back(settings: Any) -> None:
    settings.RATES = settings.RATES | {"consent": (0.1, 2)}
    front = Front()
    answers = [front.decide(analytics=False) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert int(answers[2].headers["Retry-After"]) > 0


class TestAskingOnlyForWhatSomethingReads:
    def asked(self) -> set[str]:
        notice = Front().get("/api/v1/consent").json()["notice"]
        return {one["key"] for one in notice["purposes"]} - {"necessary"}

    def test_the_first_reader_makes_a_new_version_and_asks_again(self) -> None:
        front = Front()
        assert self.asked() == set()
        make_key("ingest")
        assert self.asked() == {"analytics", "personalization"}
        front.decide(analytics=True, personalization=True)
        version = front.notice()
        assert front.ask() == {"needed": False, "why": None}
        make_trait("letter", purpose="marketing")
        assert self.asked() == {"analytics", "personalization", "marketing"}
        assert int(front.notice()) == int(version) + 1
        assert front.ask() == {"needed": True, "why": "new_purpose"}

    def test_a_published_page_reads(self) -> None:
        make_home(
            {"key": "buyer", "when": {"features.orders": {"$exists": True, "$gte": 1}}, "block": "b"}, "a"
        )
        assert self.asked() == {"personalization"}

    def test_a_page_of_context_reads_nothing_of_anybody(self) -> None:
        make_home({"key": "phone", "when": {"context.device": {"$eq": "mobile"}}, "block": "b"}, "a")
        assert self.asked() == set()

    def test_the_page_for_people_decides_about_what_it_asks_and_nothing_else(self) -> None:
        make_trait("kids", "number")
        front = Front()
        front.get("/privacy/")
        front.post("/privacy/", {"notice": front.notice(), "all": "yes"})
        assert ConsentState.objects.get().state == {"personalization": "granted"}

    def test_a_refusal_is_left_in_peace_until_the_notice_changes(self) -> None:
        make_trait("kids", "number")
        front = Front()
        assert front.ask() == {"needed": True, "why": "unset"}
        front.decide(personalization=False)
        assert front.ask() == {"needed": False, "why": None}
        make_trait("letter", purpose="marketing")
        assert front.ask() == {"needed": True, "why": "notice_changed"}

    def test_who_is_known_is_asked_again_where_what_they_allowed_is_put_into_other_words(self) -> None:
        make_trait("kids", "number")
        yes, no = agreed(personalization=True), agreed(personalization=True, analytics=True)
        no.decide(personalization=False)
        purpose = Purpose.objects.get(key="analytics")
        purpose.summary = {**purpose.summary, "en": "Something that this notice does not ask for."}
        purpose.save()
        assert {one.ask()["why"] for one in (yes, no)} == {None}
        purpose = Purpose.objects.get(key="personalization")
        purpose.title = {**purpose.title, "fr": "Contenu personnel"}  # one language more says nothing new
        purpose.save()
        assert {one.ask()["why"] for one in (yes, no)} == {None}
        purpose.summary = {**purpose.summary, "en": "Pages, and letters by post."}
        purpose.save()
        assert {one.ask()["why"] for one in (yes, no)} == {"notice_changed"}
        yes.decide(personalization=True)
        no.decide(personalization=False)
        assert {one.ask()["why"] for one in (yes, no)} == {None}

    def test_who_is_known_is_asked_again_after_a_pause_and_when_a_grant_ran_out(self) -> None:
        make_trait("kids", "number")
        make_trait("letter", purpose="marketing")
        front = agreed(personalization=True, marketing=False)
        later = dt.datetime.now(dt.UTC) + dt.timedelta(days=181)
        assert front.ask() == {"needed": False, "why": None}
        with time_machine.travel(later):
            assert front.ask() == {"needed": True, "why": "pause_over"}
        with time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(days=390)):
            front.token = make_token(uuid.UUID(str(front.visitor)), now=dt.datetime.now(dt.UTC))
            front.decide(marketing=True)
        with time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(days=500)):
            front.token = make_token(uuid.UUID(str(front.visitor)), now=dt.datetime.now(dt.UTC))
            assert front.ask() == {"needed": True, "why": "expired"}


def test_a_browser_forgets_a_cookie_that_is_no_token_any_more() -> None:
    front = Front()
    front.cookies["tessera_visitor"] = "v1.bad"
    body = {"purposes": {"analytics": True}, "notice": front.notice()}
    refused = front.change(body, headers={"Sec-Fetch-Site": "same-origin"})
    assert refused.status_code == 401
    assert refused.cookies["tessera_visitor"].value == ""
    assert front.change(body, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_an_answer_that_answers_nothing_writes_nothing() -> None:
    front = agreed(analytics=True)
    before = ConsentState.objects.values().get(pk=front.visitor)
    answer = front.change(
        {"purposes": {}, "notice": front.notice(), "reminded": True}, headers={"X-Visitor": front.token or ""}
    )
    assert (answer.status_code, answer.json()["receipt"]) == (200, None)
    assert ConsentState.objects.values().get(pk=front.visitor) == before
