"""What is sensitive needs a purpose in addition: in events, rules, features, answers, and when its time is over."""

import datetime as dt
import uuid

import pytest
from django.urls import reverse

from cms.roles import PUBLISHERS, ensure_roles
from consent.enforcement import enforce
from consent.models import Purpose
from personalization import retention
from personalization.admin.profiles import MASKED
from personalization.lanes import catch_up
from personalization.models import Event, Profile, Segment
from tests.admin.content import client_of
from tests.builders import committing, the_site
from tests.flows.front import Front, agreed, make_key
from tests.flows.shop import inside, load, page, when

pytestmark = pytest.mark.usefixtures("diagnoses")
USUAL = ["analytics", "personalization"]


def moment(**later: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(**later)


@pytest.fixture
def diagnoses(shop: None) -> None:
    """A shop that knows an event about health, a rule that names it, and one that names everything."""
    load(
        {
            "tessera": 1,
            "events": [{"key": "Order Completed", "purposes": [*USUAL, "sensitive"]}],
            "segments": [
                {"key": "ill", "title": "Ill", "min_size": 0, "rule": {"$did": {"event": "Order Completed"}}},
                {"key": "busy", "title": "Busy", "min_size": 0, "rule": {"$did": {"event": "*"}}},
                {
                    "key": "looks",
                    "title": "Looks",
                    "min_size": 0,
                    "rule": {"$did": {"event": "Product Viewed"}},
                },
            ],
            "pages": [page(f"/{key}", when("new", inside(key))) for key in ("ill", "busy", "looks")],
        }
    )


@pytest.fixture
def ada(write_key: str) -> Front:
    front = agreed(personalization=True, analytics=True, sensitive=True)
    front.buys(write_key, times=3)
    with committing():
        catch_up(the_site(), now=moment(seconds=5))
    return front


def test_without_the_purpose_nothing_is_kept(write_key: str) -> None:
    ben = agreed(personalization=True, analytics=True)
    answer = ben.send(write_key, "track", event="Order Completed", properties={"revenue": 1})
    assert answer.json()["dropped"] == {"no_consent": 1}
    assert not Event.objects.exists()


def test_a_rule_that_names_it_needs_the_purpose_and_so_does_one_that_names_everything(
    ada: Front, write_key: str
) -> None:
    purposes = dict(Segment.objects.values_list("key", "purposes"))
    assert purposes["ill"] == purposes["busy"] == ["personalization", "sensitive"]
    assert purposes["looks"] == ["personalization"]
    assert ada.variant("/ill") == ada.variant("/busy") == ("new", "matched")
    ben = agreed(personalization=True, analytics=True)
    ben.send(write_key, "track", event="Product Viewed")
    assert ben.variant("/looks") == ("new", "matched")
    assert ben.variant("/busy") == ben.variant("/ill") == ("default", "no_consent")


def test_it_is_folded_into_nothing_that_does_not_say_where_it_comes_from(ada: Front) -> None:
    assert ada.variant("/") == ("new", "matched")  # not loyal: these orders are no orders for everybody
    profile = Profile.objects.get(pk=ada.visitor)
    assert (profile.orders, profile.categories) == (0, {})


def test_a_withdrawal_takes_it_with_everything_that_rests_on_it(ada: Front) -> None:
    ada.decide(sensitive=False)
    assert ada.variant("/ill") == ada.variant("/busy") == ("default", "no_consent")
    with committing():
        enforce(now=moment(minutes=1))
    assert not Event.objects.exists()
    told = list(Segment.objects.filter(purposes__contains=["sensitive"]).values_list("pk", flat=True))
    assert not Profile.objects.filter(segments__overlap=told).exists()


def test_back_ends_see_it_while_the_purpose_is_open_alone(ada: Front) -> None:
    key = {"Authorization": f"Api-Key {make_key('profiles')}"}
    address = f"/api/v1/profiles/{ada.visitor}?include=events"
    assert len(ada.get(address, headers=key).json()["events"]) == 3
    ada.decide(sensitive=False)
    assert ada.get(address, headers=key).json()["events"] == []


def test_when_its_own_time_is_over_it_goes_and_not_only_its_name(ada: Front, write_key: str) -> None:
    ada.send(write_key, "track", event="Product Viewed")
    Purpose.objects.filter(key="sensitive").update(keep_days=1)
    with committing():
        deleted = retention.expire(now=moment(days=2), days=400)
    assert deleted == 3
    assert list(Event.objects.values_list("name", "subject_key")) == [
        ("Product Viewed", uuid.UUID(str(ada.visitor)))
    ]


def test_a_sensitive_trait_needs_what_pages_need_in_addition_and_is_masked_for_editors(
    write_key: str, shop: None
) -> None:
    load({"tessera": 1, "traits": [{"key": "ill", "type": "boolean", "purpose": "sensitive"}],
          "pages": [page("/ill-trait", when("new", {"ill": {"$eq": True}}))]})  # fmt: skip
    alone = agreed(sensitive=True)
    assert alone.tells(write_key, ill=True).json()["dropped"] == {"no_consent": 1}
    without = agreed(personalization=True)
    assert without.tells(write_key, ill=True).json()["dropped"] == {"no_consent": 1}
    ada = agreed(personalization=True, sensitive=True)
    ada.tells(write_key, ill=True)
    assert ada.variant("/ill-trait") == ("new", "matched")
    url = reverse("admin:personalization_profile_change", args=[ada.visitor])
    ensure_roles()
    for group, masked in ((PUBLISHERS, True), (None, False)):
        shown = client_of(group).get(url).context
        assert ({label: value for label, value, _ in shown["traits"]}["ill"] == MASKED) is masked
    for closing in ("personalization", "sensitive"):
        person = agreed(personalization=True, sensitive=True)
        person.tells(write_key, ill=True)
        person.decide(**{closing: False})
        with committing():
            enforce(now=moment())
        assert not Profile.objects.filter(pk=person.visitor, traits__has_key="ill").exists()
