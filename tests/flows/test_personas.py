"""Who sees what: nobody, the four ways of not having said yes, and three people who did."""

import datetime as dt

import pytest

from tests.flows.front import Front, agreed

pytestmark = pytest.mark.usefixtures("shop")


def ago(days: int) -> str:
    return (dt.datetime.now(dt.UTC) - dt.timedelta(days=days)).isoformat()


def test_nobody_sees_the_default_because_nothing_was_allowed() -> None:
    assert Front().variant() == ("default", "no_consent")


def test_somebody_who_agreed_and_bought_nothing_is_new() -> None:
    assert agreed().variant() == ("new", "matched")


def test_three_recent_orders_make_loyal_with_their_discount(write_key: str) -> None:
    front = agreed()
    front.buys(write_key, times=3)
    hero = front.slots()["home-hero"]
    assert (hero["variant"], hero["reason"]) == ("loyal", "matched")
    assert hero["fields"]["headline"] == "Welcome back. Only now 15 %"


def test_an_order_long_ago_makes_lapsed_with_their_discount(write_key: str) -> None:
    front = agreed()
    front.buys(write_key, timestamp=ago(75))
    hero = front.slots()["home-hero"]
    assert (hero["variant"], hero["reason"]) == ("lapsed", "matched")
    assert hero["fields"]["headline"] == "Only now 20 %"


def test_a_name_stands_where_it_was_allowed_and_its_default_elsewhere(write_key: str) -> None:
    front = agreed()
    front.tells(write_key, first_name="Ada")
    assert front.slots()["home-footer"]["fields"]["headline"] == "Bye Ada"
    assert Front().slots()["home-footer"]["fields"]["headline"] == "Bye there"
    german = Front().slots(Accept_Language="de")["home-footer"]["fields"]["headline"]
    assert german == "Bye du"


def test_unset_refused_and_withdrawn_get_the_same_bytes_and_headers(write_key: str) -> None:
    nobody = Front()
    refused = Front()
    refused.decide(personalization=False, analytics=False)
    unset = agreed(analytics=True)
    withdrawn = agreed(analytics=True, personalization=True)
    withdrawn.buys(write_key, times=3)
    withdrawn.tells(write_key, first_name="Ada")
    assert withdrawn.variant() == ("loyal", "matched")
    withdrawn.decide(personalization=False)
    answers = [front.page() for front in (nobody, refused, unset, withdrawn)]
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1
    html = [front.page(Accept="text/html") for front in (nobody, refused, unset, withdrawn)]
    assert len({answer.content for answer in html}) == 1


def test_the_default_locale_answers_what_nobody_translated() -> None:
    hero = agreed().slots(Accept_Language="de-AT,de;q=0.8")["home-hero"]
    assert hero["fields"]["headline"] == "Nice to meet you"
    assert Front().slots(Accept_Language="de-AT")["home-hero"]["fields"]["headline"] == "Hallo"
