"""What somebody is told of a page: two plain lines, in their language, of what was used and of nothing else."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personalization.api.preview import preview
from personalization.api.why import told
from personalization.bundle import load_bundle
from personalization.handles import handle_of
from personalization.plan import REASONS, SCORES
from personalization.why import REASONS as SENTENCES
from personalization.why import Words
from tests.builders import NOW, committing
from tests.flows.shop import BUNDLE, inside, load, page, when

DEMO = Path(__file__).parents[2] / "demo"
DEMO_BUNDLE: dict[str, Any] = json.loads((DEMO / "bundle.json").read_text("utf-8"))
PERSONAL = frozenset({"personalization"})
LABELS: dict[str, dict[str, str]] = {
    "loyal": {"en": "Regulars", "de": "Stammkundschaft"},
    "gold": {"en": "Gold members", "de": "Goldmitglieder"},
    "parents": {"en": "Parents", "de": "Eltern"},
    "phones": {"en": "Phone readers", "de": "Leserschaft am Telefon"},
}
PAGES = (
    *BUNDLE["pages"],
    page("/either", when("loyal", inside("loyal", "gold"))),
    page("/both", when("loyal", {**inside("gold"), "kids": {"$gte": 1}})),
    page("/kids", when("loyal", {"kids": {"$gte": 1}})),
    page("/orders", when("loyal", {"features.orders": {"$gte": 3}, "context.device": {"$eq": "mobile"}})),
    page("/always", when("mobile", {})),
    page("/soon", when("mobile", {}, starts_at="2999-01-01T00:00:00Z")),
    page("/left-out", {"key": "none", "when": inside("gold"), "hide": True}),
    page("/here", when("loyal", {"here.category_views": {"$gte": 0}}), meta={"category": "hiking"}),
    page("/layout", templates=[{"template": "landing", "when": inside("gold")}, {"template": "landing", "default": True}]),
)  # fmt: skip


def with_label(entry: dict[str, Any]) -> dict[str, Any]:
    labels = {"kids": {"en": "Your children", "de": "Ihre Kinder"}} | LABELS
    return entry | {"label": labels[entry["key"]]} if entry["key"] in labels else entry


@pytest.fixture
def labelled(db: None) -> None:
    """Open the shop with words for visitors, and a few pages more."""
    pages = [{k: v for k, v in p.items() if not (k == "template" and "templates" in p)} for p in PAGES]
    load(
        BUNDLE
        | {
            "pages": pages,
            "segments": [with_label(one) for one in BUNDLE["segments"]],
            "traits": [with_label(one) for one in BUNDLE["traits"]],
        }
    )


def why_of(path: str, locale: str = "en", **asked: Any) -> dict[str, Any]:
    """Return what somebody is told who is like this."""
    traits = asked.pop("traits", {})
    consent = asked.pop("consent", {"personalization": True})
    return told(
        preview({"path": path, "locale": locale, "traits": traits, "consent": consent, **asked}, now=NOW)
    )


def hero_of(path: str, **asked: Any) -> dict[str, Any]:
    (found,) = [
        one for one in why_of(path, **asked)["placements"] if one["placement"] == f"{path.strip('/')}-hero"
    ]
    return found


GOLD: dict[str, Any] = {"traits": {"tier": "gold"}}
CASES: dict[str, tuple[str, dict[str, Any], tuple[str, str], tuple[str, str]]] = {
    "a segment": (
        "/gold", GOLD,
        ("You see this because you belong to: Gold members.", "Switch “Gold members” off if you do not want this."),
        ("Sie sehen das, weil Sie hierzu gehören: Goldmitglieder.", "Schalten Sie „Goldmitglieder“ aus, wenn Sie das nicht möchten."),
    ),
    "two segments, either of which would do": (
        "/either", {"traits": {"tier": "gold"}, "segments": {"loyal": True}},
        ("You see this because you belong to: Regulars and Gold members.", "Switch “Regulars” and “Gold members” off if you do not want this."),
        ("Sie sehen das, weil Sie hierzu gehören: Stammkundschaft und Goldmitglieder.", "Schalten Sie „Stammkundschaft“ und „Goldmitglieder“ aus, wenn Sie das nicht möchten."),
    ),
    "a segment and a fact": (
        "/both", {"traits": {"tier": "gold", "kids": 2}},
        ("You see this because you belong to: Gold members. It also depends on: Your children.", "Switch “Gold members” and “Your children” off if you do not want this."),
        ("Sie sehen das, weil Sie hierzu gehören: Goldmitglieder. Es hängt auch hiervon ab: Ihre Kinder.", "Schalten Sie „Goldmitglieder“ und „Ihre Kinder“ aus, wenn Sie das nicht möchten."),
    ),
    "a fact alone": (
        "/kids", {"traits": {"kids": 1}},
        ("You see this because of: Your children.", "Switch “Your children” off if you do not want this."),
        ("Sie sehen das aus diesem Grund: Ihre Kinder.", "Schalten Sie „Ihre Kinder“ aus, wenn Sie das nicht möchten."),
    ),
    "a fact that everybody has, and the device": (
        "/orders", {"traits": {"features.orders": 3}, "context": {"device": "mobile"}},
        ("You see this because of: orders and the device that you read on.", "Switch “orders” off if you do not want this."),
        ("Sie sehen das aus diesem Grund: Bestellungen und das Gerät, auf dem Sie lesen.", "Schalten Sie „Bestellungen“ aus, wenn Sie das nicht möchten."),
    ),
    "not being in a segment": (
        "/strangers", {},
        ("You see this because of: that you do not belong to “Regulars”.", "Switch “Regulars” off if you do not want this."),
        ("Sie sehen das aus diesem Grund: dass Sie nicht zu „Stammkundschaft“ gehören.", "Schalten Sie „Stammkundschaft“ aus, wenn Sie das nicht möchten."),
    ),
    "what one did on this page before": (
        "/here", {},
        ("You see this because of: views of this page's category.", "Switch “what you looked at and did here” off if you do not want this."),
        ("Sie sehen das aus diesem Grund: wie oft Sie diese Kategorie angesehen haben.", "Schalten Sie „was Sie hier angesehen und getan haben“ aus, wenn Sie das nicht möchten."),
    ),
    "the device alone": (
        "/device", {"context": {"device": "mobile"}, "consent": {}},
        ("You see this because you read on a phone.", "Nothing about you was used."),
        ("Sie sehen das, weil Sie auf einem Telefon lesen.", "Dafür wurde nichts über Sie verwendet."),
    ),
    "a segment over the device alone": (
        "/phones", {"context": {"device": "mobile"}},
        ("You see this because you read on a phone.", "Nothing about you was used."),
        ("Sie sehen das, weil Sie auf einem Telefon lesen.", "Dafür wurde nichts über Sie verwendet."),
    ),
    "the time of day": (
        "/hour", {"context": {"time": "2026-11-22T07:30:00+01:00"}, "consent": {}},
        ("You see this because of: the time of day.", "Nothing about you was used."),
        ("Sie sehen das aus diesem Grund: die Tageszeit.", "Dafür wurde nichts über Sie verwendet."),
    ),
    "a rule for everybody": (
        "/always", {},
        ("This is meant for everybody, for now.", "Nothing about you was used."),
        ("Das ist gerade für alle gedacht.", "Dafür wurde nichts über Sie verwendet."),
    ),
    "nothing fits": (
        "/gold", {"traits": {"tier": "none"}},
        ("This is what everybody sees.", "What is known about you changed nothing here."),
        ("Das sehen alle.", "Was über Sie bekannt ist, hat hier nichts geändert."),
    ),
    "refused": (
        "/gold", {"traits": {"tier": "gold"}, "consent": {"analytics": True}},
        ("This is what everybody sees. Anything else would need what you have not allowed or have switched off.", "Nothing about you was used."),
        ("Das sehen alle. Alles andere bräuchte etwas, das Sie nicht erlaubt oder ausgeschaltet haben.", "Dafür wurde nichts über Sie verwendet."),
    ),
    "not yet": (
        "/soon", {"consent": {}},
        ("Something else is planned for this place, but not for now.", "Nothing about you was used."),
        ("Für diese Stelle ist noch etwas anderes geplant, aber nicht für jetzt.", "Dafür wurde nichts über Sie verwendet."),
    ),
    "a small group": (
        "/sizes", {"traits": {"kids": 1}},
        (SENTENCES["segment_too_small"], "What is known about you changed nothing here."),
        ("Das sehen alle. Die Gruppe für etwas anderes ist zu klein, um jemanden herauszugreifen.", "Was über Sie bekannt ist, hat hier nichts geändert."),
    ),
    "something left out": (
        "/left-out", GOLD,
        ("Something is left out here because you belong to: Gold members.", "Switch “Gold members” off if you do not want this."),
        ("Hier ist etwas weggelassen, weil Sie hierzu gehören: Goldmitglieder.", "Schalten Sie „Goldmitglieder“ aus, wenn Sie das nicht möchten."),
    ),
}  # fmt: skip


@pytest.mark.usefixtures("labelled")
def test_two_plain_lines_in_both_languages() -> None:
    for name, (path, asked, english, german) in CASES.items():
        assert tuple(hero_of(path, **asked)["lines"]) == english, name
        assert tuple(hero_of(path, **asked, locale="de")["lines"]) == german, name


@pytest.mark.usefixtures("labelled")
def test_what_decided_is_named_with_its_switch_and_what_is_behind_it() -> None:
    one = hero_of("/gold", **GOLD)
    assert one["personal"]
    assert one["segment"] == {"name": handle_of("gold"), "title": "Gold members"}
    assert one["off"] == {"segment": handle_of("gold")}
    assert one["switches"] == [{"segment": handle_of("gold"), "title": "Gold members"}]
    assert one["facts"] == ["something about you"], "a fact without a title is never called by its key"
    kids = hero_of("/kids", traits={"kids": 1})
    assert (kids["segment"], kids["off"], kids["facts"]) == (None, {"fact": "kids"}, ["Your children"])
    nobody = hero_of("/gold", consent={})
    assert (nobody["segment"], nobody["off"], nobody["facts"], nobody["personal"]) == (None, None, [], False)


@pytest.mark.usefixtures("labelled")
def test_the_facts_behind_a_segment_are_told_through_its_parents() -> None:
    last = "2026-11-21T08:00:00Z"
    known = {"kids": 1, "features.orders": 3, "features.last_order_at": last}
    assert hero_of("/family", traits=known)["facts"] == ["Your children", "orders", "last order"]
    german = hero_of("/family", traits=known, locale="de")
    assert german["facts"] == ["Ihre Kinder", "Bestellungen", "letzte Bestellung"]


@pytest.mark.usefixtures("labelled")
def test_a_title_is_what_stands_there_never_a_key() -> None:
    assert hero_of("/gold", **GOLD)["title"] == "Welcome back. Only now 5 %"
    assert hero_of("/left-out", **GOLD)["title"] == "Hello", "of what is left out, its default's"
    assert hero_of("/left-out", **GOLD)["shown"] is False
    assert hero_of("/gold", locale="de", consent={})["title"] == "Hallo"


@pytest.mark.usefixtures("labelled")
def test_a_name_in_a_text_that_everybody_sees_is_told() -> None:
    def footer(**asked: Any) -> list[dict[str, Any]]:
        return [one for one in why_of("/", **asked)["placements"] if one["placement"] == "home-footer"]

    (one,) = footer(traits={"first_name": "Ada"})
    assert one["lines"][0] == "Everybody sees this, filled in for you with: something about you."
    assert one["off"] == {"fact": "first_name"}
    assert footer() == [], "without a name there is nothing to tell"
    assert footer(traits={"first_name": "Ada"}, consent={}) == []


@pytest.mark.usefixtures("labelled")
def test_an_attribute_in_a_text_names_the_segment_that_carries_it() -> None:
    loyal = {"features.orders": 3, "features.last_order_at": "2026-11-21T08:00:00Z", "kids": 1}
    one = hero_of("/kids", traits=loyal)
    assert one["title"] == "Welcome back. Only now 15 %"
    assert (
        one["lines"][0] == "You see this because you belong to: Regulars. It also depends on: Your children."
    )


@pytest.mark.usefixtures("labelled")
def test_the_layout_is_told_where_it_was_chosen_for_somebody() -> None:
    layout = why_of("/layout", **GOLD)["layout"]
    assert layout["lines"][0] == "This page is arranged like this because you belong to: Gold members."
    assert layout["off"] == {"segment": handle_of("gold")}
    assert why_of("/layout")["layout"] is None


@pytest.mark.usefixtures("labelled")
def test_the_summary_says_what_was_used_of_what_was_allowed() -> None:
    used, looked, refused = (
        why_of("/gold", **GOLD),
        why_of("/gold"),
        why_of("/gold", consent={}, traits=GOLD["traits"]),
    )
    assert used["summary"] == "Some of this page was chosen for you, from what you allowed: Personal content."
    assert looked["summary"] == "What you allowed was looked at, and changed nothing on this page."
    assert refused["summary"] == "Nothing about you was used for this page."
    assert [answer["used"] for answer in (used, looked, refused)] == [True, False, False]
    assert used["purposes"] == [{"key": "personalization", "title": "Personal content"}]
    assert refused["purposes"] == []


@pytest.mark.usefixtures("labelled")
def test_what_could_not_have_been_different_is_not_told() -> None:
    assert why_of("/plain")["placements"] == []
    assert why_of("/plain")["summary"] == "Nothing about you was used for this page."


def test_there_is_a_sentence_for_every_reason() -> None:
    assert set(SENTENCES) == set(REASONS)


def test_names_are_joined_as_people_say_them() -> None:
    words = Words(lambda sentence: sentence, "en", handle_of)
    assert words.joined([]) == ""
    assert words.joined(["a", "b", "a", "c"]) == "a, b and c"
    assert words.joined(["a"], quoted=True) == "“a”"


# -- the demo shop ------------------------------------------------------------------------------------

PATHS = [one["path"] for one in DEMO_BUNDLE["pages"]]
SEGMENT_KEYS = [one["key"] for one in DEMO_BUNDLE["segments"]]
people = st.fixed_dictionaries(
    {
        "path": st.sampled_from(PATHS),
        "locale": st.sampled_from(["en", "de"]),
        "traits": st.fixed_dictionaries(
            {},
            optional={
                "first_name": st.just("Ada"),
                "kids": st.integers(0, 3),
                "tier": st.sampled_from(["gold", "silver"]),
                "features.orders": st.integers(0, 12),
                "features.revenue": st.integers(0, 9000),
                "features.favourite_category": st.sampled_from(["hiking", "coffee"]),
                "features.last_order_at": st.sampled_from(["2026-11-20T08:00:00Z", "2026-08-01T08:00:00Z"]),
            },
        ),
        "segments": st.dictionaries(st.sampled_from(SEGMENT_KEYS), st.booleans(), max_size=4),
        "context": st.fixed_dictionaries(
            {},
            optional={
                "device": st.sampled_from(["mobile", "desktop"]),
                "weather": st.sampled_from(["rain", "sun"]),
            },
        ),
        "consent": st.sampled_from([{}, {"personalization": True}, {"analytics": True}]),
    }
)


def keys_in(value: Any) -> Iterator[str]:
    """Yield every key by which the demo's bundle names something."""
    if isinstance(value, list):
        for one in value:
            yield from keys_in(one)
    elif isinstance(value, dict):
        yield from (value[name] for name in ("key", "placement", "block") if isinstance(value.get(name), str))
        for one in value.values():
            yield from keys_in(one)


