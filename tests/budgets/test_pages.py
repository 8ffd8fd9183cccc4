"""What a page may cost: warm, no SQL and one Redis command; with old gates exactly one SELECT more."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consent.gates import encode
from consent.hot_store import hot_store
from consent.models import ConsentState
from consent.state import gates_key, gates_of
from tests.flows.front import Front, agreed, make_key
from tests.flows.shop import reopen_shop


@pytest.fixture(autouse=True)
def _shop(db: None) -> None:
    reopen_shop()


@contextmanager
def commands() -> Iterator[dict[str, int]]:
    """Count the commands that Redis gets meanwhile, by name."""
    client = redis.Redis.from_url(settings.REDIS_HOT_URL)
    client.config_resetstat()
    counted: dict[str, int] = {}
    yield counted
    for name, numbers in client.info("commandstats").items():
        short = name.removeprefix("cmdstat_").partition("|")[0]
        if short not in (
            "config",
            "info",
            "client",
            "hello",
            "select",
            "auth",
        ):  # ours, and a connection's first words
            counted[short] = counted.get(short, 0) + int(numbers["calls"])
    client.close()


def cost(ask: Any) -> tuple[int, dict[str, int]]:
    """Return the number of SQL statements and the Redis commands of one call."""
    with (
        CaptureQueriesContext(
            connection,
        ) as queries,
        commands() as counted,
    ):
        assert ask().status_code == 200
    return len(queries), counted


@pytest.fixture
def ada() -> Front:
    front, key = agreed(), make_key("ingest")
    front.buys(key, times=3)
    front.tells(key, first_name="Ada", kids=2)
    return front


PATHS = ["/", "/plain", "/device", "/family", "/offers"]


@pytest.mark.parametrize("path", PATHS)
def test_a_warm_page_is_no_sql_and_one_redis_command(ada: Front, path: str) -> None:
    for front, accept in product((ada, Front()), ("application/json", "text/html")):
        ask = partial(front.page, path, Accept=accept)
        ask()
        assert cost(ask) == (0, {"mget": 1})


def test_the_private_half_costs_the_same(ada: Front) -> None:
    ask = partial(ada.get, "/api/v1/decide/", headers={"X-Visitor": ada.token or ""})
    ask()
    assert cost(ask) == (0, {"mget": 1})


@pytest.mark.parametrize("age", ["old", "gone"])
def test_gates_that_are_too_old_cost_exactly_one_select(ada: Front, age: str) -> None:
    ada.page()
    row = ConsentState.objects.get()
    if age == "gone":
        hot_store().delete(gates_key(row.subject_id))
    else:
        old = encode(gates_of(row, now=time.time()), until=time.time() - 1)
        hot_store().put(gates_key(row.subject_id), old, version=row.version, ttl_seconds=60)
    with CaptureQueriesContext(connection) as queries:
        assert ada.variant() == ("loyal", "matched")
    assert len(queries) == 1
    assert queries[0]["sql"].startswith("SELECT")
    assert "consent_consentstate" in queries[0]["sql"]
    assert cost(ada.page) == (0, {"mget": 1})


def test_a_signal_that_is_kept_already_costs_nothing_more(ada: Front) -> None:
    ask = partial(ada.page, Sec_GPC="1")
    ask()
    ask()
    assert cost(ask) == (0, {"mget": 1})


def test_made_up_paths_do_not_push_real_pages_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from personalization import plans

    monkeypatch.setattr(plans, "MAX_PATHS", 10)
    front = Front()
    front.page("/plain")
    for number in range(30):
        assert front.page(f"/made-up-{number}").status_code == 404
    assert cost(lambda: front.page("/plain")) == (0, {"mget": 1})


def test_an_unknown_path_that_was_asked_for_is_no_sql(ada: Front) -> None:
    ada.page("/nowhere")
    with CaptureQueriesContext(connection) as queries:
        assert ada.page("/nowhere").status_code == 404
    assert len(queries) == 0


@pytest.mark.parametrize("count", [1, 40])
def test_events_cost_the_same_number_of_statements_however_many_they_are(count: int) -> None:
    front, key = agreed(), make_key("ingest")
    front.send(key, "page")
    batch = [
        {"type": "track", "event": "Seen", "anonymousId": front.visitor, "messageId": str(n)}
        for n in range(count)
    ]
    with CaptureQueriesContext(connection) as queries:
        assert front.send(key, "batch", batch=batch).json()["accepted"] == count
    assert len(queries) <= 14, [q["sql"][:80] for q in queries]
