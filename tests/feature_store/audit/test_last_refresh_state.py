"""Rows that a refresh left are read again only if they may have changed, on every server."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from feature_store.audit.last_refresh_state import LastState
from feature_store.audit.row_versions import Found, find_relations, row_state
from feature_store.connection import Connection, one_value
from feature_store.database.session import pin
from feature_store.settings import Settings
from sandbox.server import available_versions

Session = Connection
CONCURRENTLY = "REFRESH MATERIALIZED VIEW CONCURRENTLY public.v"


@pytest.fixture(scope="module", params=available_versions(), ids=lambda version: f"pg{version}")
def session(request, servers) -> Iterator[Session]:
    server = servers[request.param]
    connection = psycopg.connect(server.create_database("left_rows"), autocommit=True)
    pin(connection, Settings(), "tests")
    connection.execute("CREATE TYPE public.grade AS ENUM ('good', 'bad')")
    connection.execute("CREATE TABLE public.t (id int, grade public.grade)")
    connection.execute("CREATE MATERIALIZED VIEW public.v AS SELECT id, grade FROM public.t")
    connection.execute("CREATE UNIQUE INDEX v_uq ON public.v (id)")
    yield connection
    connection.close()
    server.drop_database("left_rows")


def look(session: Session) -> Found:
    oid = one_value(session, "SELECT 'public.v'::regclass::oid")
    return find_relations(session, [oid])[0]


@pytest.fixture
def left(session: Session) -> dict[int, LastState]:
    """What a refresh left, with a false state of its rows, told only if the rows are not read."""
    session.execute("TRUNCATE public.t")
    session.execute("INSERT INTO public.t VALUES (1, 'good'), (2, 'bad')")
    session.execute("REFRESH MATERIALIZED VIEW public.v")
    found = look(session)
    place_and_shape = "/".join(row_state(session, found).split("/")[:3])
    return {found.oid: LastState(found.version, f"{place_and_shape}/not/read")}


@pytest.mark.parametrize(
    "meanwhile",
    [
        (),
        ("ANALYZE public.v",),
        ("VACUUM public.v",),
        ("VACUUM (FREEZE, ANALYZE) public.v",),
        ("VACUUM (FREEZE) pg_catalog.pg_class",),
        ("INSERT INTO public.t VALUES (3, 'good')",),
        ("BEGIN", CONCURRENTLY, "ROLLBACK"),
    ],
    ids=lambda statements: "; ".join(statements) or "nothing",
)
def test_rows_that_nobody_refreshed_are_not_read_again(
    session: Session, left: dict[int, LastState], meanwhile: tuple[str, ...]
) -> None:
    for statement in meanwhile:
        session.execute(statement.encode())

    assert row_state(session, look(session), left).endswith("/not/read")


@pytest.mark.parametrize(
    "meanwhile",
    [
        ("REFRESH MATERIALIZED VIEW public.v",),
        ("INSERT INTO public.t VALUES (3, 'good')", CONCURRENTLY),
        # The same rows in the same places, but only reading them can tell.
        (CONCURRENTLY,),
        ("BEGIN", "SAVEPOINT s", CONCURRENTLY, "RELEASE s", "COMMIT"),
        ("BEGIN", CONCURRENTLY, "SAVEPOINT s", CONCURRENTLY, "ROLLBACK TO s", "COMMIT"),
        ("VACUUM FULL public.v",),
        ("CLUSTER public.v USING v_uq",),
        ("ALTER TYPE public.grade RENAME VALUE 'bad' TO 'poor'",),
    ],
    ids="; ".join,
)
def test_rows_that_may_have_changed_are_read(
    session: Session, left: dict[int, LastState], meanwhile: tuple[str, ...]
) -> None:
    for statement in meanwhile:
        session.execute(statement.encode())
    try:
        found = look(session)
        assert row_state(session, found, left) == row_state(session, found)
    finally:
        if "poor" in meanwhile[0]:
            session.execute("ALTER TYPE public.grade RENAME VALUE 'poor' TO 'bad'")


def test_a_table_is_read_always(session: Session, left: dict[int, LastState]) -> None:
    oid = one_value(session, "SELECT 'public.t'::regclass::oid")
    found = find_relations(session, [oid])[0]
    place_and_shape = "/".join(row_state(session, found).split("/")[:3])
    pretended = {found.oid: LastState(found.version, f"{place_and_shape}/not/read")}

    assert row_state(session, found, pretended) == row_state(session, found)
