"""The cases that the verifier in the browser is held to (frontend/receipt/test), held by the server as well."""

import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from consent.checkpoints import is_signed
from consent.ledger import hash_of_entry
from consent.merkle import leads_to
from consent.proofs import differences

CASES = json.loads((Path(__file__).parents[1] / "cases" / "receipts.json").read_text("utf-8"))


def named(case: Any) -> str:
    return str(case["name"])


@pytest.mark.parametrize("case", CASES["canonical"], ids=named)
def test_a_value_has_one_spelling(case: Any) -> None:
    assert rfc8785.dumps(json.loads(case["json"])).decode() == case["text"]


@pytest.mark.parametrize("case", CASES["paths"], ids=named)
def test_a_path_leads_to_its_root(case: Any) -> None:
    assert leads_to(case["entry"], case["path"], case["root"])


@pytest.mark.parametrize("receipt", CASES["receipts"])
def test_a_receipt_holds(receipt: Any) -> None:
    assert list(differences(receipt)) == []
    for entry in receipt["ledger"]:
        checkpoint = entry["checkpoint"]
        assert hash_of_entry(entry) == entry["hash"]
        assert leads_to(entry["hash"], entry["path"], checkpoint["root"])
        assert is_signed(checkpoint, receipt["ledger_key"])
        assert checkpoint in CASES["published"]["checkpoints"]
