"""How often somebody may call: a token bucket in Redis, or in this process while Redis is away. Never unlimited."""

import threading
import time
from collections import OrderedDict

from django.conf import settings

from consent.hot_store import Unavailable, hot_store

_LOCAL_LIMIT = 10_000
_local: OrderedDict[str, tuple[float, float]] = OrderedDict()
_lock = threading.Lock()


def wait_seconds(kind: str, who: str) -> float:
    """Take one call of the kind's budget; return 0, or the seconds until the next one is allowed."""
    rate, burst = settings.RATES[kind]
    try:
        return hot_store().take(f"rate:{kind}:{who}", rate=rate, burst=burst, now=time.time())
    except Unavailable:
        return _take_locally(f"{kind}:{who}", rate, burst)


def _take_locally(key: str, rate: float, burst: int) -> float:
    now = time.monotonic()
    with _lock:
        tokens, at = _local.pop(key, (float(burst), now))
        tokens = min(float(burst), tokens + (now - at) * rate)
        allowed = tokens >= 1
        _local[key] = (tokens - 1 if allowed else tokens, now)
        if len(_local) > _LOCAL_LIMIT:
            _local.popitem(last=False)
    return 0.0 if allowed else (1 - tokens) / rate
