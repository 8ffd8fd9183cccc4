"""Redis for the hot path: short timeouts, a breaker, and entries that only a newer version replaces.

An entry is `VERSION:payload`. `put` keeps what is there when that has a higher version (one Lua script), so that a
slow reader of an old state never overwrites a change; `bar` does the same where nothing is left to be written. When
Redis fails it is left alone for a moment, so that one request pays for one timeout and not for three; after three
failures in a row for five seconds. Meanwhile every call raises `Unavailable` at once.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

PAUSE_SECONDS = 0.2
LAST_VERSION = 2**53 - 1  # the highest that a script can compare exactly
_PUT = """
local old = redis.call('GET', KEYS[1])
if old and tonumber(string.match(old, '^%d+')) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'PX', ARGV[3])
return 1
"""
_GROW = """
for i, key in ipairs(KEYS) do
  local old = redis.call('GET', key)
  if not old or tonumber(string.match(old, '^%d+')) < tonumber(ARGV[i + 1]) then
    redis.call('SET', key, ARGV[i + 1] .. ':' .. ARGV[i + 1], 'PX', ARGV[1])
  end
end
"""
_DRAIN = """
local all = redis.call('HGETALL', KEYS[1])
redis.call('DEL', KEYS[1])
return all
"""
_TAKE = """
local rate, burst, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = math.min(burst, (tonumber(held[1]) or burst) + math.max(0, now - (tonumber(held[2]) or now)) * rate)
local allowed = tokens >= 1
if allowed then tokens = tokens - 1 end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', tostring(now))
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000) + 1000)
if allowed then return '0' end
return tostring((1 - tokens) / rate)
"""


class Unavailable(Exception):
    """Redis cannot be asked now."""


class HotStore:
    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._put = client.register_script(_PUT)
        self._take = client.register_script(_TAKE)
        self._grow = client.register_script(_GROW)
        self._drain = client.register_script(_DRAIN)
        self._errors = 0
        self._open_until = 0.0
        self._lock = threading.Lock()

    @property
    def available(self) -> bool:
        return time.monotonic() >= self._open_until

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read the payloads of several entries in one round trip."""
        entries = self._guarded(lambda: self._client.mget(keys))
        return [entry.partition(b":")[2] if entry is not None else None for entry in entries]

    def put(self, key: str, payload: bytes, *, version: int, ttl_seconds: float) -> bool:
        """Write an entry unless a newer one is there; return whether it was written."""
        arguments: list[bytes | int | str | float] = [version, payload, int(ttl_seconds * 1000)]
        return bool(self._guarded(lambda: self._put(keys=[key], args=arguments)))

    def bar(self, key: str, *, ttl_seconds: float) -> None:
        """Leave an empty entry that nothing replaces for so long: whoever read an old state keeps it to themselves."""
        self._guarded(lambda: self._client.set(key, f"{LAST_VERSION}:", px=int(ttl_seconds * 1000)))

    def grow(self, numbers: Mapping[str, int], *, ttl_seconds: float) -> None:
        """Set several entries to numbers, each unless a higher one is there."""
        arguments: list[bytes | int | str | float] = [int(ttl_seconds * 1000), *numbers.values()]
        self._guarded(lambda: self._grow(keys=list(numbers), args=arguments))

    def add(self, key: str, amounts: Mapping[str, int]) -> None:
        """Add to the numbers of a table."""
        pipeline = self._client.pipeline(transaction=False)
        for name, amount in amounts.items():
            pipeline.hincrby(key, name, amount)
        self._guarded(pipeline.execute)

    def drain(self, key: str) -> dict[str, int]:
        """Take the numbers of a table out of it."""
        found = self._guarded(lambda: self._drain(keys=[key]))
        return {name.decode(): int(n) for name, n in zip(found[::2], found[1::2], strict=True)}

    def delete(self, *keys: str) -> int:
        return int(self._guarded(lambda: self._client.delete(*keys)))

    def take(self, key: str, *, rate: float, burst: int, now: float) -> float:
        """Take one token of a bucket; return 0, or the seconds until there is one."""
        return float(self._guarded(lambda: self._take(keys=[key], args=[rate, burst, now])))

    def ping(self) -> bool:
        return bool(self._guarded(self._client.ping))

    def _guarded(self, call: Callable[[], Any]) -> Any:
        if not self.available:
            raise Unavailable
        try:
            result = call()
        except redis.RedisError as error:
            self._failed()
            raise Unavailable from error
        self._errors = 0
        return result

    def _failed(self) -> None:
        with self._lock:
            self._errors += 1
            tripped = self._errors >= settings.REDIS_BREAKER_ERRORS
            pause = settings.REDIS_BREAKER_SECONDS if tripped else PAUSE_SECONDS
            self._open_until = time.monotonic() + pause


@cache
def hot_store() -> HotStore:
    """Return the process's hot store."""
    timeout = settings.REDIS_SOCKET_TIMEOUT_SECONDS
    client = redis.Redis.from_url(
        settings.REDIS_HOT_URL,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        # A connection that a restarted Redis closed is tried once more; one that hangs is not: a page is waiting.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        health_check_interval=0,
    )
    return HotStore(client)
