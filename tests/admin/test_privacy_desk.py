"""The privacy desk: who may do what with a request, what is on record, and what its pages tell and keep to themselves."""

import csv
import datetime as dt
import io
import uuid
from pathlib import Path
from typing import Any

import pgtrigger
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from cms.roles import AUTHORS, PUBLISHERS, ensure_roles
from consent import lines, trends
from consent.checkpoints import ledger_file, make
from consent.decisions import How, decide
from consent.models import (
    AccessLog,
    ConsentEvent,
    ConsentState,
    Feeling,
    LedgerCheckpoint,
    PrivacyRequest,
    PropagationJob,
    Purpose,
    Subject,
)
from consent.processing import records
from consent.purposes import current_notice
from consent.seal import new_key, seal
from tests.admin.content import client_of

pytestmark = pytest.mark.django_db
Kind, State = PrivacyRequest.Kind, PrivacyRequest.State
PAGES = ("consent_desk", "consent_processing", "consent_processing_csv", "consent_rates")


@pytest.fixture(autouse=True)
def office(tmp_path: Path, settings: Any) -> None:
    ensure_roles()
    settings.LEDGER_DIR = tmp_path / "ledger"


def a_request(kind: str = Kind.ERASE, state: str = State.VERIFYING, **values: Any) -> PrivacyRequest:
    """Make a request of somebody, due in twelve days unless told otherwise."""
    now = timezone.now()
    person = Subject.objects.create(created_at=now)
    defaults = {
        "subject_key": person.pk, "regime": "gdpr", "channel": "dashboard", "received_at": now - dt.timedelta(days=18),
        "due_at": now + dt.timedelta(days=12, hours=1), "not_before": now,
    }  # fmt: skip
    return PrivacyRequest.objects.create(kind=kind, state=state, **(defaults | values))


def step_url(row: PrivacyRequest, step: str) -> str:
    return reverse("admin:consent_privacyrequest_step", args=[row.pk, step])


def page_of(row: PrivacyRequest, role: str | None = PUBLISHERS) -> Any:
    return client_of(role).get(reverse("admin:consent_privacyrequest_change", args=[row.pk]))


def shown(name: str, role: str | None = PUBLISHERS, **query: str) -> str:
    answer = client_of(role).get(reverse(f"admin:{name}"), query)
    assert answer.status_code == 200
    return str(answer.content.decode())


# -- requests -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "kind", "state", "sent", "becomes"),
    [
        ("confirm", Kind.ERASE, State.VERIFYING, {}, State.WAITING),
        ("refuse", Kind.EXPORT, State.WAITING, {"sentence": "We could not tell that it is you."}, State.REFUSED),
        ("settle", Kind.RECTIFY, State.WAITING, {"sentence": "Your name is right now."}, State.DONE),
        ("settle", Kind.RECTIFY, State.WAITING, {}, State.DONE),
        ("again", Kind.EXPORT, State.FAILED, {}, State.WAITING),
    ],
)  # fmt: skip
def test_a_step_asks_first_and_then_is_done_and_on_record(
    step: str, kind: str, state: str, sent: dict[str, str], becomes: str
) -> None:
    row = a_request(kind, state, attempts=8, error="TimeoutError")
    client = client_of(PUBLISHERS)
    asked = client.get(step_url(row, step))
    assert (asked.status_code, AccessLog.objects.count()) == (200, 0)
    answer = client.post(step_url(row, step), sent, follow=True)
    assert answer.redirect_chain[-1][0] == reverse("admin:consent_privacyrequest_change", args=[row.pk])
    assert len(list(answer.context["messages"])) == 1
    row.refresh_from_db()
    assert (row.state, row.answer) == (becomes, sent.get("sentence", ""))
    noted = AccessLog.objects.get()
    assert (noted.kind, noted.actor, noted.subject_key) == (
        "request_answered",
        "staff:Publishers",
        row.subject_key,
    )
    assert noted.reason.partition(": ")[2] in {one["said"] for one in _story(answer)}


def _story(answer: Any) -> list[dict[str, Any]]:
    return [{"at": at, "said": said, "more": more} for at, said, more in answer.context["story"]]


