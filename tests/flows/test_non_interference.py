"""The first law: without a purpose no byte of an answer depends on what is kept for it."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent.models import ConsentState, Subject
from consent.seal import new_key, seal
from consent.tokens import make_token
from personalization.models import Profile
from personalization.profiles import publish_snapshots
from tests.builders import NOW, the_site
from tests.flows.front import Front

PURPOSES = ("analytics", "personalization", "profiling", "marketing")
OF_TRAITS = {
    "kids": "personalization",
    "tier": "personalization",
    "born": "personalization",
    "letter": "marketing",
}
PATHS = ("/", "/offers", "/readers", "/family", "/gold", "/sizes", "/strangers", "/plain")

traits = st.fixed_dictionaries(
    {},
    optional={
        "kids": st.integers(0, 5),
        "tier": st.sampled_from(["gold", "none"]),
        "letter": st.sampled_from(["weekly", "never"]),
        "born": st.just("2000-01-01T00:00:00Z"),
    },
)
people = st.fixed_dictionaries(
    {
        "traits": traits,
        "orders": st.integers(0, 9),
        "days": st.integers(0, 100),
        "name": st.sampled_from(["Ada", "Ben"]),
    }
)


def somebody(known: dict[str, Any], granted: frozenset[str]) -> Front:
    """Put somebody into the stores as if everything had once been allowed, with these purposes open now."""
    now = dt.datetime.now(dt.UTC)
    subject = Subject.objects.create(created_at=now)
    new_key(subject.pk).save(force_insert=True)
    state = {purpose: "granted" if purpose in granted else "withdrawn" for purpose in PURPOSES}
    ConsentState.objects.create(subject=subject, state=state, version=1, updated_at=now)
    bought = now - dt.timedelta(days=known["days"]) if known["orders"] else None
    profile = Profile.objects.create(
        subject_key=subject.pk,
        site=the_site(),
        traits=known["traits"],
        sealed=seal(subject.pk, f'{{"first_name": "{known["name"]}"}}'.encode()),
        orders=known["orders"],
        last_order_at=bought,
        held=list(PURPOSES),
        version=2,
        first_seen_at=NOW,
        last_seen_at=NOW,
    )
    publish_snapshots([profile])
    front = Front()
    front.token = make_token(subject.pk, now=now)
    return front


def allowed_part(known: dict[str, Any], granted: frozenset[str], other: dict[str, Any]) -> dict[str, Any]:
    """Return somebody who differs from `known` only in what is not allowed: that comes from `other`."""
    kept = {key: value for key, value in known["traits"].items() if OF_TRAITS[key] in granted}
    foreign = {key: value for key, value in other["traits"].items() if OF_TRAITS[key] not in granted}
    rest = known if "personalization" in granted else other
    return {**rest, "traits": kept | foreign}


@pytest.mark.usefixtures("shop")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    one=people, other=people, granted=st.frozensets(st.sampled_from(PURPOSES)), path=st.sampled_from(PATHS)
)
def test_two_people_who_differ_in_what_is_not_allowed_get_the_same_bytes(
    one: dict[str, Any], other: dict[str, Any], granted: frozenset[str], path: str
) -> None:
    twin = allowed_part(one, granted, other)
    first, second = somebody(one, granted), somebody(twin, granted)
    for accept in ("application/json", "text/html"):
        answers = [front.page(path, Accept=accept) for front in (first, second)]
        assert answers[0].content == answers[1].content
        assert answers[0].headers == answers[1].headers
    split = [f.get(f"/api/v1/decide{path}", headers={"X-Visitor": f.token or ""}) for f in (first, second)]
    assert split[0].content == split[1].content


@pytest.mark.usefixtures("shop")
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(known=people, path=st.sampled_from(PATHS))
def test_without_any_purpose_everybody_is_nobody(known: dict[str, Any], path: str) -> None:
    assert somebody(known, frozenset()).page(path).content == Front().page(path).content
