"""Queries that return exactly one row."""

from __future__ import annotations

import psycopg
import pytest

from feature_store.connection import one_row, one_value


def test_the_row_and_the_value_of_a_query_that_has_one_row(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        assert one_row(connection, "SELECT 1, 'a'") == (1, "a")
        assert one_value(connection, "SELECT %s::integer + 1", (2,)) == 3
        assert one_value(connection, "SELECT max(x) FROM (SELECT 1 WHERE FALSE) AS t (x)") is None
        with pytest.raises(AssertionError, match="SELECT 1 WHERE FALSE"):
            one_row(connection, "SELECT 1 WHERE FALSE")
