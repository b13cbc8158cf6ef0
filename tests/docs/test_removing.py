"""The lines of docs/operations.md remove a store, and nothing of anybody else's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import psycopg
import pytest

from feature_store.database.session import pin
from feature_store.schema.first_start import bootstrap
from sandbox.load import load_sample
from sandbox.roles import as_role, grant_roles
from sandbox.sample.options import SampleOptions
from sandbox.server import run_psql
from tests.docs.pages import blocks, section
from tests.feature_store.refresh.certified import certify_store

_ROLE = r"\bfeature_store_(owner|refresher|reader|reviewer|page)\b"
# All that exists, who owns it, and what others may do with it.
_THERE = """
SELECT 'relation', n.nspname || '.' || c.relname, c.relowner::regrole::text, (
    SELECT string_agg(format('%s %s', x.grantee, x.privilege_type), ', ' ORDER BY x.*)
    FROM aclexplode(c.relacl) AS x WHERE x.grantee <> c.relowner)
FROM pg_class AS c INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
UNION ALL
SELECT 'function', p.oid::regprocedure::text, p.proowner::regrole::text, NULL
FROM pg_proc AS p INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
UNION ALL
SELECT 'schema', n.nspname, NULL, NULL FROM pg_namespace AS n
WHERE n.nspname !~ '^pg_'
UNION ALL
SELECT 'role', r.rolname, NULL, NULL FROM pg_roles AS r WHERE r.rolname ~ '^leav'
"""
_YOURS = (
    "CREATE TABLE ml.mine AS SELECT 1 AS x",
    "CREATE TABLE feature_store.mine AS SELECT 2 AS x",
    "CREATE VIEW ml.mine_too AS SELECT m.x FROM ml.mine AS m",
    "CREATE FUNCTION ml.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """The lines of the page, for the roles of this store."""
    (text,) = blocks(section("operations.md", "Removing the store"), "psql")
    file = tmp_path / "remove.sql"
    file.write_text(re.sub(_ROLE, r"leaver_\1", text))
    return file


@pytest.fixture
def leaver(server, settings, store_files):
    """A certified store with roles of its own, over sources and tables that are not its own."""
    conninfo = server.create_database("leaver", "sources_only")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        pin(connection, settings, "tests")
        load_sample(connection, SampleOptions(listings=60, days=10))
        connection.execute("CREATE SCHEMA ml")
        for statement in _YOURS:
            connection.execute(statement.encode())
        before = _there(conninfo)
        grant_roles(conninfo, prefix="leaver")
    with psycopg.connect(as_role(conninfo, "leaver_owner"), autocommit=True) as connection:
        pin(connection, settings, "tests")
        bootstrap(connection, store_files, settings)
    grant_roles(conninfo, prefix="leaver")
    certify_store(as_role(conninfo, "leaver_refresher"), settings, store_files)
    yield conninfo, before
    server.drop_database("leaver")


def _there(conninfo: str) -> set[tuple]:
    with psycopg.connect(conninfo) as connection:
        return set(connection.execute(_THERE).fetchall())


def test_a_store_is_removed_with_its_roles_and_all_else_is_as_it_was_before_it(leaver, lines):
    conninfo, before = leaver
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("GRANT CREATE ON SCHEMA public TO leaver_reader")
        connection.execute("CREATE VIEW public.report AS SELECT * FROM ml.tom_labels_v1_mv")
    with psycopg.connect(as_role(conninfo, "leaver_reader"), autocommit=True) as connection:
        connection.execute("CREATE TABLE public.of_a_reader AS SELECT 3 AS x")
    whole = _there(conninfo)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run_psql(conninfo, lines)
    assert "view public.report depends on materialized view ml.tom_labels_v1_mv" in (
        refused.value.stderr
    )
    assert _there(conninfo) == whole, "refused, and nothing was changed"

    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("DROP VIEW public.report")
    run_psql(conninfo, lines)
    after = _there(conninfo)
    assert after - before == {("relation", "public.of_a_reader", "postgres", None)}
    assert before <= after
