"""What a sandbox's database is filled with: what the store's folder brings, or our sample.

A folder with a ``seed.sql`` brings its own tables (``sources.sql``) and rows, and psql runs both. A
folder without one reads the tables that the sample, or a CSV of listings, fills.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import psycopg
from psycopg import sql

from feature_store.connection import one_value
from feature_store.declarations.source_tables import read_sources
from feature_store.declarations.store_profile import read_profile
from feature_store.errors import BadInput
from sandbox.csv_listings import csv_digest
from sandbox.load import load_csv, load_sample
from sandbox.sample.options import SampleOptions
from sandbox.server import run_psql
from sandbox.source_tables import COLUMN_TYPES, LISTING_TABLE

_SOURCES = "sources.sql"
_SEED = "seed.sql"


@dataclass(frozen=True)
class Data:
    """Data for a store.

    Attributes:
        include_dir: the store's folder.
        name: of the data, as part of a database's name.
        load: creates the sources in the database of a connection string, fills them, and gives the
            rows of each.
        newest: the last day of what was loaded into such a database; None: there is no row.
    """

    include_dir: Path
    name: str
    load: Callable[[str], dict[str, int]] = field(compare=False)
    newest: Callable[[str], date | None] = field(compare=False)


def find_data(
    include_dir: Path, *, listings: int | None, days: int, last_day: date, csv: str | None
) -> Data:
    """What a store's database is filled with.

    Args:
        include_dir: the store's folder.
        listings: how many the sample has; None: as usual.
        days: how many days the data cover.
        last_day: the last of them.
        csv: a file of listings instead.

    Raises:
        BadInput: a CSV was to be of so many listings, or the folder's seed, or the seed was to be
            a CSV; or nothing fills the tables that the folder reads.
        ValueError: a number is out of its range.
    """
    if csv and listings is not None:
        raise BadInput(
            "CSV and LISTINGS both say which listings are loaded.", next_step="Give one of them."
        )
    size = SampleOptions.listings if listings is None else listings
    options = SampleOptions(size, days, last_day)
    if (include_dir / _SEED).exists():
        if csv or listings is not None:
            raise BadInput(
                f"{include_dir} has a {_SEED} of its own; LISTINGS and CSV are for stores over "
                f"{'.'.join(LISTING_TABLE)}.",
                next_step="Give DAYS and LAST_DAY alone.",
            )
        return seeded_data(include_dir, options.days, options.last_day)
    _require_known_tables(include_dir)
    return csv_data(include_dir, Path(csv)) if csv else sample_data(include_dir, options)


def sample_data(include_dir: Path, options: SampleOptions) -> Data:
    """Our generated listings."""

    def load(conninfo: str) -> dict[str, int]:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            return load_sample(connection, options)

    name = f"sample_{options.listings}_{options.days}d_{options.last_day:%Y%m%d}"
    return Data(include_dir, name, load, lambda _: options.last_day)


def csv_data(include_dir: Path, path: Path) -> Data:
    """The listings of a CSV file, whose times without an offset are UTC.

    Raises:
        CsvError: it is no file.
    """

    def load(conninfo: str) -> dict[str, int]:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return load_csv(connection, path)

    def newest(conninfo: str) -> date | None:
        query = sql.SQL("SELECT max(edited_date)::date FROM {}")
        with psycopg.connect(conninfo) as connection:
            day: date | None = one_value(connection, query.format(sql.Identifier(*LISTING_TABLE)))
        return day

    return Data(include_dir, f"csv_{csv_digest(path)[:12]}", load, newest)


def seeded_data(include_dir: Path, days: int, last_day: date) -> Data:
    """What the folder's own ``seed.sql`` makes; it may use the psql variables that are given here.

    Args:
        include_dir: the store's folder.
        days: the variable ``days``.
        last_day: the variable ``last_day``.
    """

    def load(conninfo: str) -> dict[str, int]:
        _run(conninfo, include_dir / _SOURCES)
        _run(conninfo, include_dir / _SEED, days=str(days), last_day=last_day.isoformat())
        count = sql.SQL("SELECT count(*) FROM {}")
        rows: dict[str, int] = {}
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("ANALYZE")
            for source in read_sources(include_dir / "sources.toml"):
                rows[str(source.name)] = one_value(connection, count.format(source.name.identifier))
        return rows

    name = f"{read_profile(include_dir).name}_{days}d_{last_day:%Y%m%d}"
    return Data(include_dir, name, load, lambda _: last_day)


def _run(conninfo: str, script: Path, **variables: str) -> None:
    try:
        run_psql(conninfo, script, ON_ERROR_STOP="1", **variables)
    except subprocess.CalledProcessError as error:
        raise BadInput(f"psql could not run {script}: {error.stderr.strip()}") from None


def _require_known_tables(include_dir: Path) -> None:
    ours = {".".join(table) for table in COLUMN_TYPES}
    read = {str(source.name) for source in read_sources(include_dir / "sources.toml")}
    if unknown := sorted(read - ours):
        raise BadInput(
            f"Nothing here fills {', '.join(unknown)}, which the store in {include_dir} reads.",
            next_step=f"Put a {_SOURCES} and a {_SEED} into its folder, as "
            "examples/bike_stations has them.",
        )
