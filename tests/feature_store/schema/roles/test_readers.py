"""Readers cannot be fooled: functions use the objects that they mean, whatever the search path."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest

from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.errors import NotReady
from feature_store.schema.apply import apply
from feature_store.schema.privileges.audit_privileges import AUDIT_FUNCTIONS
from sandbox.roles import OWNER, READER, REFRESHER, grant_roles
from tests.feature_store.schema.roles.governed import (
    Governed,
)


@pytest.fixture
def drifted(certified: Governed) -> Iterator[Governed]:
    change = "UPDATE ml.feature_contract SET dtype = '{}' WHERE feature_name = 'price'"
    certified.run(change.format("int8"), "GRANT TEMPORARY ON DATABASE governed TO public")
    yield certified
    certified.run(change.format("int"), "REVOKE TEMPORARY ON DATABASE governed FROM public")


def test_by_tables_and_functions_of_their_own_session(drifted: Governed) -> None:
    with drifted.session(READER) as connection:
        for statement in (
            "CREATE TEMPORARY TABLE feature_contract (set_id bigint, ordinal integer)",
            "CREATE TEMPORARY TABLE feature_set (set_id bigint, name text)",
            "CREATE TEMPORARY TABLE feature_set_binding (set_id bigint, relation_name text)",
            "CREATE FUNCTION pg_temp.check_feature_contract(text) RETURNS TABLE (computed_n "
            "integer, problems text[]) LANGUAGE sql AS $$ SELECT 1, '{}'::text[] $$",
            "CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT $1'",
            "SET search_path = pg_temp, pg_catalog",
        ):
            connection.execute(statement.encode())
        with pytest.raises(psycopg.errors.RaiseException, match="FEATURE CONTRACT DRIFT"):
            connection.execute("SELECT ml.assert_feature_contract('tom_features_v1')")
        row = connection.execute(
            "SELECT run_id FROM ml.require_certified('tom_features_v1', '1 hour')"
        ).fetchone()
    assert row == ("second",)


def test_by_operators_and_functions_in_the_schemas_of_the_store(certified: Governed) -> None:
    """They have the exact types, so they would win over PostgreSQL's own if they were looked at."""
    certified.run(
        "CREATE ROLE mallory LOGIN",
        "GRANT CONNECT ON DATABASE governed TO mallory",
        "CREATE TABLE public.ran (who text)",
        "GRANT INSERT ON public.ran TO public",
        "GRANT USAGE, CREATE ON SCHEMA ml, feature_store TO mallory",
    )
    try:
        with certified.session("mallory") as connection:
            for schema in ("ml", "feature_store"):
                for statement in _TRAPS:
                    connection.execute(statement.format(schema=schema).encode())
        calls = [
            f"SELECT {feature_set.schema}.{function.format(feature_set.name)}"
            for feature_set in read_feature_sets(certified.settings.include_dir)
            for function in (
                "assert_feature_contract('{}')",
                "require_certified('{}', interval '1 hour')",
                "store_freshness(interval '1 hour')",
            )
        ]

        def ran() -> set[str]:
            with certified.session(READER) as connection:
                for call in calls:
                    with suppress(psycopg.errors.RaiseException):
                        connection.execute(call.encode())
            with certified.session() as connection:
                found = connection.execute("DELETE FROM public.ran RETURNING who").fetchall()
            return {who for (who,) in found}

        assert ran() == set()
        # The traps do work: this is how the functions once looked for names.
        look = "ALTER FUNCTION {} SET search_path = pg_catalog, {}, pg_temp"
        certified.run(look.format("ml.check_feature_contract(text)", "ml"))
        assert ran() == {OWNER}
    finally:
        certified.run(
            "ALTER FUNCTION ml.check_feature_contract(text) SET search_path = pg_catalog, pg_temp",
            "DROP OWNED BY mallory CASCADE",
            "DROP ROLE mallory",
            "DROP TABLE public.ran",
        )


@pytest.mark.parametrize(
    ("schema", "let_in", "shut"),
    [
        ("ml", "GRANT CREATE ON SCHEMA {} TO mallory", "mallory may create in the"),
        ("feature_store", "GRANT CREATE ON SCHEMA {} TO PUBLIC", "PUBLIC may create in the"),
        ("feature_store_audit", "ALTER SCHEMA {} OWNER TO mallory", "belongs to mallory"),
        ("feature_log", "GRANT CREATE ON SCHEMA {} TO mallory", "mallory may create in the"),
    ],
    ids=["a role may create", "everybody may create", "somebody owns it", "of the logs"],
)
def test_a_schema_that_is_open_to_others_is_refused_by_name_and_mended_as_told(
    certified: Governed, schema: str, let_in: str, shut: str
) -> None:
    certified.run("CREATE ROLE mallory", let_in.format(schema))
    try:
        with pytest.raises(subprocess.CalledProcessError) as refused:
            grant_roles(certified.conninfo)
        assert shut in refused.value.stderr
        assert schema in refused.value.stderr
        (problem,) = certified.problems(REFRESHER)
        assert shut in problem
        with certified.session(OWNER) as connection, pytest.raises(NotReady) as caught:
            apply(connection, certified.files, certified.settings)
        assert shut in caught.value.problem
        (hint,) = re.findall(r"HINT: +(.*); then run this file again", refused.value.stderr)
        told = problem.partition("Next: ")[2]
        assert hint.removesuffix(";") == told
        certified.run(told)
        assert certified.problems(REFRESHER) == []
        grant_roles(certified.conninfo)
    finally:
        certified.run(
            f"ALTER SCHEMA {schema} OWNER TO {OWNER}",
            f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC",
            "DROP OWNED BY mallory",
            "DROP ROLE mallory",
        )