def test_what_is_confirmed_is_confirmed_by_the_office_and_what_is_tried_again_begins_anew() -> None:
    row, failed = a_request(), a_request(Kind.EXPORT, State.FAILED, attempts=8, error="TimeoutError")
    client_of(None).post(step_url(row, "confirm"))
    client_of(None).post(step_url(failed, "again"))
    row.refresh_from_db()
    failed.refresh_from_db()
    assert row.verification == "staff"
    assert (failed.attempts, failed.error) == (0, "")


@pytest.mark.parametrize(
    ("kind", "state", "steps"),
    [
        (Kind.ERASE, State.VERIFYING, {"confirm", "refuse"}),
        (Kind.RECTIFY, State.WAITING, {"settle", "refuse"}),
        (Kind.EXPORT, State.FAILED, {"again", "refuse"}),
        (Kind.EXPORT, State.WORKING, set()),
        (Kind.EXPORT, State.READY, set()),
        (Kind.ERASE, State.REFUSED, set()),
    ],
)
def test_only_what_can_be_done_is_offered(kind: str, state: str, steps: set[str]) -> None:
    row = a_request(kind, state)
    assert {one.key for one in page_of(row).context["steps"]} == steps
    for step in {"confirm", "settle", "again", "refuse"} - steps:
        client_of(PUBLISHERS).post(step_url(row, step), {"sentence": "No."})
    row.refresh_from_db()
    assert row.state == state
    assert not AccessLog.objects.exists()


def test_who_may_answer_reads_what_would_be_right_and_that_is_on_record() -> None:
    row = a_request(Kind.RECTIFY, State.WAITING, details={"name": "features.sessions"})
    assert row.subject_key is not None
    new_key(row.subject_key).save()
    row.said_enc = seal(row.subject_key, b"I was here once")
    row.save()
    page = page_of(row).content.decode()
    assert "I was here once" in page
    assert "visits (features.sessions)" in page
    (entry,) = AccessLog.objects.all()
    assert (entry.kind, entry.subject_key, entry.place) == (
        AccessLog.Kind.PROFILE_READ,
        row.subject_key,
        step_url(row, "x").removesuffix("step/x/") + "change/",
    )
    assert client_of(AUTHORS).get(entry.place).status_code == 403
    client_of(PUBLISHERS).post(step_url(row, "settle"), {"sentence": "One visit it is."})
    assert "I was here once" not in page_of(row).content.decode()


@pytest.mark.parametrize("sentence", ["", "   ", "x" * 501])
def test_a_refusal_needs_a_sentence(sentence: str) -> None:
    row = a_request()
    answer = client_of(PUBLISHERS).post(step_url(row, "refuse"), {"sentence": sentence})
    assert answer.status_code == 400
    assert "aria-invalid" in answer.content.decode()
    row.refresh_from_db()
    assert row.state == State.VERIFYING


def test_who_sees_no_people_sees_no_requests_and_changes_none() -> None:
    row = a_request()
    assert page_of(row, AUTHORS).status_code == 403
    assert client_of(AUTHORS).post(step_url(row, "confirm")).status_code == 403
    for name in (*PAGES, "consent_privacyrequest_changelist"):
        assert client_of(AUTHORS).get(reverse(f"admin:{name}")).status_code == 403
    row.refresh_from_db()
    assert row.state == State.VERIFYING
    assert "1 open" not in client_of(AUTHORS).get(reverse("admin:index")).content.decode()


def test_a_request_that_somebody_answered_meanwhile_stays_as_they_left_it(monkeypatch: Any) -> None:
    row = a_request(Kind.EXPORT, State.WAITING)
    monkeypatch.setattr("consent.rights.refuse", lambda *_, **__: False)
    answer = client_of(PUBLISHERS).post(step_url(row, "refuse"), {"sentence": "No."}, follow=True)
    assert "Somebody was faster" in answer.content.decode()
    assert not AccessLog.objects.exists()


