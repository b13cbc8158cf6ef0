"""The state of a table's rows: it shows each change of them, and nothing else, on every server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from feature_store.audit.row_versions import find_relations, row_state, with_children
from feature_store.connection import Connection
from feature_store.database.session import pin
from feature_store.settings import Settings
from sandbox.server import available_versions

WIDE = "repeat('x', 100000)"


class Table:
    """A table ``public.t`` of three rows in a real database, and the state of its rows."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.connection.execute(statement.encode())

    def create(self) -> None:
        self.run(
            "DROP TABLE IF EXISTS public.t CASCADE",
            "CREATE TABLE public.t (id int, price int, words text)",
            "INSERT INTO public.t SELECT i, 100 * i, 'w' FROM generate_series(1, 3) AS i",
        )

    @property
    def state(self) -> list[str]:
        oid = self.connection.execute("SELECT 'public.t'::regclass::oid").fetchone()
        family = find_relations(self.connection, with_children(self.connection, [oid[0]]))
        return [row_state(self.connection, one) for one in family if one.kind != "p"]

    @property
    def doubts(self) -> list[str | None]:
        oid = self.connection.execute("SELECT 'public.t'::regclass::oid").fetchone()
        return [one.doubt for one in find_relations(self.connection, [oid[0]])]


@pytest.fixture(scope="module", params=available_versions(), ids=lambda version: f"pg{version}")
def session(request, servers) -> Iterator[Connection]:
    server = servers[request.param]
    connection = psycopg.connect(server.create_database("row_state"), autocommit=True)
    pin(connection, Settings(), "tests")
    yield connection
    connection.close()
    server.drop_database("row_state")


@pytest.fixture
def table(session) -> Table:
    table = Table(session)
    table.create()
    return table


CHANGES = {
    "a row came": ["INSERT INTO t VALUES (4)"],
    "a row like another came": ["INSERT INTO t SELECT * FROM t WHERE id = 1"],
    "a row went": ["DELETE FROM t WHERE id = 1"],
    "a row changed": ["UPDATE t SET price = 1 WHERE id = 1"],
    "a row was written as it was": ["UPDATE t SET price = price WHERE id = 1"],
    "a value went and came back": ["UPDATE t SET price = 1", "UPDATE t SET price = 100 * id"],
    "a row went and came back": ["DELETE FROM t WHERE id = 3", "INSERT INTO t VALUES (3,300,'w')"],
    "a row in the place of one that went": [
        "DELETE FROM t WHERE id = 3",
        "VACUUM t",
        "INSERT INTO t VALUES (3, 300, 'w')",
    ],
    "two rows changed places": ["UPDATE t SET id = 3 - id WHERE id < 3"],
    "one transaction wrote all rows anew": [
        "BEGIN; DELETE FROM t; INSERT INTO t VALUES (1, 100, 'w'), (2, 200, 'w'), (3, 300, 'w'); "
        "COMMIT"
    ],
    "all went": ["TRUNCATE t"],
    "all went and came back": [
        "BEGIN; CREATE TEMP TABLE kept ON COMMIT DROP AS TABLE t; TRUNCATE t; "
        "INSERT INTO t TABLE pg_temp.kept; COMMIT"
    ],
    "the table was replaced": [
        "CREATE TABLE u AS TABLE t",
        "DROP TABLE t",
        "ALTER TABLE u RENAME TO t",
    ],
    "a column went and came back with one value": [
        "ALTER TABLE t DROP COLUMN price",
        "ALTER TABLE t ADD COLUMN price int DEFAULT 5",
    ],
    "a type changed": ["ALTER TABLE t ALTER COLUMN price TYPE text USING price::text"],
    "a child table came": ["CREATE TABLE c () INHERITS (t)"],
}


@pytest.mark.parametrize("statements", CHANGES.values(), ids=CHANGES)
def test_every_change_gives_another_state(table: Table, statements: list[str]) -> None:
    before = table.state
    table.run("SET search_path = public", *statements, "SET search_path = pg_catalog")

    assert table.state != before


NO_CHANGES = {
    "nothing": [],
    "a rolled-back insert": ["BEGIN; INSERT INTO t VALUES (4); ROLLBACK"],
    "a rolled-back update": ["BEGIN; UPDATE t SET price = 1; ROLLBACK"],
    "a rolled-back truncate": ["BEGIN; TRUNCATE t; INSERT INTO t VALUES (9); ROLLBACK"],
    "an update of no row": ["UPDATE t SET price = 1 WHERE id = 77"],
    "a row lock": ["SELECT FROM t FOR UPDATE"],
    "a row that came and went": ["INSERT INTO t VALUES (4)", "DELETE FROM t WHERE id = 4"],
    "vacuum": ["INSERT INTO t VALUES (4)", "DELETE FROM t WHERE id = 4", "VACUUM t"],
    "freezing": ["VACUUM FREEZE t"],
    "analyze": ["ANALYZE t"],
    "an index": ["CREATE INDEX ON t (price)"],
    "a comment": ["COMMENT ON TABLE t IS 'x'"],
    "another table": ["CREATE TABLE v AS TABLE t", "DROP TABLE v"],
}


