"""What a site says at `/.well-known/`: its checkpoints, to anybody and in pages, and that it honours GPC."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from consent import lines
from consent.checkpoints import ledger_file, make, public_key, published
from tests.flows.front import agreed

LEDGER, GPC = "/.well-known/consent-ledger.json", "/.well-known/gpc.json"
NOW = dt.datetime(2026, 11, 22, 8, 0, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, settings: Any) -> None:
    """Keep the files outside the database in a folder of the test's own."""
    settings.LEDGER_DIR = tmp_path / "ledger"


def write(*numbers: int) -> None:
    for n in numbers:
        lines.append(ledger_file(), {"n": n, "hash": f"{n:064x}"})


def numbers(query: str = "") -> list[int]:
    return [one["n"] for one in Client().get(LEDGER + query).json()["checkpoints"]]


@pytest.mark.django_db
def test_the_checkpoint_of_a_decision_is_published_with_the_key() -> None:
    front = agreed(personalization=True)
    make(now=NOW)
    (receipt,) = front.get("/api/v1/consent/history", headers={"X-Visitor": front.token}).json()
    answer = Client().get(LEDGER)
    assert answer.json() == {"key": public_key(), "checkpoints": published(), "next": None}
    assert receipt["ledger"][0]["checkpoint"] in answer.json()["checkpoints"]
    assert receipt["ledger_key"] == answer.json()["key"]


def test_before_the_first_decision_there_is_a_key_and_no_checkpoint() -> None:
    assert Client().get(LEDGER).json() == {"key": public_key(), "checkpoints": [], "next": None}


@pytest.mark.parametrize("address", [LEDGER, GPC])
def test_anybody_on_any_origin_may_read_it_and_caches_keep_it_for_a_minute(address: str) -> None:
    answer = Client().get(address, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer
    assert set(answer["Cache-Control"].split(", ")) == {"public", "max-age=60"}
    assert "Cookie" not in answer.get("Vary", "")
    assert not answer.cookies


@pytest.mark.parametrize("address", [LEDGER, GPC])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nobody_can_change_it(address: str, method: str) -> None:
    assert Client().generic(method, address).status_code == 405


def test_gpc_is_honoured_since_a_day() -> None:
    answer = Client().get(GPC).json()
    assert answer["gpc"] is True
    assert set(answer) == {"gpc", "lastUpdate"}
    assert dt.date.fromisoformat(answer["lastUpdate"]).isoformat() == answer["lastUpdate"]


def test_many_checkpoints_are_read_in_pages_from_a_number_on() -> None:
    write(*range(1, 8))
    assert numbers() == [1, 2, 3, 4, 5, 6, 7]
    assert numbers("?from=5") == [5, 6, 7]
    assert numbers("?from=8") == []
    address, found = f"{LEDGER}?limit=3", list[int]()
    while address:
        answer = Client().get(address).json()
        found += [one["n"] for one in answer["checkpoints"]]
        address = answer["next"]
    assert found == [1, 2, 3, 4, 5, 6, 7]
    assert Client().get(f"{LEDGER}?from=2&limit=2").json()["next"] == f"{LEDGER}?from=4&limit=2"


def test_an_answer_has_a_thousand_checkpoints_at_most() -> None:
    ledger_file().parent.mkdir()
    ledger_file().write_text("".join(f'{{"n":{n}}}\n' for n in range(1, 1203)))
    answer = Client().get(f"{LEDGER}?limit=5000").json()
    assert (len(answer["checkpoints"]), answer["next"]) == (1000, f"{LEDGER}?from=1001")
    assert len(numbers("?from=1001")) == 202


@pytest.mark.parametrize(
    "query", ["from=0", "from=-1", "from=x", "from=", "from=1.5", "from=²", "limit=0", f"from={'9' * 40}"]
)
def test_what_is_no_number_is_refused(query: str) -> None:
    answer = Client().get(f"{LEDGER}?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["attr"] == query.split("=")[0]


def test_a_line_that_a_crash_left_half_written_is_left_out() -> None:
    write(1, 2)
    with ledger_file().open("ab") as file:
        file.write(b'{"n": 3, "half')
    assert numbers() == [1, 2]
    assert numbers("?from=3") == []


def test_a_checkpoint_that_two_workers_copied_is_told_once() -> None:
    write(1, 2, 3, 2, 3, 4)
    assert numbers() == [1, 2, 3, 4]
    assert numbers("?from=3") == [3, 4]


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 90)), max_size=60), st.integers(0, 250))
def test_halving_finds_what_reading_everything_finds(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]], start: int
) -> None:
    file = tmp_path_factory.mktemp("lines") / "some.jsonl"
    n, text = 0, ""
    for step, padding in steps:
        n += step
        text += f'{{"n":{n},"padding":"{"x" * padding}"}}\n'
    file.write_text(text)
    assert list(lines.since(file, start)) == [one for one in lines.read(file) if one["n"] >= start]
