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
    query = "SELECT 9007199254740992::numeric + n AS id, 1::numeric AS x FROM generate_series(0, 1) AS n"
    frame = read(query, "id")
    assert list(frame.index) == ["9007199254740992", "9007199254740993"]
    assert str(frame["x"].dtype) == "float64"
    table = read(query, "id", "arrow")
    assert table["id"].to_pylist() == list(frame.index)
