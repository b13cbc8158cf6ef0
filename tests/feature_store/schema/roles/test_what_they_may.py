"""What each role may do, and that it was given nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from feature_store.cli.commands import main
from feature_store.connection import one_value
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.store_definition import Refresh
from feature_store.schema.apply import apply
from feature_store.schema.privileges.audit_privileges import AUDIT_FUNCTIONS
from feature_store.schema.stamps.contract_stamp import check
from sandbox.roles import OWNER, PAGE, READER, REFRESHER, REVIEWER, as_role, grant_roles
from tests.conftest import Servers
from tests.feature_store.schema.roles.governed import (
    CONTRACT,
    E_AI,
    F2,
    F3,
    LOGS,
    PAGE_READS,
    SOURCES,
    B,
    C,
    Governed,
    open_review,
    refreshes,
    refusal,
)


def test_the_refresher_does_a_whole_night(certified: Governed) -> None:
    with certified.session() as connection:
        modes = connection.execute(
            "SELECT relation, mode FROM feature_store_audit.refresh WHERE run_id = 'second'"
        ).fetchall()
    assert dict(modes) == {
        str(r.name): "concurrent" if r.refresh is Refresh.CONCURRENT else "blocking"
        for r in certified.files.refreshed
    }


def test_the_refresher_has_statistics_of_the_rows_of_history_gathered(certified: Governed) -> None:
    """It is not their owner: the server would skip its ANALYZE, and plan blindly from then on."""
    rows = (
        "SELECT reltuples >= 0 FROM pg_class "
        "WHERE oid = 'feature_store_audit.history_row'::regclass"
    )
    with certified.session() as connection:
        assert one_value(connection, rows)


def test_the_owner_s_guard_looks_at_rows_after_a_grant_and_a_refresh_by_hand(
    certified: Governed,
) -> None:
    ask = "SELECT run_id FROM ml.require_certified('tom_features_v1', '1 day')"
    with certified.session() as connection, connection.transaction(force_rollback=True):
        connection.execute(f"GRANT SELECT ON {E_AI} TO {READER}")
        assert connection.execute(ask).fetchone() == ("second",)
        connection.execute('UPDATE "iPhone".iphone_ai_enrich SET first_owner = NOT first_owner')
        connection.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {E_AI}")
        with (
            pytest.raises(psycopg.errors.RaiseException, match="was refreshed by hand"),
            connection.transaction(),
        ):
            connection.execute(ask)


def test_the_reader_reads_the_read_layers_b_c_and_f3_and_has_them_vouched_for(
    certified: Governed,
) -> None:
    read = [str(r.name) for r in certified.files.relations if r.refresh is Refresh.CONCURRENT]
    with certified.session(READER) as connection:
        for relation in (*read, B, C, F3):
            assert one_value(connection, f"SELECT count(*) FROM {relation}".encode()) > 0
        for feature_set in read_feature_sets(certified.settings.include_dir):
            schema, name = feature_set.schema, (feature_set.name,)
            connection.execute(f"SELECT {schema}.assert_feature_contract(%s)".encode(), name)
            vouched = connection.execute(
                f"SELECT run_id FROM {schema}.require_certified(%s, '1 hour')".encode(), name
            ).fetchone()
            assert vouched == ("second",)


def test_the_page_reads_what_it_shows_and_asks_whether_contracts_hold(certified: Governed) -> None:
    with certified.session(PAGE) as connection:
        for table in (*PAGE_READS, *CONTRACT):
            connection.execute(f"SELECT * FROM {table} LIMIT 1".encode())
        for feature_set in read_feature_sets(certified.settings.include_dir):
            assert check(connection, feature_set).result == "OK"


def test_nothing_else_is_given_to_the_refresher_the_reader_and_the_page(governed: Governed) -> None:
    """The lists are exact, so that this file and what prepare asks for cannot drift apart."""
    files = governed.files
    views = [str(r.name) for r in files.relations if r.refresh is Refresh.NEVER]
    refreshed = [str(r.name) for r in files.refreshed]
    read = [str(r.name) for r in files.relations if r.refresh is Refresh.CONCURRENT]
    refresher = {
        *((table, "SELECT") for table in (*SOURCES, *CONTRACT, *views, *refreshed)),
        *((relation, "SELECT") for relation in (*governed.audit_relations(), *LOGS)),
        *((column, "INSERT") for column in governed.columns_to_fill()),
        ("feature_store_audit.lease.only_one", "UPDATE"),
        ("feature_store_audit.history_lock", "UPDATE"),
        ("feature_store_audit.event", "USAGE"),
        *((f"feature_store_audit.{function}", "EXECUTE") for function in AUDIT_FUNCTIONS),
        *((schema, "USAGE") for schema in ("ml", "feature_store", '"iPhone"', "feature_log")),
        ("feature_store_audit", "USAGE"),
        *(
            (f"{schema}.{function}", "EXECUTE")
            for schema in ("ml", "feature_store")
            for function in ("check_feature_contract(text)", "store_freshness(interval)")
        ),
    }
    reader = {
        *((view, "SELECT") for view in (*read, B, C, F3, *CONTRACT, *LOGS)),
        *((schema, "USAGE") for schema in ("ml", "feature_store", "feature_log")),
        *(
            (f"{schema}.{function}", "EXECUTE")
            for schema in ("ml", "feature_store")
            for function in (
                "assert_feature_contract(text)",
                "require_certified(text,interval)",
                "store_freshness(interval)",
            )
        ),
    }
    page = {
        *((table, "SELECT") for table in (*PAGE_READS, *CONTRACT)),
        *((s, "USAGE") for s in ("ml", "feature_store", "feature_store_audit")),
        *((f"{s}.check_feature_contract(text)", "EXECUTE") for s in ("ml", "feature_store")),
        ("feature_store_audit.certificates(text[])", "EXECUTE"),
        ("feature_store_audit.read_with(text[])", "EXECUTE"),
        ("feature_store_audit.sources_until(text)", "EXECUTE"),
    }
    reviewer = {
        ("feature_store_audit", "USAGE"),
        *(
            (f"feature_store_audit.{relation}", "SELECT")
            for relation in ("history_finding", "history_judgement", "migration")
        ),
        ("feature_store_audit.accept_history(date,text,text,text)", "EXECUTE"),
    }
    given = governed.given()
    assert {x[1:] for x in given if x[0] == REFRESHER} == refresher
    assert {x[1:] for x in given if x[0] == REVIEWER} == reviewer
    assert {x[1:] for x in given if x[0] == READER} == reader
    assert {x[1:] for x in given if x[0] == PAGE} == page
    owners = {x[1]: x[2] for x in given if x[0] == "owner of"}
    assert {owners[thing] for thing in (*refreshed, *views, *CONTRACT)} == {OWNER}
    assert {owners[source] for source in SOURCES} == {"postgres"}


@pytest.mark.parametrize(
    "command",
    ["plan", "status", "history", "check-contract", "check-leaks", "report", "freshness"],
)
def test_the_refresher_may_look_at_everything_from_the_command_line(
    certified: Governed, command: str, airflow_conn: Callable[..., None], tmp_path: Path
) -> None:
    airflow_conn(as_role(certified.conninfo, REFRESHER))
    to = ["--to", str(tmp_path)] if command == "report" else []
    assert main([command, *to]) == 0


def test_the_reviewer_accepts_history_and_the_refresher_may_not(
    certified: Governed, airflow_conn: Callable[..., None], capsys: Any
) -> None:
    """Who accepted is kept for ever, and so is the name that was given with ``--by``."""
    with certified.session() as connection:
        open_review(connection, "1999-01-01")
    accept = ["accept-history", "--day", "1999-01-01", "--reason", "late", "--by", "ann"]
    airflow_conn(as_role(certified.conninfo, REFRESHER))
    assert main(accept) == 1
    said = capsys.readouterr().err
    assert "Nothing was accepted: permission denied for function accept_history." in said
    assert "Next: Accept as the store's reviewer" in said
    airflow_conn(as_role(certified.conninfo, REVIEWER))
    assert main(accept) == 0
    assert main(["history"]) == 0
    with certified.session() as connection:
        closed = connection.execute(
            "SELECT c.outcome, c.closed_by, c.reason, c.recorded_by "
            "FROM feature_store_audit.history_closing_log AS c "
            "INNER JOIN feature_store_audit.history_finding_log AS f USING (finding_id) "
            "WHERE f.day = '1999-01-01'"
        ).fetchall()
    assert closed == [("accepted", "ann", "late", REVIEWER)]


def test_a_login_that_is_a_member_of_a_role_may_what_the_role_may(certified: Governed) -> None:
    certified.run("DROP ROLE IF EXISTS ann", f"CREATE ROLE ann LOGIN IN ROLE {READER}")
    try:
        conninfo = make_conninfo(certified.conninfo, user="ann")
        with psycopg.connect(conninfo) as connection:
            assert connection.execute(f"SELECT count(*) > 0 FROM {E_AI}").fetchone() == (True,)
    finally:
        certified.run("DROP ROLE ann")


def test_the_owner_replaces_a_relation_and_the_refresher_goes_on(
    certified: Governed, servers: Servers
) -> None:
    server = servers[certified.version]  # in a copy, as a replaced relation is not certified
    with psycopg.connect(server.conninfo) as connection:  # sessions that suites left open
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = 'governed'"
        )
    conninfo = server.create_database("replaced", "governed")
    copy = Governed(conninfo, certified.version, certified.files, certified.settings)
    try:
        grant_roles(conninfo)
        with copy.session(OWNER) as connection:
            apply(connection, copy.files, copy.settings, [F2])
        grant_roles(conninfo)
        assert copy.problems(REFRESHER) == []
        assert refreshes(copy, F2)
        assert refusal(copy, READER, f"SELECT FROM {F2}") == ""
    finally:
        server.drop_database("replaced")
