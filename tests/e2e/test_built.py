"""The scripts that are committed are what their sources build: nobody serves what nobody can read."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.running import ROOT

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("package", ["snippet", "consent", "receipt", "rule-builder"])
def test_what_is_committed_is_what_is_built(package: str) -> None:
    here = Path(ROOT, "frontend", package)
    if not (here / "node_modules").exists():
        subprocess.run(
            ["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=here, check=True, timeout=180
        )
    done = subprocess.run(
        ["npm", "run", "-s", "check"], cwd=here, capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