@pytest.mark.parametrize("statements", NO_CHANGES.values(), ids=NO_CHANGES)
def test_what_changes_no_row_gives_the_same_state(table: Table, statements: list[str]) -> None:
    before = table.state
    table.run("SET search_path = public", *statements, "SET search_path = pg_catalog")

    assert table.state == before


def test_a_change_in_a_partition_is_seen_and_one_that_is_detached(table: Table) -> None:
    table.run(
        "DROP TABLE public.t",
        "CREATE TABLE public.t (id int) PARTITION BY LIST (id)",
        "CREATE TABLE public.t1 PARTITION OF public.t FOR VALUES IN (1)",
        "CREATE TABLE public.t2 PARTITION OF public.t FOR VALUES IN (2) PARTITION BY LIST (id)",
        "CREATE TABLE public.t22 PARTITION OF public.t2 FOR VALUES IN (2)",
    )
    empty = table.state
    table.run("INSERT INTO public.t VALUES (2)")
    with_two = table.state
    table.run("ALTER TABLE public.t2 DETACH PARTITION public.t22")
    detached = table.state
    table.run("DROP TABLE public.t22")

    assert len(empty) == 2
    assert empty != with_two
    assert detached not in (empty, with_two)


def test_a_table_of_every_name_has_a_state(table: Table) -> None:
    """The child is named with what psycopg would take for a placeholder."""
    table.run('CREATE TABLE public."50%s" () INHERITS (public.t)')
    assert len(table.state) == 2


def test_a_label_that_is_renamed_changes_values_without_touching_a_row(table: Table) -> None:
    table.run(
        "DROP TYPE IF EXISTS public.mood CASCADE",
        "CREATE TYPE public.mood AS ENUM ('good', 'bad')",
        "ALTER TABLE public.t ADD COLUMN mood public.mood DEFAULT 'good'",
    )
    before = table.state
    table.run("ALTER TYPE public.mood RENAME VALUE 'good' TO 'fine'")

    assert table.state != before


def test_no_wide_value_is_read(table: Table) -> None:
    """Of rows of 100 kB each, only the page that points to them is read."""
    table.run(
        "ALTER TABLE public.t ALTER COLUMN words SET STORAGE EXTERNAL",
        f"INSERT INTO public.t SELECT i, i, {WIDE} FROM generate_series(1, 20) AS i",
    )

    def blocks() -> tuple[int, int]:
        """Of the rows, and of their wide values, read by now."""
        table.run("SELECT pg_stat_force_next_flush()")
        return table.connection.execute(
            "SELECT heap_blks_hit + heap_blks_read, toast_blks_hit + toast_blks_read "
            "FROM pg_statio_user_tables WHERE relid = 'public.t'::regclass"
        ).fetchone()

    rows, wide = blocks()
    assert table.state
    assert blocks() == (rows + 1, wide)
    table.run("SELECT sum(length(words || '')) FROM public.t")
    assert blocks()[1] > wide


def test_a_row_that_is_not_committed_is_not_there_yet(table: Table, session) -> None:
    before = table.state
    with psycopg.connect(session.info.dsn, autocommit=True) as other:
        with other.transaction():
            other.execute("INSERT INTO public.t VALUES (4)")
            assert table.state == before
        assert table.state != before


def test_an_old_transaction_that_commits_late_is_seen(table: Table, session) -> None:
    """Its number is lower than others that were seen: the highest number would not show it."""
    with psycopg.connect(session.info.dsn, autocommit=True) as other:
        with other.transaction():
            other.execute("INSERT INTO public.t VALUES (4)")
            table.run("INSERT INTO public.t VALUES (5)")
            before = table.state
        assert table.state != before


def test_changes_whose_transaction_numbers_add_up_to_the_same_do_not_cancel(
    table: Table, session
) -> None:
    """Rows of transactions n+1 and n+2 make way for rows of n and n+3, with the same sum."""
    table.run("TRUNCATE public.t")
    sums = "SELECT sum(xmin::text::bigint) FROM public.t"
    with psycopg.connect(session.info.dsn, autocommit=True) as other:
        with other.transaction():
            other.execute("INSERT INTO public.t VALUES (1)")
            low = other.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()[0]
            table.run("INSERT INTO public.t VALUES (2)", "INSERT INTO public.t VALUES (3)")
            before, sum_before = table.state, session.execute(sums).fetchone()[0]
        last = session.execute("SELECT max(xmin::text::bigint) FROM public.t").fetchone()[0]
        while last < sum_before - low - 1:
            last = session.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()[0]
        table.run("BEGIN; DELETE FROM public.t WHERE id > 1; INSERT INTO public.t VALUES (4); END")

    assert session.execute(sums).fetchone()[0] == sum_before
    assert table.state != before


