"""Back ends read and correct a profile: everything acknowledged is in it, nothing that was not allowed, all on record."""

import datetime as dt
import uuid
from typing import Any

import pytest

from consent.models import AccessLog
from personalization.exclusions import change
from tests.builders import committing
from tests.flows.front import Front, agreed, make_key
from tests.flows.test_joining import logs_in

pytestmark = pytest.mark.usefixtures("shop")


@pytest.fixture
def key(db: None) -> str:
    return make_key("profiles")


@pytest.fixture
def ada(write_key: str) -> Front:
    """Ada, of whom something is known for two purposes."""
    front = agreed(personalization=True, marketing=True)
    front.tells(write_key, first_name="Ada", kids=2)
    front.buys(write_key, times=3)
    return front


def ask(key: str, who: str | None, query: str = "", *, status: int = 200) -> Any:
    answer = Front().get(f"/api/v1/profiles/{who}{query}", headers={"Authorization": f"Api-Key {key}"})
    assert answer.status_code == status, answer.content
    assert status != 200 or answer["Cache-Control"] == "private, no-store"
    return answer.json()


def say(key: str, who: str | None, body: Any, *, status: int = 200) -> Any:
    answer = Front().patch(
        f"/api/v1/profiles/{who}",
        body,
        content_type="application/json",
        headers={"Authorization": f"Api-Key {key}"},
    )
    assert answer.status_code == status, answer.content
    return answer.json()


def test_a_profile_reflects_every_event_that_was_acknowledged(ada: Front, key: str) -> None:
    told = ask(key, ada.visitor)
    assert told["visitor_id"] == ada.visitor
    assert told["purposes"] == ["marketing", "personalization"]
    assert told["traits"] == {"first_name": "Ada", "kids": 2}
    assert (told["features"]["orders"], told["features"]["revenue"]) == (3, 60)
    assert "loyal" in told["segments"]
    assert "phones" not in told["segments"]
    assert told["segments_by_context"] == ["phone_parents"]
    assert "events" not in told


def test_who_has_a_proven_user_id_is_found_by_it(ada: Front, key: str, write_key: str) -> None:
    logs_in(ada, write_key, "u/7")
    assert ask(key, "user:u/7")["visitor_id"] == ada.visitor
    laptop = agreed(personalization=True)
    logs_in(laptop, write_key, "u/7")
    assert ask(key, laptop.visitor)["visitor_id"] == ada.visitor


@pytest.mark.parametrize("who", [str(uuid.UUID(int=7)), "user:nobody", "nonsense", "user:"])
def test_nobody_is_not_found(ada: Front, key: str, who: str) -> None:
    assert ask(key, who, status=404)["errors"][0]["code"] == "not_found"


def test_what_is_not_allowed_is_not_there(ada: Front, key: str) -> None:
    ada.decide(personalization=False)
    told = ask(key, ada.visitor, "?include=traits,features,segments,scores,events")
    assert told["purposes"] == ["marketing"]
    assert (told["traits"], told["features"], told["segments"]) == ({}, {}, [])
    assert (told["scores"], told["events"], told["segments_by_context"]) == ({}, [], [])


def test_what_the_person_took_out_of_use_is_not_there(ada: Front, key: str) -> None:
    taken_out = ["kids", "segment:loyal"]
    with committing():
        change(uuid.UUID(ada.visitor), exclude=taken_out, site_id=1, now=dt.datetime.now(dt.UTC))
    told = ask(key, ada.visitor)
    assert told["traits"] == {"first_name": "Ada"}
    assert "loyal" not in told["segments"]
    assert told["segments_by_context"] == []


def test_events_come_in_pages_the_newest_first(ada: Front, key: str) -> None:
    first = ask(key, ada.visitor, "?include=events&limit=2")
    assert [event["name"] for event in first["events"]] == ["Order Completed"] * 2
    rest = ask(key, ada.visitor, f"?include=events&limit=5&before={first['next']}")
    names = [event["name"] for event in rest["events"]]
    assert names == ["Order Completed", "identify"]
    assert rest["next"] is None
    ids = [event["id"] for event in first["events"] + rest["events"]]
    assert ids == sorted(ids, reverse=True)


@pytest.mark.parametrize(
    ("query", "code", "attr"),
    [
        ("?include=traits,secrets", "unknown_part", "include"),
        ("?include=events&limit=many", "invalid", "limit"),
        ("?include=events&before=-1", "invalid", "before"),
    ],
)
def test_a_question_that_cannot_be_read_is_refused_at_its_place(
    ada: Front, key: str, query: str, code: str, attr: str
) -> None:
    error = ask(key, ada.visitor, query, status=400)["errors"][0]
    assert (error["code"], error["attr"]) == (code, attr)


def test_a_back_end_says_what_only_servers_may_say(ada: Front, key: str) -> None:
    told = say(key, ada.visitor, {"traits": {"tier": "gold", "kids": None}})
    assert told["traits"] == {"first_name": "Ada", "tier": "gold"}
    assert told["dropped"] == {}
    assert ask(key, ada.visitor)["traits"]["tier"] == "gold"


def test_what_the_person_did_not_allow_is_dropped_and_said_so(key: str) -> None:
    ben = agreed(analytics=True)
    told = say(key, ben.visitor, {"traits": {"kids": 1}})
    assert told["dropped"] == {"kids": "no_consent"}
    ben.decide(personalization=True)
    assert ask(key, ben.visitor)["traits"] == {}


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        ({"traits": {"kids": "two"}}, "wrong_type", "traits.kids"),
        ({"traits": {"first_name": "A" * 1_001}}, "too_long", "traits.first_name"),
        ({"traits": {"shoe_size": 43}}, "unknown_trait", "traits.shoe_size"),
        ({"traits": []}, "invalid", "traits"),
        ({}, "invalid", "traits"),
        ({"traits": {"kids": 1}, "orders": 9}, "unknown_field", "orders"),
    ],
)
def test_what_cannot_be_a_trait_is_refused_and_nothing_is_changed(
    ada: Front, key: str, body: Any, code: str, attr: str
) -> None:
    error = say(key, ada.visitor, body, status=400)["errors"][0]
    assert (error["code"], error["attr"]) == (code, attr)
    assert ask(key, ada.visitor)["traits"]["kids"] == 2


@pytest.mark.parametrize("scopes", [("ingest",), ("preview", "deliver"), ("manage",)])
def test_another_key_reads_and_changes_nothing(ada: Front, scopes: tuple[str, ...]) -> None:
    other = make_key(*scopes)
    ask(other, ada.visitor, status=403)
    say(other, ada.visitor, {"traits": {"kids": 9}}, status=403)


def test_every_access_is_on_record(ada: Front, key: str) -> None:
    ask(key, ada.visitor)
    say(key, ada.visitor, {"traits": {"kids": 1}})
    kinds = list(AccessLog.objects.order_by("id").values_list("kind", "actor", "subject_key"))
    mine = uuid.UUID(ada.visitor)
    assert kinds == [("profile_read", "key:test", mine), ("profile_changed", "key:test", mine)]
