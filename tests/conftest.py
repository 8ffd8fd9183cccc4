"""What every test has: the one site, and nothing left over in Redis or in this process's memory."""

from collections.abc import Iterator

import pytest
import redis
from django.conf import settings
from pytest_django.plugin import DjangoDbBlocker

from tests.builders import make_site


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Add the site that a running system always has, outside of any test's transaction."""
    with django_db_blocker.unblock():
        make_site()


@pytest.fixture(autouse=True, scope="session")
def static_root() -> None:
    """Make the folder of static files, which WhiteNoise looks for at the first request."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True)
def media_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep uploads of a test out of everybody else's way."""
    from django.test import override_settings

    with override_settings(MEDIA_ROOT=tmp_path_factory.mktemp("media")):
        yield


@pytest.fixture(autouse=True)
def forget() -> None:
    """Empty the hot store, and what this process remembers of the site."""
    from consent.purposes import forget_closing
    from personalization import exposures
    from personalization.api import access
    from personalization.events import forget_declared
    from personalization.plans import plan_store
    from personalization.readers import _any_is_personal
    from personalization.segments.directory import _directory_at

    exposures.settle()
    client = redis.Redis.from_url(settings.REDIS_HOT_URL)
    client.flushdb()
    client.close()
    plan_store.__init__()  # type: ignore[misc]  # the one instance that everybody has imported
    access._cache.clear()
    forget_declared()
    _any_is_personal.cache_clear()
    _directory_at.cache_clear()
    forget_closing()
