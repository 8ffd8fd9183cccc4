"""What a decision keeps of its circumstances: who else is told, on what it rests, where and how old somebody is, what was read."""

import io
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from consent.audit import audit
from consent.deadlines import CCPA, GDPR
from consent.models import ConsentEvent, ConsentState, NoticeVersion, Purpose, Subject
from consent.purposes import digest_of
from consent.rights import ask
from personalization.models import WebhookEndpoint
from tests.builders import NOW, the_site
from tests.flows.front import Front, agreed

pytestmark = pytest.mark.usefixtures("shop")


def choose(front: Front, *, headers: dict[str, str] | None = None, **body: Any) -> Any:
    choice = {"purposes": {"personalization": True}, "notice": front.notice()} | body
    answer = front.change(choice, headers=headers or front._headers("", True, {}))
    if answer.status_code == 200 and answer.json()["token"]:
        front.token, front.visitor = answer.json()["token"], answer.json()["visitor_id"]
    return answer


def test_a_receipt_says_who_else_is_told_and_on_what_it_rested_then() -> None:
    WebhookEndpoint.objects.create(
        site=the_site(),
        title="The mail house",
        url="https://mail.example/",
        secret=b"x",
        purpose="personalization",
    )
    front = Front()
    receipt = choose(front).json()["receipt"]
    assert receipt["recipient_third_parties"] == ["The mail house"]
    assert receipt["authority"] == ""
    (said,) = receipt["purposes"]
    assert (said["lawful_basis"], said["mechanism"], said["sale_or_share"]) == ("consent", "opt_in", False)
    Purpose.objects.filter(key="personalization").update(legal_basis="legit_interest", sensitive=True)
    WebhookEndpoint.objects.update(active=False)
    (later,) = front.get("/api/v1/consent/history", headers=front._headers("", True, {})).json()
    assert later["recipient_third_parties"] == ["The mail house"]
    assert (later["purposes"][0]["lawful_basis"], later["purposes"][0]["special_category"]) == (
        "consent",
        False,
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"age_band": "child"}, 400), ({"age_band": "teen"}, 400), ({"age_band": "youth"}, 200), ({"age_band": "adult"}, 200),
        ({"age_band": "child", "guardian": True}, 200), ({}, 200), ({"age_band": "old"}, 400), ({"guardian": "yes"}, 400),
    ],
)  # fmt: skip
def test_a_child_alone_cannot_allow_what_has_a_minimum_age(body: dict[str, Any], status: int) -> None:
    Purpose.objects.filter(key="personalization").update(min_age=16)
    before = Subject.objects.count()
    answer = choose(Front(), **body)
    assert answer.status_code == status, answer.content
    if status == 400:
        assert Subject.objects.count() == before  # nothing is kept of who could not say yes
        assert answer.json()["errors"][0]["attr"] in ("purposes.personalization", "age_band", "guardian")
    else:
        assert answer.json()["receipt"]["guardian"] is body.get("guardian", False)


def test_who_is_known_to_be_a_child_stays_one_and_can_always_refuse() -> None:
    Purpose.objects.filter(key="personalization").update(min_age=16)
    front = Front()
    assert choose(front, purposes={"analytics": True}, age_band="child").status_code == 200
    refused = choose(front)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "guardian_needed")
    older = choose(front, age_band="adult")
    assert (older.status_code, older.json()["errors"][0]["code"]) == (400, "age_known")
    assert choose(front, purposes={"personalization": False}).status_code == 200
    page = front.get("/privacy/")
    assert page.status_code == 200
    form = {"notice": front.notice(), "personalization": "yes", "analytics": "yes"}
    front.cookies["tessera_visitor"] = front.token or ""
    back = front.post("/privacy/", form, headers={"Sec-Fetch-Site": "same-origin"})
    assert "said=guardian" in back.headers["Location"]
    assert ConsentState.objects.get(pk=front.visitor).state["personalization"] == "refused"


@pytest.mark.parametrize(
    ("headers", "place", "law"),
    [({}, "", GDPR), ({"CF-Country": "de"}, "DE", GDPR), ({"CF-Country": "US", "CF-Region": "ca"}, "US-CA", CCPA), ({"CF-Country": "<x>"}, "", GDPR)],
)  # fmt: skip
def test_the_law_is_that_of_the_place_that_a_trusted_proxy_names(
    headers: dict[str, str], place: str, law: str, settings: Any
) -> None:
    settings.TRUSTED_COUNTRY_HEADER, settings.TRUSTED_REGION_HEADER = "CF-Country", "CF-Region"
    front = Front()
    receipt = choose(front, headers=headers).json()["receipt"]
    assert receipt["jurisdiction"] == law
    assert Subject.objects.get(pk=front.visitor).jurisdiction == place
    asked = ask(
        "access", Subject.objects.get(pk=front.visitor).pk, channel="page", verification="token", now=NOW
    )
    assert asked.regime == law


def shown(name: str) -> str:
    out = io.StringIO()
    call_command("show_decision", name, stdout=out)
    return out.getvalue()


