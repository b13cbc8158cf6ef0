"""The reference's queries are ours without their outermost order, and the same in all else."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot

from bench.unordered import without_order
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.files.sql_file import SqlFile, read_sql_file
from feature_store.declarations.store_definition import Store
from feature_store.relation_name import Name

F2 = Name("feature_store", "device_meta_gmc_stats_t0_v1_mv")


def _file(folder: Path, query: str) -> SqlFile:
    path = folder / "ml.made_up.sql"
    text = f"CREATE MATERIALIZED VIEW ml.made_up AS\n{query}\nWITH NO DATA;"
    path.write_text(text, encoding="utf-8")
    return read_sql_file(path)


def test_of_our_queries_only_the_outermost_order_goes(store_files: Store) -> None:
    changed = set()
    for relation in store_files.relations:
        without = without_order(relation.file)
        ours, theirs = (
            sqlglot.parse_one(file.query, dialect="postgres") for file in (relation.file, without)
        )
        if ours.args.get("order"):
            assert ours != theirs
            ours.set("order", None)
            changed.add(relation.name)
            assert without.create.normal.endswith("with no data") is without.materialized
        assert ours == theirs, f"{relation.name} is another query"
    concurrent = {r.name for r in store_files.refreshed if r.refresh is Refresh.CONCURRENT}
    # F2's order is further in, so the reference has SQL of its own for it.
    assert changed == concurrent - {F2}


def test_an_order_inside_stays(tmp_path: Path) -> None:
    inside = """WITH t AS (SELECT a FROM ml.x ORDER BY a LIMIT 1)
        SELECT (SELECT b FROM ml.y ORDER BY b LIMIT 1) AS b, rank() OVER w AS r,
        array_agg(t.a ORDER BY t.a) FROM t WINDOW w AS (ORDER BY t.a)"""
    with_order = _file(tmp_path, f"{inside} ORDER BY b, r")
    assert without_order(with_order).query.split() == _file(tmp_path, inside).query.split()


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("SELECT DISTINCT ON (a) a, b FROM ml.x ORDER BY a, b", id="first of each"),
        pytest.param("SELECT a FROM ml.x ORDER BY a LIMIT 3", id="the first three"),
        pytest.param("SELECT a FROM ml.x ORDER BY a OFFSET 3", id="all but the first three"),
        pytest.param("SELECT a FROM ml.x ORDER BY a FETCH FIRST ROW ONLY", id="the first"),
        pytest.param("SELECT a FROM ml.x", id="there is none"),
    ],
)
def test_a_query_whose_order_chooses_its_rows_stays_as_it_is(tmp_path: Path, query: str) -> None:
    file = _file(tmp_path, query)
    assert without_order(file) is file
