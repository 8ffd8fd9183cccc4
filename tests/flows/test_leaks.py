"""What people say of themselves is in no log line, no key of Redis, and no argument of a task."""

import datetime as dt
import logging

import pytest
import redis
from django.conf import settings

from consent.enforcement import enforce
from personalization import tasks
from tests.builders import committing
from tests.flows.front import Front, agreed

pytestmark = pytest.mark.usefixtures("shop")


def everything_in(database: str) -> bytes:
    """Return every key and plain value of one Redis database as one text."""
    client = redis.Redis.from_url(database)
    out = []
    for key in client.scan_iter():
        out.append(key)
        out.append(client.dump(key) or b"")
    client.close()
    return b"\n".join(out)


def test_a_hundred_canaries_are_nowhere_they_should_not_be(
    write_key: str, server_key: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    front = agreed()
    mails = [f"canary-{number}@leak.example" for number in range(100)]
    named = [{"type": "identify", "userId": m, "traits": {"first_name": m, "email": m}} for m in mails]
    tracked = [{"type": "track", "event": "Signed Up", "properties": {"email": m}} for m in mails]
    broken = [{"type": "track", "event": "", "properties": {"email": m}} for m in mails]
    for key in (write_key, server_key):
        batch = [one | {"anonymousId": front.visitor} for one in (*named, *tracked, *broken)]
        assert front.send(key, "batch", batch=batch).json()["accepted"] == 200
    front.send(write_key, "track", event="", properties={"email": mails[0]})
    front.post_events("/v1/track", f'{{"email": "{mails[0]}"'.encode(), write_key)
    Front().page("/", X_Visitor="canary@leak.example", Known="no")
    front.decide(personalization=False)
    with committing():
        tasks.sweep()
        enforce(now=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1))
    printed = capsys.readouterr()
    logged = caplog.text + printed.out + printed.err
    assert "leak.example" not in logged
    client = redis.Redis.from_url(settings.REDIS_HOT_URL)
    assert not [key for key in client.scan_iter() if b"leak" in key]
    client.close()
    broker = settings.REDIS_HOT_URL.replace("db=2", "db=0")
    assert broker != settings.REDIS_HOT_URL
    assert b"leak.example" not in everything_in(broker)
    assert b"leak.example" not in everything_in(settings.CACHES["default"]["LOCATION"])


def test_a_key_is_in_no_log(
    write_key: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    front = agreed()
    front.send(write_key, "page")
    front.post("/v1/t", b"{", content_type="text/plain", headers={"Authorization": f"Api-Key {write_key}"})
    printed = capsys.readouterr()
    secret = write_key.partition(".")[2]
    assert secret not in caplog.text + printed.out + printed.err
    assert str(front.token) not in caplog.text + printed.out + printed.err
