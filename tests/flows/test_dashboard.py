"""The privacy dashboard as a person uses it: plain forms, and pages that follow at once."""

import csv
import datetime as dt
import io
import json
import re
import uuid
import zipfile
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.utils import timezone

from consent import rights, wishes
from consent.enforcement import enforce
from consent.holding import export_requests
from consent.models import ConsentEvent, ConsentState, Feeling, PrivacyRequest, Subject
from consent.proofs import problems_of
from consent.rights import said_in, settle
from personalization.handles import outward
from personalization.knowledge import behaviour_known, facts_known
from personalization.lanes import catch_up
from personalization.models import Event, Exposure, Profile, Segment, WebhookDelivery, WebhookEndpoint
from personalization.segments.refresh import refresh
from personalization.visitor import BEHAVIOUR
from tests.builders import committing, the_site
from tests.flows.front import Front

pytestmark = pytest.mark.usefixtures("shop")
LOYAL = outward("segment:loyal")


def now(**later: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(**later)


def work(**later: float) -> None:
    """Let the worker do what is due then."""
    with committing():
        enforce(now=now(seconds=1, **later))
        rights.answer(now=now(seconds=1, **later))


class Person(Front):
    """Somebody who uses the dashboard in the browser in which they allowed things."""

    def look(self, **query: str) -> str:
        answer = self.get("/privacy/", query, headers={"X-Visitor": self.token or ""})
        assert answer.status_code == 200
        return str(answer.content.decode())

    def submit(self, path: str, **form: str) -> Any:
        return self.post(f"/privacy/{path}", form, headers={"X-Visitor": self.token or ""})

    def choose(self, **purposes: str) -> Any:
        return self.submit("", notice=self.notice(), **purposes)

    @property
    def subject(self) -> uuid.UUID:
        return uuid.UUID(str(self.visitor))

    @property
    def state(self) -> ConsentState:
        return ConsentState.objects.get(pk=self.subject)


@pytest.fixture
def ada(write_key: str) -> Person:
    """Somebody who told something, bought something, and is in segments."""
    front = Person()
    front.decide(personalization=True, analytics=True)
    front.cookies.clear()
    front.tells(write_key, first_name="Ada", kids=2, born="1990-05-01")
    refresh(the_site(), now=now(seconds=1))
    front.buys(write_key, times=3)
    with committing():
        catch_up(the_site(), now=now(seconds=1))
    assert front.variant() == ("loyal", "matched")
    return front


def said(page: str) -> list[str]:
    """Return what the page says about effects."""
    return [
        re.sub(r"\s+", " ", one).strip()
        for one in re.findall(r'<p class="effect[^>]*>(.*?)</p>', page, re.DOTALL)
    ]


class TestSwitchingOff:
    def test_it_is_sealed_with_its_true_counts_and_the_next_page_knows_nothing(self, ada: Person) -> None:
        events = Event.objects.filter(subject_key=ada.subject, purposes=["personalization"]).count()
        segments = len(Profile.objects.get(pk=ada.subject).segments)
        answer = ada.choose(personalization="no", analytics="no")
        assert answer.status_code == 302
        assert ada.variant() == ("default", "no_consent")
        (line,) = said(ada.look())
        assert line.startswith("Sealed, nothing reads it: ")
        assert f"{Event.objects.filter(subject_key=ada.subject).count()} events" in line
        assert f"{segments} segments" in line
        assert events <= Event.objects.filter(subject_key=ada.subject).count()

    def test_undo_brings_it_back_as_if_it_had_never_been(self, ada: Person) -> None:
        before, ends = ada.page().content, ada.state.expires
        kept = Event.objects.filter(subject_key=ada.subject).count()
        ada.choose(personalization="no", analytics="no")
        work()
        ada.submit("undo/")
        work()
        assert ada.page().content == before
        assert Event.objects.filter(subject_key=ada.subject).count() == kept
        assert {key: round(end) for key, end in ada.state.expires.items()} == {
            key: round(end) for key, end in ends.items()
        }
        assert "Taken back" in ada.look(said="undone")

    def test_after_ten_minutes_it_is_gone_and_cannot_be_taken_back(self, ada: Person) -> None:
        count = Event.objects.filter(subject_key=ada.subject).count()
        ada.choose(personalization="no", analytics="no")
        with time_machine.travel(now(minutes=10, seconds=2), tick=True):
            late = ada.submit("undo/")
            assert "said=too-late" in late.headers["Location"]
            assert ada.variant() == ("default", "no_consent")
            work()
            (line,) = said(ada.look())
        assert re.match(r"Deleted in \d+\.\d s: ", line)
        assert f"{count} events" in line
        assert not Event.objects.filter(subject_key=ada.subject).exists()
        assert not Profile.objects.filter(pk=ada.subject).exists()

    def test_delete_now_does_not_wait(self, ada: Person) -> None:
        ada.choose(personalization="no", analytics="no")
        work()
        assert Event.objects.filter(subject_key=ada.subject).exists()
        ada.submit("delete-now/")
        work()
        assert not Event.objects.filter(subject_key=ada.subject).exists()
        assert "Taken back" not in ada.look()
        assert "said=too-late" in ada.submit("undo/").headers["Location"]

    def test_what_nobody_touched_is_no_new_decision(self, ada: Person) -> None:
        entries = ConsentEvent.objects.filter(subject_key=ada.subject).count()
        ada.choose(personalization="yes", analytics="yes")
        assert ConsentEvent.objects.filter(subject_key=ada.subject).count() == entries
        ada.choose(personalization="yes", analytics="no")
        (last,) = ConsentEvent.objects.filter(subject_key=ada.subject).order_by("-seq")[:1]
        assert (last.purpose, last.action) == ("analytics", "withdrawn")
        assert ConsentEvent.objects.filter(subject_key=ada.subject).count() == entries + 1

    def test_what_is_not_asked_for_any_more_can_still_be_taken_back(self, ada: Person) -> None:
        ada.decide(profiling=True)
        assert "profiling" not in {p["key"] for p in ada.get("/api/v1/consent").json()["notice"]["purposes"]}
        assert 'name="profiling"' in ada.look()
        ada.choose(profiling="no")
        assert ada.state.state["profiling"] == "withdrawn"

    def test_a_receipt_is_saved_and_holds(self, ada: Person) -> None:
        ada.choose(analytics="no")
        links = re.findall(r' href="(/privacy/receipts/\w{64}\.json)"', ada.look())
        assert len(links) == 2
        answer = ada.get(links[0], headers={"X-Visitor": ada.token or ""})
        receipt = json.loads(answer.content)
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert [p["event_state"] for p in receipt["purposes"]] == ["withdrawn"]
        assert list(problems_of(receipt)) == []
        everything = json.loads(
            ada.get("/privacy/receipts/all.json", headers={"X-Visitor": ada.token or ""}).content
        )
        assert len(everything) == 2
        assert Front().get(links[0]).status_code == 404


class TestWhatIsKnown:
    def test_it_names_accounts_who_was_told_and_the_pages_of_late_with_why(
        self, ada: Person, write_key: str, server_key: str
    ) -> None:
        for path in ("/plain", "/gold", "/nowhere", "/plain"):
            ada.send(write_key, "page", properties={"path": path})
        ada.send(server_key, "identify", userId="u-77")
        endpoint = WebhookEndpoint.objects.create(
            site=the_site(),
            title="The mail house",
            url="https://mail.example/",
            secret=b"x",
            purpose="personalization",
        )
        WebhookDelivery.objects.create(
            endpoint=endpoint, message_id="m", kind="segment.entered", segment=Segment.objects.get(key="loyal"),
            subject_key=ada.subject, at=timezone.now(), state="done", change=1,
            next_at=timezone.now(), done_at=timezone.now(),
        )  # fmt: skip
        page = re.sub(r"\s+", " ", ada.look())
        assert "Your account on this site" in page
        assert "u-77" in page
        assert "The mail house" in page
        assert "1 message about you" in page
        links = re.findall(r'href="(/privacy/why/\?path=[^"&]+)', page)
        assert links == ["/privacy/why/?path=%2Fplain", "/privacy/why/?path=%2Fgold"]
        assert ada.get(links[1], headers={"X-Visitor": ada.token or ""}).status_code == 200
        ada.decide(personalization=False)
        assert "/privacy/why/?path" not in ada.look()

    def test_it_says_value_source_and_purpose(self, ada: Person) -> None:
        page = re.sub(r"\s+", " ", ada.look())
        assert "first_name" in page
        assert "1 May 1990" in page
        assert "You told us" in page
        assert "worked out" in page
        assert "4 events" in page  # three orders, and that she told us

    def test_a_hidden_fact_is_used_nowhere_until_it_is_shown_again(self, ada: Person) -> None:
        wish = {"holder": "profile", "name": "features.orders"}
        assert ada.submit("items/", wish="hide", **wish).status_code == 302
        assert ada.variant()[0] == "default"
        assert "Show<" in ada.look()
        answer = ada.submit("items/", wish="show", **wish)
        assert "joined=2#" in answer.headers["Location"]
        assert ada.variant() == ("loyal", "matched")

    def test_what_a_group_rests_on_is_hidden_or_deleted_with_its_true_effect(self, ada: Person) -> None:
        answer = ada.submit("items/", holder="profile", name="features.orders", wish="hide")
        assert "left=2#" in answer.headers["Location"]
        ada.submit("items/", holder="profile", name="features.orders", wish="show")
        events = Event.objects.filter(subject_key=ada.subject).count()
        answer = ada.submit("items/", holder="events", name=BEHAVIOUR, wish="delete")
        assert f"said=deleted&left=2&joined=1&deleted={events}#" in answer.headers["Location"]
        assert not Event.objects.filter(subject_key=ada.subject).exists()

    def test_a_fact_is_corrected_with_its_type(self, ada: Person) -> None:
        wish = {"holder": "profile", "name": "kids", "wish": "correct"}
        refused = ada.submit("items/", value="many", **wish)
        assert refused.status_code == 400
        assert "Write a number, such as 2 or 3.5." in refused.content.decode()
        assert 'value="many"' in refused.content.decode()  # what was written is not lost
        assert ada.submit("items/", value="3", **wish).status_code == 302
        assert Profile.objects.get(pk=ada.subject).traits["kids"] == 3

    def test_a_text_too_long_is_refused_and_not_cut(self, ada: Person) -> None:
        wish = {"holder": "profile", "name": "first_name", "wish": "correct"}
        refused = ada.submit("items/", value="A" * 1_001, **wish)
        assert refused.status_code == 400
        assert "Write at most 1,000 characters." in refused.content.decode()
        assert ada.submit("items/", value="A" * 1_000, **wish).status_code == 302

    def test_a_fact_is_deleted(self, ada: Person) -> None:
        answer = ada.submit("items/", holder="profile", name="kids", wish="delete")
        assert "said=deleted&left=2&deleted=1#" in answer.headers["Location"]
        assert "Deleted. 1 thing was deleted." in ada.look(said="deleted", deleted="1")
        assert "kids" not in Profile.objects.get(pk=ada.subject).traits

    def test_what_the_site_told_is_not_corrected_by_hand_but_asked_for(
        self, ada: Person, server_key: str
    ) -> None:
        ada.tells(server_key, tier="gold")
        wish = {"holder": "profile", "name": "tier", "wish": "correct"}
        refused = ada.submit("items/", value="platinum", **wish)
        assert refused.status_code == 400
        assert "Only the site itself can change this." in refused.content.decode()
        dispute = wish | {"wish": "dispute"}
        too_long = ada.submit("items/", value="x" * 501, **dispute)
        assert too_long.status_code == 400
        assert "Write at most 500 characters." in too_long.content.decode()
        answer = ada.submit("items/", value="Platinum, since May", **dispute)
        assert "said=disputed#known" in answer.headers["Location"]
        (asked,) = PrivacyRequest.objects.filter(subject_key=ada.subject)
        assert (asked.kind, asked.state, asked.details) == ("rectify", "waiting", {"name": "tier"})
        assert b"Platinum" not in bytes(asked.said_enc or b"")
        assert said_in(asked) == "Platinum, since May"
        assert Profile.objects.get(pk=ada.subject).excluded == ["tier"]

    def test_what_was_worked_out_is_disputed_and_used_no_more_until_it_is_shown_again(
        self, ada: Person
    ) -> None:
        dispute = {"holder": "profile", "name": "features.orders", "wish": "dispute"}
        assert ada.variant()[0] == "loyal"
        ada.submit("items/", value="I ordered once", **dispute)
        assert ada.variant()[0] == "default"
        ada.submit("items/", value="I never ordered", **dispute)
        ada.submit("items/", holder="profile", name="features.orders", wish="show")
        assert ada.variant()[0] == "loyal"
        ada.submit("items/", **dispute)  # with no more to say
        assert ada.variant()[0] == "default"
        (asked,) = PrivacyRequest.objects.filter(subject_key=ada.subject)  # one, with what was said last
        assert said_in(asked) == "I never ordered"
        assert "I never ordered" in str(export_requests(ada.subject))
        assert "<h4>Rectification: orders</h4>" in ada.look()
        settle(asked, answer="It is put right.", now=timezone.now())
        asked.refresh_from_db()
        assert asked.said_enc is None  # the proof that it was answered needs no words
        assert "It is put right." in ada.look()
        assert ada.variant()[0] == "default"
        ada.submit("items/", holder="profile", name="features.orders", wish="show")
        assert ada.variant()[0] == "loyal"

    def test_what_may_not_be_used_for_pages_is_neither_counted_nor_deleted_with_a_fact(
        self, ada: Person, write_key: str
    ) -> None:
        stamped = Event.objects.filter(subject_key=ada.subject, name="Order Completed").order_by("id")
        Event.objects.filter(pk=stamped.first().pk).update(purposes=["analytics"])  # type: ignore[union-attr]
        assert "worked out from 2 orders" in re.sub(r"\s+", " ", ada.look())
        ada.submit("items/", holder="profile", name="features.revenue", wish="delete")
        assert [one.purposes for one in stamped] == [["analytics"]]

    @pytest.mark.parametrize("name", ["kids", "events", "nonsense", "identity:1"])
    def test_what_one_can_correct_oneself_or_is_not_there_cannot_be_disputed(
        self, ada: Person, name: str
    ) -> None:
        answer = ada.submit("items/", holder="profile", name=name, wish="dispute", value="No")
        assert answer.status_code == 400
        assert not PrivacyRequest.objects.exists()

    @pytest.mark.parametrize(
        ("name", "deleted", "left", "sentence"),
        [
            ("favourite_category", 3, {"Page Viewed", "identify"}, "worked out from 3 orders"),
            ("session_paths", 2, {"Order Completed", "identify"}, "worked out from 2 page views"),
            ("session_depth", 2, {"Order Completed", "identify"}, "worked out from 2 page views"),
            ("device", 2, {"Order Completed", "Page Viewed", "identify"}, "noted beside 2 events"),
            ("sessions", 6, set(), "All of it is deleted: 6 events"),
        ],
    )
    def test_what_was_worked_out_is_deleted_with_what_it_was_worked_out_from(
        self, ada: Person, write_key: str, name: str, deleted: int, left: set[str], sentence: str
    ) -> None:
        mobile = {"userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148"}
        for path in ("/plain", "/gold"):
            ada.send(write_key, "page", properties={"path": path}, context=mobile)
        with committing():
            catch_up(the_site(), now=now(seconds=1))
        assert sentence in re.sub(r"\s+", " ", ada.look())
        answer = ada.submit("items/", holder="profile", name=f"features.{name}", wish="delete")
        assert f"deleted={deleted}#" in answer.headers["Location"]
        with committing():
            catch_up(the_site(), now=now(seconds=2))
        items = {item.name for item in facts_known(ada.subject, timezone.now())}
        assert f"features.{name}" not in items
        assert set(Event.objects.filter(subject_key=ada.subject).values_list("name", flat=True)) == left

    @pytest.mark.parametrize("name", ["nonsense", "segment:nonsense", "context.device"])
    def test_a_thing_that_is_not_there_is_told(self, ada: Person, name: str) -> None:
        answer = ada.submit("items/", holder="profile", name=name, wish="hide")
        assert answer.status_code == 400
        assert "There is nothing like it." in answer.content.decode()

    @pytest.mark.parametrize("form", [{"holder": "nobody"}, {"wish": "eat"}, {"holder": "snapshot"}, {}])
    def test_a_form_that_is_not_ours_is_not_found(self, ada: Person, form: dict[str, str]) -> None:
        wish = {"holder": "profile", "name": "kids", "wish": "hide"}
        answer = ada.submit("items/", **(wish | form)) if form else ada.submit("items/")
        assert answer.status_code == 404


class TestSegments:
    def test_leaving_one_is_followed_by_the_next_page_and_coming_back_as_well(self, ada: Person) -> None:
        assert "Because of: last order, orders" in ada.look()
        wish = {"holder": "memberships", "name": LOYAL}
        answer = ada.submit("items/", wish="hide", **wish)
        assert "said=hidden&left=2#" in answer.headers["Location"]
        assert "You have left 2 groups." in ada.look(said="hidden", left="2")
        assert ada.variant()[0] == "default"
        with committing():
            catch_up(the_site(), now=now(seconds=1))
        assert "Come back" in ada.look()
        ada.submit("items/", wish="show", **wish)
        assert ada.variant() == ("loyal", "matched")

    def test_a_form_may_lead_back_to_where_it_stood_and_nowhere_else(self, ada: Person) -> None:
        wish = {"holder": "memberships", "name": LOYAL, "wish": "hide"}
        here = ada.submit("items/", next="/privacy/why/?path=/", **wish)
        assert here.headers["Location"] == "/privacy/why/?path=/"
        for foreign in ("https://elsewhere.example/", "//elsewhere.example/"):
            assert ada.submit("items/", next=foreign, **wish).headers["Location"].startswith("/privacy/?said")

    def test_a_delicate_topic_is_switched_off(self, ada: Person) -> None:
        ada.submit("items/", holder="memberships", name="topic:alcohol", wish="hide")
        assert Profile.objects.get(pk=ada.subject).excluded == ["topic:alcohol"]
        assert "Allow again" in ada.look()


class TestTime:
    def test_a_pause_reads_and_stores_nothing_and_deletes_nothing(self, ada: Person, write_key: str) -> None:
        before, count = ada.page().content, Event.objects.filter(subject_key=ada.subject).count()
        ada.submit("pause/", days="7")
        assert ada.variant() == ("default", "no_consent")
        answer = ada.send(write_key, "track", event="Searched")
        assert answer.json()["dropped"] == {"no_consent": 1}
        work()
        assert Event.objects.filter(subject_key=ada.subject).count() == count
        assert "Paused until" in ada.look()
        ada.submit("pause/", days="0")
        assert ada.page().content == before

    def test_a_pause_ends_by_itself(self, ada: Person) -> None:
        ada.submit("pause/", days="1")
        with time_machine.travel(now(days=1, minutes=1), tick=True):
            ada.token = fresh(ada)
            assert ada.variant() == ("loyal", "matched")

    def test_a_shorter_memory_forgets_what_is_older_now_and_every_night(
        self, ada: Person, write_key: str
    ) -> None:
        long_ago = now(days=-100).isoformat()
        ada.send(write_key, "track", event="Searched", timestamp=long_ago, properties={"query": "old"})
        assert Event.objects.filter(subject_key=ada.subject, name="Searched").exists()
        answer = ada.submit("keep/", days="90")
        assert "said=period&older=1#" in answer.headers["Location"]
        assert "1 older thing was deleted." in ada.look(said="period", older="1")
        assert not Event.objects.filter(subject_key=ada.subject, name="Searched").exists()
        assert Event.objects.filter(subject_key=ada.subject, name="Order Completed").count() == 3
        ada.send(write_key, "track", event="Searched", timestamp=long_ago, properties={"query": "old"})
        assert wishes.shorten_all(now=now()) == 1
        assert ada.variant() == ("loyal", "matched")

    def test_what_one_did_is_listed_until_its_time_is_over(self, ada: Person) -> None:
        (did,) = [one for one in behaviour_known(ada.subject, now()) if one.name == BEHAVIOUR]
        last = Event.objects.filter(subject_key=ada.subject).latest("happened_at").happened_at
        assert did.until is not None
        by_consent = did.until
        ada.submit("keep/", days="90")
        (did,) = [one for one in behaviour_known(ada.subject, now()) if one.name == BEHAVIOUR]
        assert did.until == last + dt.timedelta(days=90) < by_consent

    def test_a_reminder_comes_when_it_is_due_and_not_again_after_one_looked(self, ada: Person) -> None:
        ada.submit("remind/", days="30")

        def reminded() -> bool:
            headers = {"X-Visitor": fresh(ada)}
            return bool(ada.get("/api/v1/consent", headers=headers).json()["remind"])

        assert not reminded()
        with time_machine.travel(now(days=31), tick=True):
            assert reminded()
            ada.token = fresh(ada)
            ada.look()
            assert not reminded()

    @pytest.mark.parametrize("path", ["pause/", "keep/", "remind/", "feeling/"])
    @pytest.mark.parametrize("value", ["5", "-1", "1e9", "x"])
    def test_a_number_that_is_not_offered_is_refused(self, ada: Person, path: str, value: str) -> None:
        answer = ada.submit(path, days=value, level=value if value != "5" else "6")
        assert answer.status_code in (302, 404)
        state = ada.state
        assert (state.paused_until, state.keep_days, state.remind_days) == (None, None, None)
        assert not Feeling.objects.exists()

    def test_a_feeling_is_counted_without_saying_whose_it_is(self, ada: Person) -> None:
        for _ in range(2):
            ada.submit("feeling/", level="3")
        Front().post("/privacy/feeling/", {"level": "1"})
        assert sorted(Feeling.objects.values_list("level", "count")) == [(1, 1), (3, 2)]


def fresh(person: Person) -> str:
    """Return a token of this person that is issued now."""
    from consent.tokens import make_token

    return make_token(person.subject, now=now())


class TestRights:
    def test_a_copy_is_built_fetched_once_and_gone(self, ada: Person) -> None:
        ada.page()
        ada.submit("rights/", kind="export")
        assert "<progress" in ada.look()
        work()
        link = re.search(r'href="(/privacy/export/[^"]+)"', ada.look())
        assert link is not None
        answer = Front().get(link[1])  # whoever has the link
        file = zipfile.ZipFile(io.BytesIO(answer.content))
        data = json.loads(file.read("data.json"))
        assert data["subject"] == str(ada.subject)
        assert data["holders"]["profile"]["first_name"] == "Ada"
        assert len(data["holders"]["events"]["events"]) == 4
        rows = list(csv.reader(io.StringIO(file.read("csv/events.csv").decode("utf-8-sig"))))
        assert len(rows) == 5
        assert "Ada" in file.read("index.html").decode()
        again = Front().get(link[1])
        assert again.status_code == 410
        assert "This link is used up" in again.content.decode()
        assert PrivacyRequest.objects.get().result_enc is None

    def test_looking_at_the_head_of_a_link_does_not_use_it_up(self, ada: Person) -> None:
        ada.submit("rights/", kind="export")
        work()
        link = re.search(r'href="(/privacy/export/[^"]+)"', ada.look())
        assert link is not None
        assert Front().head(link[1]).status_code == 404
        assert Front().get(link[1]).status_code == 200

    def test_asking_twice_builds_one_and_a_newer_one_takes_the_place_of_the_older(self, ada: Person) -> None:
        for _ in range(3):
            ada.submit("rights/", kind="export")
        work()
        assert PrivacyRequest.objects.get().state == "ready"
        ada.submit("rights/", kind="export")
        work()
        rows = PrivacyRequest.objects.order_by("received_at")
        assert [(row.state, row.result_enc is None) for row in rows] == [("expired", True), ("ready", False)]

    def test_a_copy_that_nobody_fetches_deletes_itself(self, ada: Person) -> None:
        ada.submit("rights/", kind="export")
        work()
        work(days=8)
        row = PrivacyRequest.objects.get()
        assert (row.state, row.result_enc) == ("expired", None)

    def test_a_link_that_somebody_made_up_is_not_found(self, ada: Person) -> None:
        ada.submit("rights/", kind="export")
        work()
        made_up = f"{PrivacyRequest.objects.get().pk.hex}.AAAA"
        assert Front().get(f"/privacy/export/{made_up}/").status_code == 404

    def test_forgetting_what_one_did_keeps_what_one_told_and_decided(self, ada: Person) -> None:
        ada.submit("rights/", kind="reset")
        assert not Event.objects.filter(subject_key=ada.subject).exists()
        assert not Exposure.objects.filter(subject_key=ada.subject).exists()
        profile = Profile.objects.get(pk=ada.subject)
        assert (profile.orders, profile.traits["kids"]) == (0, 2)
        assert ada.state.state["personalization"] == "granted"
        assert ada.variant() == ("new", "matched")
        assert PrivacyRequest.objects.get().details["deleted"]["events"] == 4
        assert "Deleted: 4 events" in ada.look()

    def test_an_erasure_closes_at_once_can_be_taken_back_and_then_is_final(self, ada: Person) -> None:
        before = ada.page().content
        assert ada.submit("erase/").status_code == 400  # the box was not ticked
        ada.submit("erase/", sure="yes")
        assert ada.variant() == ("default", "no_consent")
        assert "Everything about you will be erased." in ada.look()
        work()
        ada.submit("undo/")
        assert ada.page().content == before
        ada.submit("erase/", sure="yes")
        work(minutes=11)
        work(minutes=11)
        assert not Subject.objects.filter(pk=ada.subject).exists()
        assert not Event.objects.filter(subject_key=ada.subject).exists()
        row = PrivacyRequest.objects.get(state="done")
        assert (row.kind, row.subject_key) == ("erase", None)
        assert "Nothing is stored. We do not know who you are." in ada.look()

    def test_an_objection_switches_one_purpose_off_and_is_on_record(self, ada: Person) -> None:
        assert '<option value="analytics">' in ada.look()
        assert '<option value="necessary">' not in ada.look()
        answer = ada.submit("rights/", kind="object", purpose="analytics")
        assert "said=objected" in answer.headers["Location"]
        row = PrivacyRequest.objects.get(subject_key=ada.subject)
        assert (row.kind, row.state, row.details) == ("object", "done", {"purposes": ["analytics"]})
        assert ada.state.state["analytics"] == "withdrawn"
        assert '<option value="analytics">' not in ada.look()
        for purpose in ("necessary", "weather", ""):
            assert ada.submit("rights/", kind="object", purpose=purpose).status_code == 404

    def test_an_opt_out_of_sale_is_on_record_under_its_own_law(self, ada: Person) -> None:
        ada.decide(marketing=True, third_party=True)
        assert "At the moment you allow data to be shared." in ada.look()
        ada.submit("rights/", kind="opt_out")
        assert {ada.state.state[p] for p in ("marketing", "third_party")} == {"withdrawn"}
        row = PrivacyRequest.objects.get()
        assert (row.kind, row.regime, row.state) == ("opt_out", "ccpa", "done")
        assert "Nothing about you is sold or shared at the moment." in ada.look()

    def test_sensitive_data_are_limited(self, ada: Person) -> None:
        ada.decide(sensitive=True)
        ada.submit("rights/", kind="limit")
        assert ada.state.state["sensitive"] == "withdrawn"

    def test_somebody_unknown_stays_unknown_whatever_they_press(self) -> None:
        front = Front()
        for path, form in {
            "rights/": {"kind": "export"},
            "items/": {"holder": "profile", "name": "kids", "wish": "hide"},
            "pause/": {"days": "7"},
            "keep/": {"days": "90"},
            "remind/": {"days": "30"},
            "erase/": {"sure": "yes"},
            "undo/": {},
            "delete-now/": {},
            "prove/": {"userId": "ada", "userHash": "0"},
        }.items():
            answer = front.post(f"/privacy/{path}", form)
            assert "said=nobody" in answer.headers["Location"], path
        front.post("/privacy/rights/", {"kind": "opt_out"})
        assert not Subject.objects.exists()
        assert not front.cookies


class TestASignal:
    def test_a_first_yes_that_a_signal_comes_along_with_says_nothing_of_deleting(self, shop: None) -> None:
        ben = Person()
        form = {"notice": ben.notice(), "all": "yes"}
        answer = ben.post("/privacy/", form, headers={"Sec-GPC": "1"})
        assert answer.status_code == 302
        page = ben.get("/privacy/", headers={"Sec-GPC": "1"}).content.decode()
        assert "Your decisions" in page
        assert "Until then you can take it back." not in page

    def test_what_it_closes_is_not_shown_as_on(self, ada: Person) -> None:
        ada.decide(marketing=True)
        page = ada.look()
        assert 'name="marketing"' in page
        ada.get("/api/v1/consent", headers={"Sec-GPC": "1", "X-Visitor": ada.token or ""})
        page = ada.look()
        assert 'name="marketing"' not in page
        assert "Off: your browser" in page
        assert "What you once allowed does not count against it." in page
        assert 'name="personalization"' in page


class TestKnownUsers:
    """A browser may be shared: what a known user takes away needs more than the browser's token."""

    @pytest.fixture
    def known(self, ada: Person, write_key: str) -> Person:
        ada.send(
            write_key, "identify", userId="ada@example.org", context={"userHash": proof("ada@example.org")}
        )
        return ada

    def test_an_export_waits_until_they_proved_who_they_are(self, known: Person) -> None:
        known.submit("rights/", kind="export")
        work()
        assert PrivacyRequest.objects.get().state == "verifying"
        known.submit("prove/", userId="ada@example.org", userHash=proof("bob@example.org"))
        assert PrivacyRequest.objects.get().state == "verifying"
        known.submit("prove/", userId="ada@example.org", userHash=proof("ada@example.org"))
        work()
        row = PrivacyRequest.objects.get()
        assert (row.state, row.verification) == ("ready", "user")

    def test_a_fresh_proof_counts_for_a_quarter_of_an_hour(self, known: Person) -> None:
        known.submit("prove/", userId="ada@example.org", userHash=proof("ada@example.org"))
        known.submit("rights/", kind="export")
        assert PrivacyRequest.objects.get().verification == "user"
        work()
        with time_machine.travel(now(minutes=16), tick=True):
            known.submit("rights/", kind="export")
        assert sorted(PrivacyRequest.objects.values_list("state", flat=True)) == ["expired", "verifying"]

    def test_a_proof_lets_go_on_what_waited_for_it_and_nothing_is_asked_twice(self, known: Person) -> None:
        known.submit("rights/", kind="export")
        known.submit("rights/", kind="export")
        assert PrivacyRequest.objects.get().state == "verifying"
        known.submit("prove/", userId="ada@example.org", userHash=proof("ada@example.org"))
        known.submit("rights/", kind="export")
        assert PrivacyRequest.objects.get().state == "waiting"

    def test_an_erasure_closes_everything_and_waits(self, known: Person) -> None:
        known.submit("erase/", sure="yes")
        work(minutes=11)
        assert Subject.objects.filter(pk=known.subject).exists()
        assert known.variant() == ("default", "no_consent")

    def test_the_office_may_confirm_or_refuse(self, known: Person) -> None:
        known.submit("rights/", kind="export")
        copy = PrivacyRequest.objects.get()
        assert rights.confirm(copy, verification="staff", now=now())
        work()
        copy.refresh_from_db()
        assert copy.state == "ready"
        known.submit("erase/", sure="yes")
        erasure = PrivacyRequest.objects.get(kind="erase")
        assert rights.refuse(erasure, answer="We could not be sure that it is you.", now=now())
        assert "We could not be sure that it is you." in known.look()
        assert not rights.confirm(erasure, verification="staff", now=now())


def proof(user: str) -> str:
    import hashlib
    import hmac

    return hmac.new(settings.SITE_SECRET.encode(), user.encode(), hashlib.sha256).hexdigest()


class TestThePage:
    def test_it_speaks_german_and_remembers_it_without_a_cookie(self, ada: Person) -> None:
        page = ada.look(lang="de")
        assert '<html lang="de">' in page
        assert "Was über Sie bekannt ist" in page
        assert '<input type="hidden" name="lang" value="de">' in page
        answer = ada.submit("pause/", days="7", lang="de")
        assert "lang=de" in answer.headers["Location"]
        page = ada.look(lang="de")
        assert "Pausiert bis" in page
        assert ">Widersprechen</button>" in page

    def test_it_is_never_kept_by_anybody(self, ada: Person) -> None:
        answer = ada.get("/privacy/", headers={"X-Visitor": ada.token or ""})
        assert "no-store" in answer.headers["Cache-Control"]
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]

    def test_the_signal_is_said_to_be_honoured_since_when(self, ada: Person) -> None:
        ada.page(**{"Sec-GPC": "1"})
        page = re.sub(r"\s+", " ", ada.look())
        assert "Global Privacy Control: honoured." in page
        assert "it holds on all your devices" in page

    def test_other_peoples_things_are_out_of_reach(self, ada: Person) -> None:
        ben = Person()
        ben.decide(personalization=True)
        ben.cookies.clear()
        ben.submit("items/", holder="memberships", name=LOYAL, wish="hide")
        ben.submit("rights/", kind="reset")
        ben.submit("erase/", sure="yes")
        assert ada.variant() == ("loyal", "matched")
        assert Event.objects.filter(subject_key=ada.subject).count() == 4
        assert "Ada" not in ben.look()

    @pytest.mark.parametrize(
        "path", ["undo/", "delete-now/", "items/", "pause/", "keep/", "rights/", "prove/"]
    )
    def test_nothing_changes_by_looking(self, ada: Person, path: str) -> None:
        answer = ada.get(
            f"/privacy/{path}", {"days": "7", "kind": "reset"}, headers={"X-Visitor": ada.token or ""}
        )
        assert answer.status_code == 405
        assert ada.variant() == ("loyal", "matched")


def test_a_formula_in_an_event_stays_a_text_in_a_spreadsheet(ada: Person, write_key: str) -> None:
    formula = '=HYPERLINK("https://elsewhere.example")'
    ada.send(write_key, "track", event=formula, properties={"n": -5})
    ada.submit("rights/", kind="export")
    work()
    link = re.search(r'href="(/privacy/export/[^"]+)"', ada.look())
    assert link is not None
    file = zipfile.ZipFile(io.BytesIO(ada.get(link[1]).content))
    names = [row[0] for row in csv.reader(io.StringIO(file.read("csv/events.csv").decode("utf-8-sig")))]
    assert f"'{formula}" in names
