"""The check by hand, as the guide prints it: it holds for a receipt that is real, and names what was edited."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

GUIDE: Path = settings.BASE_DIR / "docs" / "how-to" / "check-a-receipt.md"
CASES: Path = settings.BASE_DIR / "tests" / "cases" / "receipts.json"


def by_hand(folder: Path, change: Callable[[Any], Any] = lambda receipt: None) -> tuple[int, str]:
    """Run the script of the guide; return its code and what it said."""
    cases = json.loads(CASES.read_text("utf-8"))
    (script,) = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    receipt = cases["receipts"][-1]
    change(receipt)
    (folder / "receipt.json").write_text(json.dumps(receipt))
    (folder / "consent-ledger.json").write_text(json.dumps(cases["published"]))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_real_receipt_holds(tmp_path: Path) -> None:
    code, said = by_hand(tmp_path)
    assert (code, said.splitlines()[-1]) == (0, "The receipt holds.")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda r: r["ledger"][0]["clear"].update(action="withdrawn"), "somebody edited the entry"),
        (lambda r: r["ledger"][0]["path"].pop(), "never held this entry"),
        (lambda r: r["ledger"][0]["checkpoint"].update(at="2026-01-01"), "edited the checkpoint"),
        (lambda r: r["ledger"][0]["checkpoint"].update(n=5), "edited the checkpoint"),
        (lambda r: r.update(ledger_key="another"), "another site's"),
    ],
)
def test_an_edited_receipt_does_not(tmp_path: Path, change: Callable[[Any], Any], why: str) -> None:
    code, said = by_hand(tmp_path, change)
    assert code == 1
    assert why in said
