"""What a site loads of ours: each script whole, gzipped, under its limit."""

import gzip
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
LIMITS = {
    "personalization/static/personalization/tessera.js": 3 * 1024,
    "consent/static/consent/consent.js": 8 * 1024,
    "consent/static/consent/verify.js": 8 * 1024,
}


@pytest.mark.parametrize(("script", "limit"), LIMITS.items())
def test_a_script_stays_under_its_limit(script: str, limit: int) -> None:
    written = (ROOT / script).read_bytes()
    assert 500 < len(gzip.compress(written, 9)) < limit
    assert b"sourceMappingURL" not in written