def test_open_requests_come_first_the_most_urgent_on_top_and_the_clock_is_in_words() -> None:
    now = timezone.now()
    done = a_request(
        Kind.EXPORT, State.DONE, due_at=now - dt.timedelta(days=9), done_at=now - dt.timedelta(days=10)
    )
    late_answer = a_request(Kind.EXPORT, State.DONE, due_at=now - dt.timedelta(days=10), done_at=now)
    calm = a_request()
    late = a_request(due_at=now - dt.timedelta(days=2, hours=1))
    url = reverse("admin:consent_privacyrequest_changelist")
    answer = client_of(PUBLISHERS).get(url)
    assert [one.pk for one in answer.context["cl"].result_list][:2] == [late.pk, calm.pk]
    text = answer.content.decode()
    for said in ("overdue by 2 days", "in 12 days", "answered in time", "answered late", "2 open"):
        assert said in text
    assert str(late.subject_key) not in text
    found = {
        clock: {one.pk for one in client_of(None).get(url, {"clock": clock}).context["cl"].result_list}
        for clock in ("open", "overdue", "answered")
    }
    assert found == {
        "open": {late.pk, calm.pk},
        "overdue": {late.pk},
        "answered": {done.pk, late_answer.pk},
    }


def test_an_export_that_waits_is_neither_loaded_nor_shown() -> None:
    row = a_request(
        Kind.EXPORT, State.READY, result_enc=b"canary", result_expires=timezone.now() + dt.timedelta(days=3)
    )
    with CaptureQueriesContext(
        connection,
    ) as asked:
        answer = page_of(row)
        shown("consent_privacyrequest_changelist")
        shown("consent_desk")
    assert "result_enc" not in " ".join(one["sql"] for one in asked)
    assert "canary" not in answer.content.decode()
    assert "The export is deleted" in {one["said"] for one in _story(answer)}


def test_the_page_of_a_request_of_somebody_erased_still_proves_that_it_was_answered() -> None:
    row = a_request(state=State.DONE, done_at=timezone.now())
    PrivacyRequest.objects.filter(pk=row.pk).update(subject_key=None)
    text = page_of(row).content.decode()
    assert "erased since" in text
    assert "answered in time" in text


# -- the desk -------------------------------------------------------------------------------------------


def decided(n: int = 1, *, wanted: bool = True, purpose: str = "personalization", days_ago: int = 0) -> None:
    """Let `n` people allow a purpose, and withdraw it where it is not wanted."""
    now = timezone.now() - dt.timedelta(days=days_ago)
    how = How(method="test", notice=str(current_notice(1, now=now).n))
    for _ in range(n):
        subject = decide(None, {purpose: True}, how=how, now=now).subject_id
        if not wanted:
            decide(subject, {purpose: False}, how=how, now=now)


def test_an_empty_desk_says_what_will_come() -> None:
    text = shown("consent_desk")
    for said in (
        "Nobody waits",
        "nobody decided anything yet",
        "The first decision",
        "every withdrawal was carried out",
    ):
        assert said in text
    assert "Nobody decided anything" in shown("consent_rates")
    assert "Nobody said so yet" in shown("consent_rates")


def test_the_desk_shows_whose_clock_runs_and_what_failed() -> None:
    now = timezone.now()
    for days in (3, -1):
        a_request(due_at=now + dt.timedelta(days=days, hours=1))
    PropagationJob.objects.create(
        subject_key=uuid.uuid4(), holder="events", purposes=["analytics"], state="failed", created_at=now, not_before=now
    )  # fmt: skip
    text = shown("consent_desk")
    for said in ("in 3 days", "overdue by 23 hours", "1 overdue", "1 failed", "1 holder"):
        assert said in text


def test_the_desk_compares_the_last_checkpoint_with_its_copy() -> None:
    decided(2)
    make(now=timezone.now())
    assert "equals its copy outside the database" in shown("consent_desk")
    held = ledger_file().read_text()
    ledger_file().write_text(held.replace('"entries":', '"entries":1'))
    assert "differs from its copy" in shown("consent_desk")
    ledger_file().unlink()
    assert "has no copy outside" in shown("consent_desk")
    ledger_file().write_text(held)
    lines.append(ledger_file(), {"n": 2})
    assert "a later checkpoint outside" in shown("consent_desk")
    with pgtrigger.ignore():
        LedgerCheckpoint.objects.all().delete()
    assert "a later checkpoint outside" in shown("consent_desk")


# -- records of processing ------------------------------------------------------------------------------


