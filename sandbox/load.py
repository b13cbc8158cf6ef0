"""Fills the source tables of a sandbox database with a generated sample or with a CSV file."""

from collections.abc import Callable, Iterable
from pathlib import Path

import psycopg
from psycopg import sql

from sandbox.csv_listings import csv_rows
from sandbox.sample.generator import ai_rows, image_rows, listing_rows
from sandbox.sample.options import SampleOptions
from sandbox.source_tables import (
    AI_TABLE,
    COLUMN_TYPES,
    IMAGE_TABLE,
    LISTING_TABLE,
    SOURCES_SQL,
)

Table = tuple[str, str]
Row = tuple[object, ...]
Connection = psycopg.Connection[Row]
Cursor = psycopg.Cursor[Row]


class TablesNotEmptyError(Exception):
    """A source table already holds rows: loading would mix two data sets."""


def load_sample(connection: Connection, options: SampleOptions) -> dict[str, int]:
    """Create the source tables and fill them with the sample; return the rows per table.

    All or nothing. If the connection has an open transaction, the caller commits it; otherwise this
    commits.

    Raises:
        TablesNotEmptyError: one of the tables already holds rows. Nothing was changed.
    """
    return _load(
        connection,
        {
            LISTING_TABLE: listing_rows(options),
            AI_TABLE: ai_rows(options),
            IMAGE_TABLE: image_rows(options),
        },
        copy=_copy_binary,
    )


def load_csv(connection: Connection, path: Path) -> dict[str, int]:
    """Create the source tables and fill the listings from a CSV file; return the rows per table.

    The AI and image tables stay empty. Transactions as for ``load_sample``; ``csv_listings``
    describes the file.

    Raises:
        CsvError: the file is not as described. Nothing was changed.
        TablesNotEmptyError: one of the tables already holds rows. Nothing was changed.
    """
    return _load(connection, {LISTING_TABLE: csv_rows(path)}, copy=_copy_text)


def _load(
    connection: Connection,
    rows_by_table: dict[Table, Iterable[Row]],
    copy: Callable[[Cursor, Table, Iterable[Row]], None],
) -> dict[str, int]:
    counts = {".".join(table): 0 for table in COLUMN_TYPES}
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(SOURCES_SQL.read_text(encoding="utf-8"))
        _require_empty(cursor)
        for table, rows in rows_by_table.items():
            copy(cursor, table, rows)
            counts[".".join(table)] = cursor.rowcount
        for table in COLUMN_TYPES:
            cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(*table)))
    return counts


def _require_empty(cursor: Cursor) -> None:
    for table in COLUMN_TYPES:
        query = sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(*table))
        if cursor.execute(query).fetchone() is not None:
            name = sql.Identifier(*table).as_string(cursor)
            raise TablesNotEmptyError(
                f"{name} already holds rows; expected all three source tables to be empty. Load "
                "into a fresh database, or empty the tables first if their rows may go."
            )


def _copy_binary(cursor: Cursor, table: Table, rows: Iterable[Row]) -> None:
    """Copy rows of exactly the columns' types: more than twice as fast as text."""
    types = [declared.partition("(")[0] for declared in COLUMN_TYPES[table].values()]
    with cursor.copy(_copy_command(table, "binary")) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _copy_text(cursor: Cursor, table: Table, rows: Iterable[Row]) -> None:
    """Copy rows as text: the server then puts times without an offset into the session's zone."""
    with cursor.copy(_copy_command(table, "text")) as copy:
        for row in rows:
            copy.write_row(row)


def _copy_command(table: Table, form: str) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
        sql.Identifier(*table),
        sql.SQL(", ").join(sql.Identifier(column) for column in COLUMN_TYPES[table]),
        sql.Identifier(form),
    )
