"""Rows of a query as a pandas frame or an Arrow table, read in pieces.

A column's type comes from the database, never from the values. So a single row at inference has
the same types as the training set.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from feature_store.connection import Connection
from feature_store.errors import BadInput

METADATA = "feature_store"
"""The key in ``attrs``, or in the schema's metadata, that says which run certified a table."""

_ROWS = 20_000
_WHOLE, _REAL = ("int2", "int4", "int8"), ("float4", "float8")
_TEXT = ("text", "varchar")
# Days in the time zone of the server's session; every zone is less than a day from another.
_FIRST, _LAST = sql.SQL("'0001-01-02'"), sql.SQL("'9999-12-30'")
_MOMENTS = ("timestamptz", "timestamp", "date")
_AS_IT_IS = (*_WHOLE, *_REAL, *_TEXT, *_MOMENTS, "bool")


@dataclass(frozen=True)
class Column:
    """A column of a result: its name, and PostgreSQL's name of its type."""

    name: str
    type_name: str


@dataclass(frozen=True)
class Rows:
    """A result of the database, which can be read once."""

    columns: list[Column]
    pieces: Iterator[list[tuple[Any, ...]]]
    zone: str


Table = Callable[[Rows, str | None, dict[str, Any]], Any]


def maker_of(to: str) -> Table:
    """The function that makes the wanted kind of table.

    Raises:
        BadInput: no such kind, or the library is not installed.
    """
    if to not in ("pandas", "arrow"):
        raise BadInput(f"to is {to!r}; expected 'pandas' or 'arrow'.")
    library = {"pandas": "pandas", "arrow": "pyarrow"}[to]
    try:
        module = importlib.import_module(library)
    except ImportError as error:
        raise BadInput(
            f"to={to!r} needs {library}, which cannot be imported: {error}.",
            next_step=f"pip install {library}",
        ) from error
    make = _frame if to == "pandas" else _table
    return lambda rows, entity, metadata: make(module, rows, entity, metadata)


def read_rows(
    connection: Connection,
    query: sql.Composed,
    values: dict[str, Any],
    zone: str,
    entity: str | None,
) -> Rows:
    """Run a query whose rows are fetched in pieces. Columns of other types come as text.

    So does an entity of type numeric: as a float, two entities could become one. Days and moments
    that Python cannot hold come as NULL.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT q.* FROM ({}) AS q LIMIT 0").format(query), values)
        columns = [
            _column(connection, c.name, c.type_code, entity) for c in cursor.description or ()
        ]
    typed = sql.SQL("SELECT {} FROM ({}) AS q").format(
        sql.SQL(", ").join(map(_typed, columns)), query
    )
    return Rows(columns, _pieces(connection, typed, values), zone)


def _column(connection: Connection, name: str, oid: int, entity: str | None) -> Column:
    known = connection.adapters.types.get(oid)
    type_name = known.name if known else "text"
    if type_name == "numeric" and name != entity:
        return Column(name, "float8")
    return Column(name, type_name if type_name in _AS_IT_IS else "text")


def is_held(moment: sql.Composable) -> sql.Composed:
    """Whether Python can hold a day or moment: not NULL, not infinite, of the years 1 to 9999."""
    return sql.SQL("{} BETWEEN {} AND {}").format(moment, _FIRST, _LAST)


def _typed(column: Column) -> sql.Composed:
    """A column as it is read. One row's far day would else keep all rows from every reader."""
    value, name = sql.Identifier("q", column.name), sql.Identifier(column.name)
    if column.type_name in _MOMENTS:
        return sql.SQL("CASE WHEN {} THEN {} END AS {}").format(is_held(value), value, name)
    return sql.SQL("{}::{} AS {}").format(value, sql.SQL(column.type_name), name)


def _pieces(
    connection: Connection, query: sql.Composed, values: dict[str, Any]
) -> Iterator[list[tuple[Any, ...]]]:
    with connection.cursor("feature_store_client", binary=True) as cursor:
        cursor.execute(query, values)
        while rows := cursor.fetchmany(_ROWS):
            yield rows


def _by_column(rows: Sequence[tuple[Any, ...]], width: int) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _frame(pandas: Any, rows: Rows, entity: str | None, metadata: dict[str, Any]) -> Any:
    def series(column: Column, values: tuple[Any, ...]) -> Any:
        if column.type_name in _WHOLE and column.name == entity:
            return pandas.Series(values, dtype="int64")
        if column.type_name in _WHOLE + _REAL:
            return pandas.Series(values, dtype="float64")
        if column.type_name == "timestamptz":
            stamps = pandas.to_datetime(pandas.Series(values, dtype="object"), utc=True)
            return stamps.dt.as_unit("us").dt.tz_convert(rows.zone)
        if column.type_name == "timestamp":
            return pandas.Series(values, dtype="datetime64[us]")
        if column.type_name == "bool":
            return pandas.Series(values, dtype="boolean")  # NumPy's own has no NULL
        if column.type_name in _TEXT:
            return pandas.Series(values, dtype="str")
        return pandas.Series(values, dtype=None if values else "object")

    def frame(piece: Sequence[tuple[Any, ...]]) -> Any:
        values = _by_column(piece, len(rows.columns))
        named = zip(rows.columns, values, strict=True)
        return pandas.DataFrame({column.name: series(column, of) for column, of in named})

    frames = [frame(piece) for piece in rows.pieces] or [frame([])]
    whole = pandas.concat(frames, ignore_index=True)
    if entity is not None:
        whole = whole.set_index(entity).sort_index()
    whole.attrs[METADATA] = metadata
    return whole


def _table(pyarrow: Any, rows: Rows, entity: str | None, metadata: dict[str, Any]) -> Any:
    types = {
        "int2": pyarrow.int16(),
        "int4": pyarrow.int32(),
        "int8": pyarrow.int64(),
        "float4": pyarrow.float32(),
        "float8": pyarrow.float64(),
        "bool": pyarrow.bool_(),
        "date": pyarrow.date32(),
        "timestamp": pyarrow.timestamp("us"),
        "timestamptz": pyarrow.timestamp("us", tz=rows.zone),
    }
    schema = pyarrow.schema(
        [(c.name, types.get(c.type_name, pyarrow.string())) for c in rows.columns],
        metadata={METADATA: json.dumps(metadata)},
    )
    batches = [
        pyarrow.record_batch(
            [
                pyarrow.array(values, type=kind)
                for values, kind in zip(_by_column(piece, len(schema)), schema.types, strict=True)
            ],
            schema=schema,
        )
        for piece in rows.pieces
    ]
    whole = pyarrow.Table.from_batches(batches, schema=schema)
    return whole if entity is None else whole.sort_by(entity)
