"""The catalogue of events at the door: lenient warns, strict drops, a schema counts, and the shape of what came is shown."""

import datetime as dt
from typing import Any

import pytest

from personalization import events
from personalization.bundle import load_bundle
from personalization.events import forget_declared
from personalization.ingest import counts
from personalization.models import Event, EventCount, EventType
from tests.builders import the_site
from tests.flows.front import Front, agreed
from tests.flows.shop import load

pytestmark = pytest.mark.usefixtures("shop")
SCHEMA = {"type": "object", "properties": {"stars": {"type": "integer"}}, "required": ["stars"]}


def now(**later: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(**later)


@pytest.fixture
def ada() -> Front:
    load(
        {
            "tessera": 1,
            "events": [
                {"key": "Rated", "title": "Rated", "schema": SCHEMA},
                {"key": "Refunded", "from": "server"},
            ],
        }
    )
    return agreed(personalization=True, analytics=True)


def strict() -> None:
    site = the_site()
    site.strict_events = True
    site.save()
    forget_declared()


def sent(front: Front, key: str, event: str, **properties: Any) -> dict[str, Any]:
    answer = front.send(key, "track", event=event, properties=properties)
    assert answer.status_code == 200
    return dict(answer.json())


def counted(name: str) -> dict[str, int]:
    counts.collect(now=now())
    return {row.reason: row.count for row in EventCount.objects.filter(name=name)}


def test_lenient_keeps_what_nobody_declared_and_what_has_another_shape_and_says_so(
    ada: Front, write_key: str
) -> None:
    assert sent(ada, write_key, "Danced")["accepted"] == 1
    assert sent(ada, write_key, "Rated", stars="five")["accepted"] == 1
    assert sent(ada, write_key, "Rated", stars=5)["accepted"] == 1
    assert counted("Rated") == {"": 2, "schema_warning": 1}
    assert counted("Danced")[""] == 1


def test_strict_drops_both_each_with_its_reason(ada: Front, write_key: str) -> None:
    strict()
    assert sent(ada, write_key, "Danced")["dropped"] == {"undeclared_event": 1}
    assert sent(ada, write_key, "Rated", stars="five")["dropped"] == {"schema": 1}
    assert sent(ada, write_key, "Rated", stars=5)["accepted"] == 1
    assert list(Event.objects.values_list("name", flat=True)) == ["Rated"]
    assert counted("Danced") == {"undeclared_event": 1}


def test_what_only_servers_may_say_is_not_taken_from_a_page(
    ada: Front, write_key: str, server_key: str
) -> None:
    assert sent(ada, write_key, "Refunded")["dropped"] == {"untrusted": 1}
    assert sent(ada, server_key, "Refunded")["accepted"] == 1


def test_a_rule_over_an_event_that_a_strict_site_never_heard_of_is_refused_with_its_place(ada: Front) -> None:
    rule = {"$did": {"event": "Danced", "within": "P1D"}}
    bundle = {"tessera": 1, "segments": [{"key": "dancers", "title": "Dancers", "rule": rule}]}
    lenient = load_bundle(bundle, now=now())
    assert [(one.code, one.severity) for one in lenient.problems] == [("unknown_event", "warning")]
    strict()
    refused = load_bundle(bundle | {"segments": [bundle["segments"][0] | {"key": "more"}]}, now=now())  # type: ignore[index]
    assert [(one.code, one.severity, one.pointer) for one in refused.problems] == [
        ("unknown_event", "error", "/segments/0/rule/$did/event")
    ]


def test_the_shape_of_what_came_is_kept_and_renewed(ada: Front, write_key: str) -> None:
    sent(ada, write_key, "Rated", stars=5)
    counts.collect(now=now())
    row = EventType.objects.get(key="Rated")
    assert (row.declared, row.sample) == (True, {"stars": "number"})
    sent(ada, write_key, "Rated", stars=5, words="good")
    counts.collect(now=now())
    row.refresh_from_db()
    assert row.sample == {"stars": "number"}  # once an hour is enough
    sent(ada, write_key, "Rated", stars=5, words="good")
    counts.collect(now=now(hours=2))
    row.refresh_from_db()
    assert row.sample == {"stars": "number", "words": "string"}


def test_names_that_nobody_declared_cannot_fill_the_table(
    ada: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_SEEN", EventType.objects.filter(declared=False).count() + 2)
    events.note_seen(1, {f"Made up {n}" for n in range(10)}, now=now())
    assert EventType.objects.filter(key__startswith="Made up").count() == 2
