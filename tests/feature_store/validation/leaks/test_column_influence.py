"""What reaches a column: also what decides whether a row is there, if a constant tells of it."""

from __future__ import annotations

import pytest

from feature_store.database.stored_queries.dependency_closure import read_closure
from feature_store.relation_name import Name
from feature_store.validation.leaks.column_influence import ROWS
from feature_store.validation.leaks.column_origin import origins
from feature_store.validation.leaks.relation_influence import Influences, trace

_TABLES = (
    "CREATE TABLE ml.listing (id bigint, day date, city text)",
    "CREATE TABLE ml.sale (id bigint, day date, city text, hours int)",
)
_L, _S = "ml.listing AS l", "ml.sale AS s"
_SOLD = f"(SELECT s.id, 1 AS one FROM {_S} WHERE s.hours < 9)"
_LATER = f"(SELECT DISTINCT 1 AS one FROM {_S} WHERE s.hours < 9 AND s.day > l.day)"
_SORTED = f"(SELECT s.city FROM {_S} ORDER BY s.hours)"

# Each puts into the column `x` whether there is a quick sale, or which it is.
_TELLTALES = {
    "a constant of a subquery": f"SELECT y.one AS x FROM {_L} LEFT JOIN {_SOLD} AS y USING (id)",
    "the other way round": f"SELECT y.one AS x FROM {_SOLD} AS y RIGHT JOIN {_L} USING (id)",
    "from both sides": f"SELECT y.one AS x FROM {_L} FULL JOIN {_SOLD} AS y USING (id)",
    "a constant of a CTE": f"WITH y AS {_SOLD} SELECT y.one AS x FROM {_L} LEFT JOIN y USING (id)",
    "a subquery of the row": "SELECT coalesce(y.one, 0) AS x "
    f"FROM {_L} LEFT JOIN LATERAL {_LATER} AS y ON TRUE",
    "a column of the table beside it": "SELECT y.city AS x FROM ml.listing AS l "
    f"LEFT JOIN (ml.listing AS y INNER JOIN {_SOLD} AS z USING (id)) ON l.city = y.city",
    "the condition of the join beside it": f"SELECT y.one AS x FROM {_L} "
    f"LEFT JOIN ((SELECT 1 AS one) AS y INNER JOIN {_S} ON s.hours < 9) ON l.id = s.id",
    "a row that a function makes": f"SELECT y.city AS x FROM {_L} LEFT JOIN (ml.listing AS y "
    f"CROSS JOIN generate_series(1, (SELECT max(s.hours) FROM {_S}))) ON l.city = y.city",
    "a row of an array": f"SELECT y.one AS x FROM {_L} LEFT JOIN (SELECT unnest(a.hours), 1 AS one "
    f"FROM (SELECT array_agg(s.hours) AS hours FROM {_S}) AS a) AS y ON TRUE",
    "a group that is left": f"SELECT y.one AS x FROM {_L} LEFT JOIN (SELECT s.id, 1 AS one "
    f"FROM {_S} GROUP BY s.id HAVING min(s.hours) < 9) AS y USING (id)",
    "a branch": f"SELECT 0 AS x, l.id FROM {_L} UNION ALL SELECT y.one, y.id FROM {_SOLD} AS y",
    "a branch of three": f"SELECT 0 AS x UNION (SELECT 2 UNION ALL SELECT y.one FROM {_SOLD} AS y)",
    "a row that is taken away": f"SELECT l.id, 1 AS x FROM {_L} "
    f"EXCEPT ALL SELECT s.id, 1 FROM {_S} WHERE s.hours < 9",
    "a row that both have": f"SELECT l.id, k.k AS x FROM {_L} CROSS JOIN (VALUES (0), (1)) AS k (k)"
    f" INTERSECT SELECT s.id, s.hours FROM {_S}",
    "the first of a union": f"SELECT l.id AS x, 0 AS y FROM {_L} "
    f"UNION ALL SELECT l.id, s.hours FROM {_L} CROSS JOIN {_S} ORDER BY y LIMIT 1",
    "the order of values": f"SELECT (array_agg(o.city))[1] AS x FROM {_SORTED} AS o",
    "the order of values, two queries down": f"WITH o AS {_SORTED} "
    "SELECT (array_agg(p.city))[1] AS x FROM (SELECT o.city FROM o) AS p",
    "the order that a window leaves": "SELECT (array_agg(o.city))[1] AS x "
    f"FROM (SELECT s.city, row_number() OVER (ORDER BY s.hours) FROM {_S}) AS o",
    "the order of an array": f"SELECT (ARRAY{_SORTED})[1] AS x",
    "the first in order": f"SELECT o.city AS x FROM {_SORTED} AS o LIMIT 1",
    "the place in order": f"SELECT row_number() OVER () AS x FROM {_SORTED} AS o",
    "a count of the first": "SELECT count(*) FILTER (WHERE o.city = 'Oslo') AS x "
    f"FROM (SELECT s.city FROM {_S} ORDER BY s.hours LIMIT 3) AS o",
}
_SILENT = {
    "a table that keeps its rows": f"SELECT l.id AS x FROM {_L} LEFT JOIN {_SOLD} AS y ON TRUE",
    "a row that is there in any case": f"SELECT y.city AS x FROM {_L} "
    f"LEFT JOIN (ml.listing AS y LEFT JOIN {_SOLD} AS z USING (id)) ON l.city = y.city",
    "a sum, which always has a row": f"SELECT y.one AS x FROM {_L} "
    f"LEFT JOIN (SELECT 1 AS one, sum(s.hours) FROM {_S}) AS y ON TRUE",
    "a sum that is sorted afterwards": f"SELECT count(*) AS x FROM {_S} GROUP BY s.city "
    "ORDER BY max(s.hours), count(*), row_number() OVER (ORDER BY s.city)",
    "another join": f"SELECT y.city AS x FROM {_L} LEFT JOIN ml.listing AS y ON l.city = y.city "
    f"LEFT JOIN {_S} ON l.id = s.id AND s.hours < 9",
}