def words_in(answer: dict[str, Any]) -> Iterator[str]:
    """Yield everything that somebody reads, but for the titles, which are the page's own words."""
    yield answer["summary"]
    yield from (purpose["title"] for purpose in answer["purposes"])
    for part in (*([answer["layout"]] if answer["layout"] else []), *answer["placements"]):
        yield from (*part["lines"], *part["facts"], *(switch["title"] for switch in part["switches"]))


@pytest.fixture
def demo(db: None) -> None:
    with committing():
        load_bundle(DEMO_BUNDLE, now=NOW, publish=True, folder=DEMO)


@pytest.mark.usefixtures("demo")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people)
def test_no_key_no_rule_and_no_number_stands_in_the_words(asked: dict[str, Any]) -> None:
    keys = {key for key in keys_in(DEMO_BUNDLE) if not key.isalpha() or key in SEGMENT_KEYS}
    answer = told(preview(asked, now=NOW))
    for text in words_in(answer):
        assert not re.search(r"[\d${}<>=_]|features\.|context\.|scores\.", text), text
        assert keys.isdisjoint(re.findall(r"[\w-]+", text)), text
        assert text.strip()
    for part in answer["placements"]:
        assert part["title"]
        assert part["title"] not in keys
        assert len(part["lines"]) == 2
        assert (part["off"] is not None) == part["personal"]
        for switch in part["switches"]:
            assert set(SEGMENT_KEYS).isdisjoint(
                {switch.get("segment"), switch.get("fact", "").removeprefix(SCORES)}
            )
    assert answer["used"] <= ("personalization" in asked["consent"])