def test_one_command_shows_a_decision_with_the_text_that_was_read() -> None:
    front = Front()
    asked = front.get("/api/v1/consent?locale=de").json()
    receipt = choose(front, served=asked["served"]).json()["receipt"]
    found = shown(receipt["receipt_id"])
    assert found == shown(receipt["record_id"])
    assert str(front.visitor) in found
    assert "personalization: granted" in found
    assert "shown, as its signed statement says" in found
    (asked_for,) = [
        one
        for one in front.get("/api/v1/consent?locale=en").json()["notice"]["purposes"]
        if one["key"] == "personalization"
    ]
    assert f"{asked_for['title']}: {asked_for['summary']}" in found
    assert "The chain is whole" in found
    with pytest.raises(CommandError, match="no decision"):
        shown("f" * 64)


def test_the_command_fails_where_the_chain_is_broken() -> None:
    front = agreed(personalization=True)
    front.decide(personalization=False)
    entry = ConsentEvent.objects.filter(subject_key=front.visitor).order_by("seq").first()
    assert entry is not None
    with connection.cursor() as cursor:  # as somebody with the database's own hand would
        cursor.execute("ALTER TABLE consent_consentevent DISABLE TRIGGER USER")
        cursor.execute("UPDATE consent_consentevent SET method = 'x' WHERE id = %s", [entry.pk])
        cursor.execute("ALTER TABLE consent_consentevent ENABLE TRIGGER USER")
    with pytest.raises(CommandError, match="does not prove"):
        shown(f"{front.visitor}:1")


def test_words_that_were_changed_afterwards_are_not_those_that_were_read(
    tmp_path: Path, settings: Any
) -> None:
    settings.LEDGER_DIR = tmp_path
    front = agreed(personalization=True)
    assert "The chain is whole" in shown(f"{front.visitor}:1")
    notice = NoticeVersion.objects.get(n=int(front.notice()))
    texts = {**notice.texts, "en": {**notice.texts["en"], "summary": "You agree to everything."}}
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE consent_noticeversion DISABLE TRIGGER USER")
        NoticeVersion.objects.filter(pk=notice.pk).update(texts=texts)
        assert [one.detail for one in audit(now=NOW) if one.invariant == "ledger"] == [
            f"Notice {notice.n} does not say what it said when it was published."
        ]
        NoticeVersion.objects.filter(pk=notice.pk).update(sha256=digest_of(texts))  # and its digest as well
        cursor.execute("ALTER TABLE consent_noticeversion ENABLE TRIGGER USER")
    with pytest.raises(CommandError, match="does not prove"):
        shown(f"{front.visitor}:1")


def test_a_page_that_asks_carries_a_signed_statement_of_what_it_showed() -> None:
    front = Front()
    page = front.get("/privacy/").content.decode()
    served = page.split('name="served" value="')[1].split('"')[0]
    for statement, expected in ((served, True), ("form", False), ("", False)):
        browser = Front()
        form = {"notice": browser.notice(), "personalization": "yes", "served": statement}
        browser.post("/privacy/", form, headers={"Sec-Fetch-Site": "same-origin"})
        event = ConsentEvent.objects.order_by("-pk").first()
        assert event is not None
        assert (event.purpose, event.action, bool(event.served_id)) == (
            "personalization",
            "granted",
            expected,
        )


def test_a_signal_is_said_to_be_honoured_and_closes_what_it_covers_in_every_answer() -> None:
    front = agreed(marketing=True, personalization=True)
    covered = set(Purpose.objects.filter(gpc_applies=True).values_list("key", flat=True))
    assert "marketing" in covered
    plain = front.get("/api/v1/consent", headers=front._headers("", True, {})).json()
    assert (plain["opt_out_preference_signal"], plain["purposes"]["marketing"]) == (None, "granted")
    front.get("/api/v1/consent", headers=front._headers("", True, {"Sec_GPC": "1"}))
    kept = front.get(
        "/api/v1/consent", headers=front._headers("", True, {})
    ).json()  # another browser of theirs, without it
    assert kept["opt_out_preference_signal"] == "honored"
    assert (kept["purposes"]["marketing"], kept["purposes"]["personalization"]) == ("refused", "granted")
    mine = front.get("/api/v1/privacy/profile", headers=front._headers("", True, {})).json()
    assert mine["purposes"]["marketing"] == "refused"


def test_the_example_of_a_receipt_has_every_field_of_the_standard(tmp_path: Path) -> None:
    receipt = choose(Front()).json()["receipt"]
    mandatory = {
        "schema_version", "record_id", "receipt_id", "pii_principal_id", "privacy_notice", "language", "purposes", "party", "authority",
        "storage_locations", "jurisdiction", "recipient_third_parties", "withdrawal_method", "rights", "event_time", "entity_id",
    }  # fmt: skip
    assert mandatory <= receipt.keys()
    of_purpose = {
        "purpose", "lawful_basis", "necessity", "special_category", "retention_period_days", "validity_duration_days", "event_type",
        "event_state", "method", "collection_method", "processing_method", "pii_information",
    }  # fmt: skip
    assert of_purpose <= receipt["purposes"][0].keys()
    saved = tmp_path / "receipt.json"
    saved.write_bytes(orjson.dumps(receipt))
    call_command("verify_receipt", str(saved), stdout=io.StringIO())
