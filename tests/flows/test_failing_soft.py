"""PostgreSQL or Redis is away: a published page is answered all the same, and its reason says why."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from consent.hot_store import Unavailable, hot_store
from consent.models import ConsentState
from tests.flows.front import Front, agreed

pytestmark = pytest.mark.usefixtures("shop")


@pytest.fixture
def no_redis(settings: Any) -> Iterator[None]:
    """Let Redis be where nobody listens."""
    settings.REDIS_HOT_URL = "unix:///nowhere/redis.sock?db=0"
    hot_store.cache_clear()
    yield
    hot_store.cache_clear()


def without_database(call: Callable[[], Any]) -> Any:
    """Call in a thread whose connection leads nowhere, and return what came of it."""
    found: list[Any] = []

    def run() -> None:
        broken = connections.create_connection("default")
        options = {k: v for k, v in broken.settings_dict["OPTIONS"].items() if k != "pool"}
        broken.settings_dict = {**broken.settings_dict, "HOST": "/nowhere", "PORT": "1", "OPTIONS": options}
        connections["default"] = broken
        try:
            found.append(call())
        finally:
            broken.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def asked(front: Front, path: str) -> Any:
    """Ask the delivery handler alone: it needs no transaction."""
    headers = {"HTTP_X_VISITOR": front.token} if front.token else {}
    environ = front._base_environ(PATH_INFO=f"/api/v1/pages{path}", REQUEST_METHOD="GET", **headers)
    return front.handler.delivery(environ)


class TestWithoutRedis:
    def test_pages_are_answered_from_postgresql(self, write_key: str, settings: Any) -> None:
        front = agreed()
        front.buys(write_key, times=3)
        settings.REDIS_HOT_URL = "unix:///nowhere/redis.sock?db=0"
        hot_store.cache_clear()
        try:
            for _ in range(5):  # before and after the breaker opens
                assert front.variant() == ("loyal", "matched")
                assert Front().variant() == ("default", "no_consent")
        finally:
            hot_store.cache_clear()

    @pytest.mark.usefixtures("no_redis")
    def test_agreeing_does_not_wait(self) -> None:
        started = time.monotonic()
        assert agreed().variant() == ("new", "matched")
        assert time.monotonic() - started < 5

    @pytest.mark.usefixtures("no_redis")
    def test_a_withdrawal_is_answered_when_no_older_copy_is_valid_any_more(self, settings: Any) -> None:
        settings.GATES_MAX_AGE_SECONDS = 1.0
        front = agreed()
        started = time.monotonic()
        assert front.decide(personalization=False).status_code == 200
        assert 1.0 <= time.monotonic() - started < 8
        assert front.variant() == ("default", "no_consent")

    @pytest.mark.usefixtures("no_redis")
    def test_events_are_kept_and_the_next_page_reflects_them(self, write_key: str) -> None:
        front = agreed()
        front.buys(write_key, times=3)
        assert front.variant() == ("loyal", "matched")

    @pytest.mark.usefixtures("no_redis")
    def test_rates_are_still_limited(self, settings: Any) -> None:
        settings.RATES = settings.RATES | {"consent": (0.1, 3)}
        front = Front()
        assert [front.decide(analytics=False).status_code for _ in range(4)] == [200, 200, 200, 429]

    @pytest.mark.usefixtures("no_redis")
    def test_the_store_says_that_it_is_away(self) -> None:
        for _ in range(5):
            with pytest.raises(Unavailable):
                hot_store().ping()
        assert not hot_store().available


class TestWithoutPostgresql:
    def test_a_warm_page_is_the_same_page(self, write_key: str) -> None:
        front = agreed()
        front.buys(write_key, times=3)
        before = front.page().content
        answer = without_database(lambda: asked(front, "/"))
        assert (answer.status_code, answer.content) == (200, before)

    def test_nobody_gets_every_page_that_is_in_memory(self) -> None:
        for path in ("/", "/plain", "/device"):
            before = Front().page(path)
            answer = without_database(lambda path=path: asked(Front(), path))
            assert (answer.status_code, answer.content) == (200, before.content)

    def test_gates_that_cannot_be_read_are_closed(self) -> None:
        front = agreed()
        assert front.variant() == ("new", "matched")
        hot_store().delete(f"gates:{ConsentState.objects.get().subject_id.hex}")
        answer = without_database(lambda: asked(front, "/"))
        assert answer.status_code == 200
        assert answer.content == Front().page().content

    def test_a_profile_that_cannot_be_read_is_unknown(self) -> None:
        front = agreed()
        assert front.variant() == ("new", "matched")
        hot_store().delete(f"snapshot:{ConsentState.objects.get().subject_id.hex}")
        answer = without_database(lambda: asked(front, "/"))
        assert answer.status_code == 200
        assert b'"unknown_fact"' in answer.content

    def test_both_away_is_the_default(self, settings: Any) -> None:
        front = agreed()
        before = Front().page().content
        front.page()
        settings.REDIS_HOT_URL = "unix:///nowhere/redis.sock?db=0"
        hot_store.cache_clear()
        try:
            answer = without_database(lambda: asked(front, "/"))
        finally:
            hot_store.cache_clear()
        assert (answer.status_code, answer.content) == (200, before)

    def test_what_was_never_read_says_that_it_cannot_be_read_now(self) -> None:
        Front().page("/plain")
        answer = without_database(lambda: asked(Front(), "/weather"))
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