def test_a_function_or_contract_of_somebody_else_is_refused(certified: Governed) -> None:
    taken = {
        "FUNCTION ml.require_certified(text,interval)": "",
        "TABLE feature_store.feature_contract": "",
    }
    certified.run("CREATE ROLE mallory")
    try:
        for thing in taken:
            certified.run(f"ALTER {thing} OWNER TO mallory")
            (problem,) = certified.problems(REFRESHER)
            assert f"{thing} belongs to mallory" in problem
            certified.run(problem.partition("Next: ")[2])
            assert certified.problems(REFRESHER) == []
    finally:
        certified.run("DROP OWNED BY mallory", "DROP ROLE mallory")
        grant_roles(certified.conninfo)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("ALL ON ALL TABLES IN SCHEMA feature_store", "feature_store.feature_set_binding"),
        ("UPDATE (relation_name) ON ml.feature_set_binding", "ml.feature_set_binding"),
        ("TRIGGER ON ml.feature_set_current", "ml.feature_set_current"),
        ("DELETE ON feature_log.tom_features_v1", "feature_log.tom_features_v1"),
        ("TRUNCATE ON feature_store_audit.seal_log", "feature_store_audit.seal_log"),
    ],
)
@pytest.mark.parametrize("who", ["mallory", "PUBLIC"])
def test_whoever_may_write_what_readers_are_told_is_named_and_shut_out_as_told(
    certified: Governed, given: str, what: str, who: str
) -> None:
    certified.run("CREATE ROLE mallory", f"GRANT {given} TO {who}")
    try:
        problems = certified.problems(REFRESHER)
        assert any(problem.startswith(f"{who} may change {what} (") for problem in problems)
        with certified.session(OWNER) as connection, pytest.raises(NotReady) as caught:
            apply(connection, certified.files, certified.settings)
        assert f"{who} may change {what} (" in caught.value.problem
        for problem in problems:
            certified.run(problem.partition("Next: ")[2])
        assert certified.problems(REFRESHER) == []
    finally:
        certified.run(f"REVOKE {given} FROM {who}", "DROP OWNED BY mallory", "DROP ROLE mallory")
        grant_roles(certified.conninfo)


def test_every_function_is_the_owner_s_closed_to_all_and_looks_in_pg_catalog_alone(
    governed: Governed,
) -> None:
    with governed.session() as connection:
        found = connection.execute(
            "SELECT p.oid::regprocedure::text, pg_get_userbyid(p.proowner), p.prosecdef, "
            "p.proconfig, p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) AS x "
            "WHERE x.grantee = 0) FROM pg_proc AS p WHERE p.pronamespace::regnamespace::text "
            "IN ('ml', 'feature_store', 'feature_store_audit', 'feature_log')"
        ).fetchall()
    assert len(found) == 8 + len(AUDIT_FUNCTIONS) + 22
    for name, owner, is_definer, config, is_open in found:
        assert owner == OWNER
        assert is_definer == (name != "feature_store_audit.latest_refreshes()")
        assert config[0] == "search_path=pg_catalog, pg_temp"
        assert not is_open


_TRAPS = [
    "CREATE FUNCTION {schema}.trap() RETURNS void LANGUAGE sql "
    "AS 'INSERT INTO public.ran VALUES (current_user)'",
    "CREATE FUNCTION {schema}.glue(name, name) RETURNS text LANGUAGE sql "
    "AS 'SELECT {schema}.trap(); SELECT $1::text'",
    "CREATE OPERATOR {schema}.|| (LEFTARG = name, RIGHTARG = name, FUNCTION = {schema}.glue)",
    "CREATE FUNCTION {schema}.glue(name, text) RETURNS text LANGUAGE sql "
    "AS 'SELECT {schema}.trap(); SELECT $1::text'",
    "CREATE OPERATOR {schema}.|| (LEFTARG = name, RIGHTARG = text, FUNCTION = {schema}.glue)",
    "CREATE FUNCTION {schema}.concat_ws(text, integer, text, text, text, text, text) "
    "RETURNS text LANGUAGE sql AS 'SELECT {schema}.trap(); "
    "SELECT pg_catalog.concat_ws($1, $2, $3, $4, $5, $6, $7)'",
    "CREATE FUNCTION {schema}.format(text, text, text) RETURNS text LANGUAGE sql "
    "AS 'SELECT {schema}.trap(); SELECT $1'",
    "CREATE FUNCTION {schema}.same(name, text) RETURNS boolean LANGUAGE sql "
    "AS 'SELECT {schema}.trap(); SELECT TRUE'",
    "CREATE OPERATOR {schema}.= (LEFTARG = name, RIGHTARG = text, FUNCTION = {schema}.same)",
]
