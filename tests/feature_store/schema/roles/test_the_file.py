"""The file that grants: run again, with other names, after an earlier one, and as prepare asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from sandbox.programs import binaries
from sandbox.roles import OWNER, PAGE, READER, REFRESHER, REVIEWER, as_role, grant_roles
from tests.conftest import ROOT, Servers
from tests.feature_store.schema.roles.governed import (
    CONTRACT,
    DENIED,
    F3,
    SOURCES,
    A,
    Governed,
    earlier_version,
    refreshes,
    refusal,
)


def test_readers_and_the_page_do_not_idle_in_a_transaction_for_ever(governed: Governed) -> None:
    kept = ((READER, "1h"), (REVIEWER, "1min"), (PAGE, "1min"), (REFRESHER, "0"))
    for role, patience in kept:
        with psycopg.connect(as_role(governed.conninfo, role)) as connection:
            shown = connection.execute("SHOW idle_in_transaction_session_timeout").fetchone()
        assert shown == (patience,), role
    governed.run(
        f"ALTER ROLE {READER} IN DATABASE governed SET idle_in_transaction_session_timeout = '7min'"
    )
    grant_roles(governed.conninfo)  # what somebody has set stays
    with psycopg.connect(as_role(governed.conninfo, READER)) as connection:
        shown = connection.execute("SHOW idle_in_transaction_session_timeout").fetchone()
    assert shown == ("7min",)
    governed.run(
        f"ALTER ROLE {READER} IN DATABASE governed RESET idle_in_transaction_session_timeout"
    )
    grant_roles(governed.conninfo)


def test_run_again_it_takes_back_functions_of_the_record_too(governed: Governed) -> None:
    accept = "feature_store_audit.accept_history(date, text, text, text)"
    before = governed.given()
    governed.run(
        f"GRANT EXECUTE ON FUNCTION {accept} TO {REFRESHER}",
        f"GRANT UPDATE ON SEQUENCE feature_store_audit.event TO {REFRESHER}",
        f"GRANT SELECT ON feature_store_audit.run TO {READER}",
    )
    grant_roles(governed.conninfo)
    assert governed.given() == before


def test_it_is_refused_where_the_store_belongs_to_another_than_the_one_named(
    governed: Governed,
) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        grant_roles(governed.conninfo, owner="somebody_else")
    assert f"the store belongs to {OWNER}, not to somebody_else" in refused.value.stderr
    assert f"-v owner={OWNER}" in refused.value.stderr
    with governed.session() as connection:
        made = connection.execute("SELECT FROM pg_roles WHERE rolname = 'somebody_else'").fetchall()
    assert made == []


@pytest.mark.parametrize("role", ["refresher", "reader", "reviewer", "page"])
def test_the_owner_is_a_role_of_its_own(governed: Governed, role: str) -> None:
    """What the file takes back from the others the owner would lose, and its functions with it."""
    before = governed.given()
    with pytest.raises(subprocess.CalledProcessError) as refused:
        grant_roles(governed.conninfo, **{role: OWNER})
    assert f"Nothing was granted: {OWNER} is named as the owner and as the {role}." in (
        refused.value.stderr
    )
    assert f"-v {role}=NAME" in refused.value.stderr
    assert governed.given() == before


def test_run_again_it_changes_nothing(governed: Governed) -> None:
    before = governed.given()
    grant_roles(governed.conninfo)
    assert governed.given() == before


def test_run_again_it_gives_back_what_was_taken_away(governed: Governed) -> None:
    before = governed.given()
    governed.run(
        f"REVOKE ALL ON ALL TABLES IN SCHEMA ml, feature_store FROM {REFRESHER}, {READER}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA feature_store_audit FROM {REFRESHER}, {PAGE}",
        f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ml FROM {READER}",
        f"REVOKE ALL ON SCHEMA ml FROM {REFRESHER}, {READER}",
        f"REVOKE ALL ON SCHEMA feature_store FROM {READER}",
        f"REVOKE ALL ON {SOURCES[0]} FROM {OWNER}, {REFRESHER}",
    )
    assert governed.given() < before
    grant_roles(governed.conninfo)
    assert governed.given() == before


def test_a_layer_that_is_applied_later_can_be_refreshed_at_once_but_is_not_for_readers(
    governed: Governed,
) -> None:
    layer = "ml.later_mv"
    with governed.session(OWNER) as connection:
        connection.execute(f"CREATE MATERIALIZED VIEW {layer} AS SELECT 1 AS x".encode())
        connection.execute(
            "INSERT INTO feature_store_audit.definition "
            "(object, file_definition, live_definition, dictionary) VALUES (%s, '', '', '')",
            (layer,),
        )
    try:
        assert refusal(governed, REFRESHER, f"SELECT FROM {layer}") == ""
        assert refreshes(governed, layer)
        assert refusal(governed, READER, f"SELECT FROM {layer}") == DENIED
    finally:
        governed.run(
            f"DROP MATERIALIZED VIEW {layer}",
            f"DELETE FROM feature_store_audit.definition WHERE object = '{layer}'",
        )


def test_it_grants_nothing_on_other_tables_of_yours(governed: Governed) -> None:
    governed.run("CREATE TABLE ml.yours (x integer)", 'CREATE TABLE "iPhone".yours (x integer)')
    try:
        grant_roles(governed.conninfo)
        assert [x for x in governed.given() if "yours" in x[1] and x[0] != "owner of"] == []
    finally:
        governed.run("DROP TABLE ml.yours", 'DROP TABLE "iPhone".yours')


def test_roles_may_have_any_name_and_may_be_there_before(
    governed: Governed, servers: Servers
) -> None:
    server = servers[governed.version]
    conninfo = server.create_database("named", "sources_only")
    names = {
        "owner": 'It\'s; the "owner"',
        "refresher": "air flow",
        "reader": "Readers",
        "page": "a page",
    }
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute('CREATE ROLE "air flow" LOGIN')
        grant_roles(conninfo, **names)
        grant_roles(conninfo, **names)
        with psycopg.connect(conninfo) as connection:
            found = connection.execute(
                "SELECT has_schema_privilege(%(owner)s, 'ml', 'CREATE'), "
                "has_schema_privilege(%(refresher)s, 'ml', 'USAGE'), "
                "has_schema_privilege(%(reader)s, 'feature_store_audit', 'USAGE'), "
                "has_schema_privilege(%(page)s, 'feature_store_audit', 'USAGE')",
                names,
            ).fetchone()
        assert found == (True, True, False, True)
    finally:
        server.drop_database("named")


"""Its next step mends what it found: each is run as it stands."""


@pytest.mark.parametrize(
    "taken",
    [
        # As many privileges on the record as prepare still names one by one.
        [
            "SELECT ON feature_store_audit.run FROM {refresher}",
            "INSERT (relation) ON feature_store_audit.refresh FROM {refresher}",
            "UPDATE (only_one) ON feature_store_audit.lease FROM {refresher}",
            "UPDATE ON feature_store_audit.history_lock FROM {refresher}",
            "USAGE ON SEQUENCE feature_store_audit.event FROM {refresher}",
        ],
        [
            "EXECUTE ON FUNCTION feature_store_audit.certify_and_log(bigint, text[], text[]) FROM "
            "{refresher}",
            "SELECT ON ml.tom_features_v1_enriched_mv FROM {refresher}",
            "SELECT ON ml.feature_contract FROM {refresher}",
            "EXECUTE ON FUNCTION ml.check_feature_contract(text) FROM {refresher}, public",
            "SELECT ON feature_log.tom_features_v1 FROM {refresher}",
            'SELECT ON "iPhone".iphone_listings FROM {refresher}, {owner}',
            "TEMPORARY ON DATABASE governed FROM {owner}",
        ],
        # While a schema is closed, prepare cannot see what is wrong with its tables.
        [
            "USAGE ON SCHEMA feature_store_audit FROM {refresher}",
            "USAGE ON SCHEMA feature_log FROM {refresher}",
            'USAGE ON SCHEMA "iPhone" FROM {refresher}',
        ],
    ],
    ids=["the record", "the store", "schemas"],
)
def test_the_grants_that_prepare_tells_make_the_refresher_ready(
    governed: Governed, taken: list[str]
) -> None:
    """Its next steps mend what it found: each statement runs as it is printed."""
    assert governed.problems(REFRESHER) == []
    before = governed.given()
    governed.run(*(f"REVOKE {one.format(refresher=REFRESHER, owner=OWNER)}" for one in taken))
    try:
        told: list[str] = []
        for _ in range(3):
            told += (problems := governed.problems(REFRESHER))
            governed.run(*(p.partition("Next: ")[2] for p in problems))
        assert len(told) >= len(taken)
        assert governed.problems(REFRESHER) == []
        assert governed.given() == before
    finally:
        grant_roles(governed.conninfo)


def typed(command: str, conninfo: str) -> str:
    """What a line prints, typed in a shell by the administrator of a database."""
    at = {f"PG{key.upper()}": str(value) for key, value in conninfo_to_dict(conninfo).items()}
    path = f"{binaries()}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **at, "PATH": path},
    )
    return done.stdout


def test_views_that_an_earlier_version_gave_to_the_refresher_are_taken_back(
    governed: Governed,
) -> None:
    """The refresher has them after PostgreSQL 15 and 16, and after a move from there."""
    before = governed.given()
    with governed.session() as connection:
        earlier_version(connection, governed.files)
    (problem,) = governed.problems(REFRESHER)
    assert problem.startswith(f"{REFRESHER} owns feature_store.device_count_day_v1_mv, ")
    command, _, who = problem.partition("Next: ")[2].rpartition(", ")
    assert who == "as the administrator"
    assert typed(command, governed.conninfo) == "The roles have what they need.\n"
    assert governed.given() == before
    assert governed.problems(REFRESHER) == []
    assert refusal(governed, REFRESHER, "CREATE TEMPORARY TABLE x (y integer)") == DENIED
    governed.run(f"REVOKE {REFRESHER} FROM {OWNER}")


def test_maintain_that_an_earlier_version_gave_is_taken_back(governed: Governed) -> None:
    if governed.version < 17:
        pytest.skip("there is no such privilege")
    before = governed.given()
    governed.run(
        f"GRANT MAINTAIN ON {A}, {F3}, {CONTRACT[0]} TO {REFRESHER}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA ml "
        f"GRANT MAINTAIN ON TABLES TO {REFRESHER}",
    )
    grant_roles(governed.conninfo)
    assert governed.given() == before
    with governed.session(OWNER) as connection, connection.transaction(force_rollback=True):
        connection.execute("CREATE MATERIALIZED VIEW ml.later_mv AS SELECT 1 AS x")
        row = connection.execute(
            "SELECT has_table_privilege(%s, 'ml.later_mv', 'SELECT'), "
            "has_table_privilege(%s, 'ml.later_mv', 'MAINTAIN')",
            (REFRESHER, REFRESHER),
        ).fetchone()
    assert row == (True, False)


def test_a_view_of_a_superuser_is_refused_for_its_query_would_run_as_one(
    governed: Governed,
) -> None:
    governed.run(f"ALTER MATERIALIZED VIEW {A} OWNER TO postgres")
    try:
        grant_roles(governed.conninfo)  # hands over the refresher's views, and nobody else's
        assert governed.problems(REFRESHER)[0] == (
            f"{OWNER}, who owns the store and refreshes it, may not refresh {A}, which "
            f"postgres owns.\n    Next: ALTER MATERIALIZED VIEW {A} OWNER TO {OWNER}"
        )
    finally:
        governed.run(f"ALTER MATERIALIZED VIEW {A} OWNER TO {OWNER}")
    assert governed.problems(REFRESHER) == []


def test_who_is_a_member_of_the_owner_is_told_of(governed: Governed) -> None:
    governed.run(f"GRANT {OWNER} TO {REFRESHER}")
    try:
        said = grant_roles(governed.conninfo).splitlines()
    finally:
        governed.run(f"REVOKE {OWNER} FROM {REFRESHER}")
    assert said == [
        f"As good as {OWNER}, being superusers or members of it: {REFRESHER}",
        "The roles have what they need.",
    ]