def test_what_has_no_readable_rows_is_told(table: Table) -> None:
    table.run(
        "DROP TABLE public.t",
        "DROP FOREIGN DATA WRAPPER IF EXISTS elsewhere CASCADE",
        "CREATE FOREIGN DATA WRAPPER elsewhere",
        "CREATE SERVER far FOREIGN DATA WRAPPER elsewhere",
        "CREATE FOREIGN TABLE public.t (id int) SERVER far",
    )
    assert table.doubts == ["it is a foreign table"]
    table.run("DROP FOREIGN TABLE public.t", "CREATE SEQUENCE public.t")
    assert table.doubts == ["it is a relation of kind S"]
    table.run("DROP SEQUENCE public.t", "CREATE MATERIALIZED VIEW public.t AS SELECT WITH NO DATA")
    assert table.doubts == ["it has never been filled"]
    table.run("DROP MATERIALIZED VIEW public.t")
    catalog = find_relations(table.connection, [1259])
    assert [one.doubt for one in catalog] == ["it belongs to the server itself"]


def test_rows_that_we_may_not_all_see_have_no_state(table: Table) -> None:
    table.run(
        "DROP ROLE IF EXISTS watcher",
        "CREATE ROLE watcher",
        "GRANT USAGE ON SCHEMA public TO watcher",
    )
    role = table.connection.execute("SELECT 'watcher'::regrole::oid").fetchone()[0]
    oid = table.connection.execute("SELECT 'public.t'::regclass::oid").fetchone()[0]
    try:
        table.run("SET ROLE watcher")
        assert table.doubts == ["watcher may not read it"]
        table.run("RESET ROLE", "GRANT SELECT (id) ON public.t TO watcher", "SET ROLE watcher")
        assert table.doubts == ["watcher may not read it"]
        table.run("RESET ROLE", "GRANT SELECT ON public.t TO watcher", "SET ROLE watcher")
        assert table.doubts == [None]
        table.run("RESET ROLE", "ALTER TABLE public.t ENABLE ROW LEVEL SECURITY")
        assert table.doubts == [None], "a superuser sees every row"
        # The role that reads it may see less than this session does.
        (as_read,) = find_relations(table.connection, [oid], [role])
        assert as_read.doubt == "row-level security decides who sees which of its rows"
        table.run("SET ROLE watcher")
        assert table.doubts == ["row-level security decides who sees which of its rows"]
    finally:
        table.run("RESET ROLE", "DROP OWNED BY watcher", "DROP ROLE watcher")


_ids = st.integers(1, 4)
_steps = st.one_of(
    st.tuples(st.just("insert"), _ids),
    st.tuples(st.just("update"), _ids),
    st.tuples(st.just("delete"), _ids),
    st.tuples(st.sampled_from(["truncate", "vacuum", "freeze", "analyze"]), st.just(0)),
)
_SQL = {
    "insert": "INSERT INTO public.t VALUES ({0})",
    "update": "UPDATE public.t SET price = price + 0 WHERE id = {0}",
    "delete": "DELETE FROM public.t WHERE id = {0}",
    "truncate": "TRUNCATE public.t",
    "vacuum": "VACUUM public.t",
    "freeze": "VACUUM FREEZE public.t",
    "analyze": "ANALYZE public.t",
}


class Model:
    """The rows of a table and their versions, kept by hand."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int]] = []  # id, number of the version
        self.file = 0
        self._versions = 0

    def step(self, what: str, row: int) -> None:
        if what == "insert":
            self.rows.append((row, self._next()))
        elif what == "update":
            self.rows = [(i, self._next()) if i == row else (i, v) for i, v in self.rows]
        elif what == "delete":
            self.rows = [(i, v) for i, v in self.rows if i != row]
        elif what == "truncate":
            self.rows, self.file = [], self._next()

    def _next(self) -> int:
        self._versions += 1
        return self._versions

    @property
    def seen(self) -> tuple[Any, ...]:
        return self.file, *sorted(self.rows)


@settings(
    max_examples=25,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(st.tuples(_steps, st.booleans()), min_size=1, max_size=12))
def test_states_are_equal_exactly_where_the_same_row_versions_are_there(
    session, steps: list[tuple[tuple[str, int], bool]]
) -> None:
    table, model = Table(session), Model()
    table.run("DROP TABLE IF EXISTS public.t CASCADE", "CREATE TABLE public.t (id int, price int)")
    moments = [(model.seen, table.state)]
    for (what, row), kept in steps:
        statement = _SQL[what].format(row)
        if kept or what in ("vacuum", "freeze", "analyze"):
            table.run(statement)
            model.step(what, row)
        else:
            table.run(f"BEGIN; {statement}; ROLLBACK")
        moments.append((model.seen, table.state))

    for seen, state in moments:
        for seen_then, state_then in moments:
            assert (state == state_then) == (seen == seen_then)
