"""The columns that a query gives and those that it reads, known from its text alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_store.declarations.known_columns import given_columns, unknown_reads
from feature_store.relation_name import Name

_PATH = Path("ml.x.sql")
_KNOWN = {Name("ml", "a"): ("id", "day"), Name("ml", "b"): ("id", "price"), Name("ml", "c"): None}


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("SELECT a.id, count(*) AS n FROM ml.a AS a GROUP BY a.id", ("id", "n")),
        ("SELECT a.*, 1 AS one FROM ml.a AS a", ("id", "day", "one")),
        ("SELECT b.* FROM ml.a AS a JOIN ml.b AS b ON a.id = b.id", ("id", "price")),
        ("SELECT * FROM ml.a AS a", ("id", "day")),
        ("WITH t AS (SELECT a.day FROM ml.a AS a) SELECT t.* FROM t", ("day",)),
        ("SELECT s.* FROM (SELECT b.price AS p FROM ml.b AS b) AS s", ("p",)),
        ("SELECT a.id FROM ml.a AS a UNION ALL SELECT b.price FROM ml.b AS b", ("id",)),
        # Not known: a relation whose columns are not known, a function, a column without a name.
        ("SELECT c.* FROM ml.c AS c", None),
        ("SELECT g.* FROM generate_series(1, 2) AS g", None),
        ("SELECT a.id + 1 FROM ml.a AS a", None),
        # Its columns have other names here.
        ("SELECT t.* FROM (SELECT a.day FROM ml.a AS a) AS t (d)", None),
        ("SELECT t.* FROM ml.a AS t (d)", None),
        ("WITH t (d) AS (SELECT a.day FROM ml.a AS a) SELECT t.* FROM t", None),
    ],
)
def test_a_query_gives_these_columns(query, columns):
    assert given_columns(_PATH, query, _KNOWN) == columns


@pytest.mark.parametrize(
    ("query", "unknown"),
    [
        ("SELECT a.id, a.price FROM ml.a AS a", [("ml.a", "price")]),
        ("SELECT 1 FROM ml.a AS a WHERE EXISTS (SELECT FROM ml.b AS b WHERE b.day = a.day)",
         [("ml.b", "day")]),
        ("SELECT a.xmin, a.ctid FROM ml.a AS a", []),
        ("SELECT c.anything FROM ml.c AS c", []),
        ("SELECT a.i FROM ml.a AS a (i, d)", []),
        ("WITH a AS (SELECT b.price FROM ml.b AS b) SELECT a.price FROM a", []),
    ],
)  # fmt: skip
def test_a_column_that_a_relation_has_not_is_told(query, unknown):
    assert [(str(n), column) for n, column in unknown_reads(_PATH, query, _KNOWN)] == unknown