def test_the_records_name_every_store_its_purposes_and_how_many_people(settings: Any) -> None:
    settings.CONTROLLER = settings.CONTROLLER | {"name": "Fjell AS"}
    settings.ACCESS_LOG_DAYS = 200
    decided(3)
    found = {one.model: one for one in records(site_id=1)}
    state = found["consent.ConsentState"]
    assert (state.people, state.holder, state.rule) == (3, "What one decided", "")
    assert [one.basis for one in state.purposes] == [
        Purpose.objects.get(key="necessary").get_legal_basis_display()
    ]
    assert found["consent.Subject"].people == 3
    assert "value (encrypted)" in found["consent.SubjectIdentifier"].fields
    assert found["consent.AccessLog"].kept == "200 days"
    text = shown("consent_processing")
    assert "Fjell AS" in text
    assert "consent.ConsentState" in text
    assert "What holds nothing of anybody" in text
    assert "cms.Page" in text


def test_the_records_are_a_table_for_spreadsheets(settings: Any) -> None:
    settings.CONTROLLER = settings.CONTROLLER | {"name": "=cmd()"}
    decided(2)
    answer = client_of(PUBLISHERS).get(reverse("admin:consent_processing_csv"))
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "records-of-processing.csv" in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode().removeprefix("\ufeff"))))
    assert len(rows) == len(records(site_id=1))
    (state,) = [row for row in rows if row["model"] == "consent.ConsentState"]
    assert (state["people now"], state["who answers for it"]) == ("2", "What one decided")
    assert state["controller"].startswith("'=")


# -- consent over time ----------------------------------------------------------------------------------


def test_rates_are_counted_in_one_statement_by_day_purpose_and_version() -> None:
    decided(12)
    decided(11, wanted=False, days_ago=1)
    decided(1, days_ago=91)
    with CaptureQueriesContext(connection) as asked:
        rows = trends.decisions(site_id=1, now=timezone.now())
    assert len(asked) == 1
    today = timezone.now().astimezone(dt.UTC).date()
    notice = str(current_notice(1, now=timezone.now()).n)
    assert rows == [
        trends.Decided(today - dt.timedelta(days=1), "personalization", notice, granted=11, closed=11),
        trends.Decided(today, "personalization", notice, granted=12, closed=0),
    ]
    (rate,) = trends.by_version(rows).values()
    assert (rate, rate.share) == (trends.Rate(23, 11), "68 %")


def test_the_page_of_rates_asks_as_little_for_many_days_as_for_one() -> None:
    decided(1)
    shown("consent_rates")
    with CaptureQueriesContext(connection) as few:
        shown("consent_rates")
    for days in range(1, 9):
        decided(1, days_ago=days, purpose="analytics")
    with CaptureQueriesContext(connection) as many:
        shown("consent_rates")
    assert len(many) == len(few)


def test_small_numbers_are_told_as_that_and_drawn_as_none() -> None:
    decided(9, wanted=False)
    decided(3)
    text = shown("consent_rates")
    assert "Who refused at once is not in it" in text
    ((_, _, granted, closed, share),) = (
        client_of(PUBLISHERS).get(reverse("admin:consent_rates")).context["versions"]
    )
    assert (granted, closed, share) == ("12", "fewer than 10", "")
    assert "refused or withdrawn at most 0 a day" in text
    assert ">9<" not in text


def test_who_is_nobody_and_refuses_is_in_no_number() -> None:
    now = timezone.now()
    decide(None, {"personalization": False}, how=How(method="test", notice="1"), now=now)
    assert trends.decisions(site_id=1, now=now) == []
    assert not ConsentEvent.objects.exists()
    assert not ConsentState.objects.exists()


def test_how_personal_the_site_feels_is_counted_by_level() -> None:
    today = timezone.now().date()
    for level, count, days in ((3, 14, 0), (3, 6, 5), (1, 4, 0), (5, 50, 100)):
        Feeling.objects.create(day=today - dt.timedelta(days=days), level=level, count=count)
    assert trends.feelings(site_id=1, now=timezone.now()) == {1: 4, 2: 0, 3: 20, 4: 0, 5: 0}
    text = shown("consent_rates")
    assert "just right</th><td>20</td>" in text
    assert "far too personal</th><td>fewer than 10</td>" in text


@pytest.mark.parametrize(
    ("name", "here"),
    [("consent_desk", "Privacy desk"), ("consent_rates", "Privacy desk"), ("consent_privacyrequest_changelist", "Requests")],
)  # fmt: skip
def test_the_menu_marks_one_line(name: str, here: str) -> None:
    groups = client_of(None).get(reverse(f"admin:{name}")).context["sidebar_navigation"]
    assert [one["title"] for group in groups for one in group["items"] if one["active"]] == [here]
