"""docs/architecture.md: its pictures and tables are those of the code and of the database."""

from __future__ import annotations

import re

import psycopg
import pytest

from tests.docs.drawings import PAGE as FILE
from tests.docs.drawings import ROOT, drawn, rooms

PACKAGE = ROOT / "plugins" / "feature_store"
PAGE = FILE.read_text()
_RELATED = re.compile(r"^    (\w+) (\S\S)(--|\.\.)(\S\S) (\w+) : ", re.M)


@pytest.fixture(scope="module")
def record(server):
    """A session in a database that has had every step of the audit schema."""
    conninfo = server.create_database("drawn", "store")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        yield connection
    server.drop_database("drawn")


def test_its_floors_are_those_that_the_linter_holds():
    table = PAGE.partition("| Room |")[2].partition("\n\n")[0]
    firsts = "\n".join(line.split("|")[1] for line in table.splitlines()[2:])

    assert re.findall(r"`(\w+)`", firsts) == rooms()


def test_what_is_drawn_from_the_code_is_as_the_code_is_now():
    assert drawn(PAGE) == PAGE, "Next: make drawings"


def test_the_files_that_it_names_are_there():
    named = re.findall(r"`((?:[\w]+/)+[\w.]*)`", PAGE)

    assert len(named) > 15
    missing = [n for n in named if not ((ROOT / n).exists() or (PACKAGE / n).exists())]
    assert missing == []


def test_each_table_of_the_record_is_drawn_or_named_as_standing_alone(record):
    drawn_tables = {name for one, _, _, _, other in _RELATED.findall(PAGE) for name in (one, other)}
    alone = set(re.findall(r"`(\w+)`", PAGE.partition("Alone stand ")[2].partition(".")[0]))

    assert drawn_tables.isdisjoint(alone)
    tables = record.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' "
        "AND relnamespace = 'feature_store_audit'::regnamespace"
    )
    assert drawn_tables | alone == {name for (name,) in tables}


def test_its_solid_lines_are_the_foreign_keys_and_say_how_many(record):
    """`|o` where a row need have no other; `o|` where another has one row at most."""
    solid = {
        (a, left, right, b) for a, left, line, right, b in _RELATED.findall(PAGE) if line == "--"
    }

    assert solid == set(record.execute(_FOREIGN_KEYS).fetchall())


def test_its_dotted_lines_join_tables_by_columns_of_the_same_names(record):
    dotted = {(one, other) for one, _, line, _, other in _RELATED.findall(PAGE) if line == ".."}
    columns = record.execute(
        "SELECT c.relname, array_agg(a.attname::text) FROM pg_class AS c "
        "INNER JOIN pg_attribute AS a ON c.oid = a.attrelid AND a.attnum > 0 "
        "WHERE c.relnamespace = 'feature_store_audit'::regnamespace GROUP BY c.relname"
    )
    named = {table: {*names} - {"event_id"} for table, names in columns}

    assert dotted
    assert [pair for pair in dotted if named[pair[0]].isdisjoint(named[pair[1]])] == []


def test_todays_text_of_a_function_is_the_one_that_the_database_runs(record):
    """So the walk to why a run was not certified ends where that is decided."""
    table = dict(re.findall(r"^\| `(\w+)` \| `(sql/audit/\w+\.sql)`", PAGE, re.M))
    functions = dict(
        record.execute(
            "SELECT proname, prosrc FROM pg_proc "
            "WHERE pronamespace = 'feature_store_audit'::regnamespace AND proname = ANY(%s)",
            ([*table],),
        ).fetchall()
    )
    views = record.execute(
        "SELECT viewname FROM pg_views WHERE schemaname = 'feature_store_audit'"
    ).fetchall()
    (walk,) = re.findall(r"^\| learn why a run was not certified \|.*$", PAGE, re.M)

    for name, body in functions.items():
        assert body in (PACKAGE / table[name]).read_text(), name
    assert table.keys() - functions.keys() <= {view for (view,) in views}
    assert {"certify", "unproven"} <= functions.keys() & set(re.findall(r"`(\w+)`", walk))
    assert "(#todays-text-of-a-function-or-view)" in walk


def test_each_decision_is_listed():
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\(([\w-]+\.md)\)", (folder / "README.md").read_text())

    assert sorted(listed) == sorted(p.name for p in folder.glob("*.md") if p.name != "README.md")


_FOREIGN_KEYS = """
SELECT
    parent.relname::text,
    CASE WHEN bool_and(a.attnotnull) THEN '||' ELSE '|o' END,
    CASE
        WHEN EXISTS (
            SELECT FROM pg_index AS i
            WHERE i.indrelid = k.conrelid AND i.indisunique AND i.indpred IS NULL
                AND i.indkey::int2[] <@ k.conkey
        )
            THEN 'o|'
        ELSE 'o{'
    END,
    child.relname::text
FROM pg_constraint AS k
INNER JOIN pg_class AS parent ON k.confrelid = parent.oid
INNER JOIN pg_class AS child ON k.conrelid = child.oid
INNER JOIN pg_attribute AS a ON k.conrelid = a.attrelid AND a.attnum = ANY(k.conkey)
WHERE k.contype = 'f' AND k.connamespace = 'feature_store_audit'::regnamespace
GROUP BY k.oid, k.conrelid, k.conkey, parent.relname, child.relname
"""
