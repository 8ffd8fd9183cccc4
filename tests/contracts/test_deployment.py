"""A deployment over TLS passes Django's own checks; secrets are made, and nothing debugs."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_django_finds_nothing_to_warn_of_in_a_deployment_over_tls() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "django", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={**os.environ, "HTTPS_ONLY": "1", "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_debug_is_off_unless_somebody_says_so() -> None:
    from config import settings

    assert settings.DEBUG is False
    assert len(settings.SECRET_KEY) >= 40
