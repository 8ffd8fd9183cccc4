"""Ten thousand events of people in every state of consent, through the door: what is stored is what a model of the law allows."""

import random
import uuid
from itertools import chain, combinations
from typing import Any

import orjson
import pytest

from personalization.models import Event
from tests.flows.front import Front, agreed
from tests.flows.shop import load

EVENTS = 10_000
CALL = 500
PURPOSES = ("analytics", "personalization", "profiling", "marketing", "sensitive")
USUAL = {"analytics", "personalization", "profiling"}
CATALOGUE: dict[str, set[str]] = {
    "Page Read": set(),  # declared without purposes: the usual ones
    "Letter Opened": {"marketing"},
    "Test Taken": {"personalization", "sensitive"},
    "Illness Named": {"sensitive"},  # never enough alone
    "Counted": {"analytics"},
}


def allowed(name: str, granted: set[str], preferences: dict[str, bool]) -> set[str]:
    """Say what an event may be kept for; nothing when it may not be kept."""
    open_ = {p for p in granted if preferences.get(p, True)}
    wanted = CATALOGUE.get(name) or USUAL
    if "sensitive" in wanted and "sensitive" not in open_:
        return set()
    usable = (wanted - {"sensitive"}) & open_
    return usable | (wanted & {"sensitive"}) if usable else set()


@pytest.mark.usefixtures("shop")
def test_no_event_is_stored_for_what_was_not_allowed(write_key: str) -> None:
    load({"tessera": 1, "events": [{"key": k, "purposes": sorted(v)} for k, v in CATALOGUE.items()]})
    states = [
        set(some) for some in chain.from_iterable(combinations(PURPOSES, n) for n in range(len(PURPOSES) + 1))
    ]
    people = [(agreed(**dict.fromkeys(some, True)).visitor, some) for some in states if some]
    withdrawn = agreed(**dict.fromkeys(PURPOSES, True))
    withdrawn.decide(**dict.fromkeys(PURPOSES, False))
    people += [(withdrawn.visitor, set()), (str(uuid.uuid4()), set()), (None, set())]
    chance = random.Random(20)
    expected: dict[str, set[str]] = {}
    sent: list[dict[str, Any]] = []
    for number in range(EVENTS):
        visitor, granted = chance.choice(people)
        name = chance.choice([*CATALOGUE, "Never Declared"])
        preferences = {p: chance.random() < 0.5 for p in PURPOSES if chance.random() < 0.2}
        message = {
            "type": "track",
            "event": name,
            "messageId": f"m{number}",
            "anonymousId": visitor or "",
            "properties": {"n": number},
        }
        message["context"] = {"consent": {"categoryPreferences": preferences}}
        sent.append(message)
        if purposes := allowed(name, granted, preferences):
            expected[f"m{number}"] = purposes
    accepted = 0
    for begin in range(0, EVENTS, CALL):
        body = orjson.dumps({"batch": sent[begin : begin + CALL]})
        answer = Front().post_events("/v1/batch", body, write_key)
        assert answer.status_code == 200, answer.content
        told = answer.json()
        accepted += told["accepted"]
        assert told["accepted"] + sum(told["dropped"].values()) == CALL
    stored = {m: set(p) for m, p in Event.objects.values_list("message_id", "purposes")}
    assert stored == expected
    assert accepted == len(expected)
    assert 1_000 < len(expected) < EVENTS
