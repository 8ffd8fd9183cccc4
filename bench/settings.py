"""The product's settings; only the baseline's route is added, behind the same handler and the same middleware."""

from config.settings import *  # noqa: F403  # the point is that everything is the same
from config.settings import DELIVERY_PATHS

ROOT_URLCONF = "bench.urls"
DELIVERY_PATHS = (*DELIVERY_PATHS, "/bench/")
# On a busy machine a fiftieth of a second says more about the machine: a page that fell back to SQL is not a warm one.
REDIS_SOCKET_TIMEOUT_SECONDS = 2.0