def _traced(database, query: str) -> tuple[Influences, dict[str, set[str]]]:
    """The influences on a view of this query, and what reaches its columns and rows, by name."""
    database.run(*_TABLES, f"CREATE VIEW ml.asked AS {query}")
    closure = read_closure(database.connection, [Name("ml", "asked")])
    member = closure.members[closure.roots[0]]
    influences = trace(member)
    named = {
        name: {
            f"{closure.members[oid].name.relation}.{closure.members[oid].columns[column]}"
            for oid, column in found
            if column != ROWS
        }
        for name, found in (
            *((member.columns[number], found) for number, found in influences.columns.items()),
            ("its rows", influences.rows),
        )
    }
    return influences, named


@pytest.mark.parametrize("query", _TELLTALES.values(), ids=_TELLTALES)
def test_whether_a_row_is_there_reaches_the_columns_that_tell_of_it(scratch, query):
    _, reached = _traced(scratch, query)
    assert "sale.hours" in reached["x"]


@pytest.mark.parametrize("query", _SILENT.values(), ids=_SILENT)
def test_a_column_that_cannot_tell_is_not_reached(scratch, query):
    _, reached = _traced(scratch, query)
    assert "sale.hours" not in reached["x"]


def test_the_first_of_each_depends_on_the_order_and_their_number_does_not(scratch):
    query = "SELECT DISTINCT ON (s.id) s.id, s.city FROM ml.sale AS s ORDER BY s.id, s.hours"
    _, reached = _traced(scratch, query)
    assert "sale.hours" in reached["city"]
    assert reached["its rows"] == {"sale.id"}


def test_every_view_that_a_database_has_can_be_traced(store_db):
    """The server's own use all that SQL has."""
    views = store_db.rows(
        "SELECT n.nspname, c.relname FROM pg_class AS c "
        "INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid WHERE c.relkind IN ('m', 'v')"
    )
    closure = read_closure(store_db.connection, [Name(*view) for view in views])
    traced = {m.name: (trace(m).columns, origins(m)) for m in closure.members.values() if m.query}
    assert len(traced) == len(views) > 150
    for name, (reached, made_of) in traced.items():
        assert all(made_of[number] <= reached[number] for number in reached), name
