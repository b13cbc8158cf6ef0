"""What a query's values become in pandas and Arrow, from a real server."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from feature_store.client.tables import maker_of, read_rows


@pytest.fixture
def read(empty_database):
    """Read what a query gives: ``entity`` names its entity, ``to`` the kind of table."""

    def of(query, entity=None, to="pandas"):
        pytest.importorskip("pyarrow" if to == "arrow" else to)
        with psycopg.connect(empty_database) as connection:
            rows = read_rows(connection, sql.Composed([sql.SQL(query)]), {}, "UTC", entity)
            return maker_of(to)(rows, entity, {})

    return of


def test_two_entities_that_one_float_would_be_stay_two(read):
    query = (
        "SELECT 9007199254740992::numeric + n AS id, 1::numeric AS x FROM generate_series(0, 1) n"
    )
    frame = read(query, "id")
    assert list(frame.index) == ["9007199254740992", "9007199254740993"]
    assert str(frame["x"].dtype) == "float64"
    table = read(query, "id", "arrow")
    assert table["id"].to_pylist() == list(frame.index)


def test_days_that_python_cannot_hold_are_missing_and_all_else_is_read(read):
    values = ["infinity", "-infinity", "20260-01-01", "0001-01-01 BC", "2026-01-01", None]
    days = ", ".join("(NULL)" if v is None else f"('{v}')" for v in values)
    query = f"SELECT v::date AS day, v::timestamptz AS moment FROM (VALUES {days}) AS t (v)"
    for rows in (read(query), read(query, to="arrow").to_pandas()):
        for name in ("day", "moment"):
            assert list(rows[name].notna()) == [False, False, False, False, True, False]


def test_true_and_false_are_of_one_type_whatever_values_came(read):
    values = "(true), (false)", "(true), (NULL)", "(NULL::bool), (NULL)"
    for some in (*(f"VALUES {v}" for v in values), "SELECT true WHERE false"):
        frame = read(f"SELECT b FROM ({some}) AS t (b)")
        assert str(frame["b"].dtype) == "boolean"
