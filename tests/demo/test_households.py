"""Real households become consented profiles, once, with exactly the orders that the source has."""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from demo.households.journal import Journal
from demo.households.load import Loader, in_order, load_catalogue, load_consent, load_events
from demo.households.progress import Progress
from demo.households.report import compare, table, three_front_pages
from demo.households.source import Source
from demo.state import FOLDER
from personalization.bundle import load_bundle
from personalization.models import Event, Profile
from tests.builders import the_site
from tests.demo.sample import FrontApi, sample
from tests.flows.front import make_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return sample(tmp_path)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path / "var" / "journal.sqlite")) as one:
        yield one


@pytest.fixture
def loader(source: Source, journal: Journal) -> Loader:
    open_shop(publish=False)
    return Loader(source, journal, FrontApi(), make_key("ingest", "manage"), _quiet)


def open_shop(*, publish: bool) -> None:
    content = json.loads((FOLDER / "bundle.json").read_text())
    load_bundle(content, now=dt.datetime.now(dt.UTC), publish=publish, folder=FOLDER)


def _quiet(title: str, total: int, done: int) -> Progress:
    return Progress(title, total, lambda _: None, done=done)


def shift_of(source: Source, now: dt.datetime) -> int:
    return int(now.timestamp()) - max(one.last_at for one in source.households())


def load(loader: Loader, api: FrontApi, now: dt.datetime) -> None:
    loader = Loader(loader.source, loader.journal, api, loader.key, loader.progress)
    households = loader.source.households()
    load_catalogue(loader, bought_by=2)
    load_consent(loader, households)
    load_events(loader, households, shift_seconds=shift_of(loader.source, now))


def rows_of(loader: Loader, now: dt.datetime) -> dict[str, tuple[int, int]]:
    shift = shift_of(loader.source, now)
    people = loader.journal.people()
    rows = compare(loader.source, people, site=the_site(), shift_seconds=shift, now=now, bought_by=2)
    return {row.title: (row.source, row.stored) for row in rows}


def test_everything_stored_equals_the_source(loader: Loader) -> None:
    now = dt.datetime.now(dt.UTC)
    load(loader, FrontApi(), now)
    rows = rows_of(loader, now)
    assert {title: pair for title, pair in rows.items() if pair[0] != pair[1]} == {}
    assert rows["households with a profile"] == (4, 4)
    assert rows["with demographics"] == (2, 2)
    assert rows["events"] == (17, 17)
    assert rows["segment lapsed"] == (1, 1)
    assert rows["segment loyal"] == (1, 1)
    assert rows["segment families"] == (1, 1)


@pytest.mark.parametrize("calls", [2, 4, 6])
def test_a_run_that_was_ended_goes_on_and_counts_nothing_twice(loader: Loader, calls: int) -> None:
    now = dt.datetime.now(dt.UTC)
    with pytest.raises(ConnectionError):
        load(loader, FrontApi(calls=calls), now)
    load(loader, FrontApi(), now)
    assert all(left == right for left, right in rows_of(loader, now).values())


def test_events_that_were_acknowledged_but_not_noted_count_once(loader: Loader) -> None:
    now = dt.datetime.now(dt.UTC)
    load(loader, FrontApi(), now)
    loader.journal._file.execute("UPDATE visitors SET sent = 0")
    load(loader, FrontApi(), now)
    assert Event.objects.filter(name="Order Completed").count() == 17
    assert all(left == right for left, right in rows_of(loader, now).values())


def test_a_second_run_sends_no_consent_and_no_event(loader: Loader) -> None:
    now = dt.datetime.now(dt.UTC)
    load(loader, FrontApi(), now)
    again = FrontApi()
    load(loader, again, now)
    assert not [call for call in again.made if call.startswith("PUT") or "batch" in call]


def test_a_count_that_differs_is_said(loader: Loader) -> None:
    now = dt.datetime.now(dt.UTC)
    load(loader, FrontApi(), now)
    rows_of(loader, now)
    Profile.objects.filter(orders=9).update(orders=10)
    assert rows_of(loader, now)["equal in orders"] == (4, 3)
    shift = shift_of(loader.source, now)
    rows = compare(loader.source, loader.journal.people(), site=the_site(), shift_seconds=shift, now=now)
    assert "equal in orders                              4         3  WRONG" in table(rows)


def test_the_front_page_of_three_households_names_what_matched(loader: Loader) -> None:
    open_shop(publish=True)
    load(loader, FrontApi(), dt.datetime.now(dt.UTC))
    said = three_front_pages(loader.source.households(), loader.journal.people(), FrontApi())
    assert said.count("Household ") == 3
    assert "hero-lapsed" in said
    assert "hero-loyal" in said
    assert "family, matched" in said


def test_tokens_are_readable_by_their_owner_alone(journal: Journal, tmp_path: Path) -> None:
    assert (tmp_path / "var" / "journal.sqlite").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("threads", [1, 3])
def test_answers_keep_the_order_of_the_calls(threads: int) -> None:
    assert list(in_order(lambda n: n * n, range(20), threads=threads)) == [n * n for n in range(20)]
