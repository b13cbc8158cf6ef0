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
    query = (
        "SELECT v::date AS day, v::timestamp AS local, v::timestamptz AS moment "
        f"FROM (VALUES {days}) AS t (v)"
    )
    for rows in (read(query), read(query, to="arrow").to_pandas()):
        for name in ("day", "local", "moment"):
            assert list(rows[name].notna()) == [False, False, False, False, True, False]


def test_true_and_false_are_of_one_type_whatever_values_came(read):
    values = "(true), (false)", "(true), (NULL)", "(NULL::bool), (NULL)"
    for some in (*(f"VALUES {v}" for v in values), "SELECT true WHERE false"):
        frame = read(f"SELECT b FROM ({some}) AS t (b)")
        assert str(frame["b"].dtype) == "boolean"


@pytest.mark.parametrize("to", ["pandas", "arrow"])
def test_moments_without_a_zone_are_moments_without_one_whatever_values_came(read, to):
    kinds = {"pandas": "datetime64[us]", "arrow": "timestamp[us]"}
    for some in ("('2026-03-29 01:30')", "('2026-03-29 01:30'), (NULL)", "(NULL)"):
        rows = read(f"SELECT v::timestamp AS moment FROM (VALUES {some}) AS t (v)", to=to)
        kind = rows["moment"].dtype if to == "pandas" else rows.schema.field("moment").type
        assert str(kind) == kinds[to]
    rows = read("SELECT timestamp '2026-03-29 01:30' AS moment", to=to)
    if to == "arrow":
        rows = rows.to_pandas()
    assert str(rows["moment"][0]) == "2026-03-29 01:30:00"
