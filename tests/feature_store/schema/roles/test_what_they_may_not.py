"""What PostgreSQL refuses to each role, statement by statement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest

from feature_store.audit.lease import RunKey, take_lease
from feature_store.cli.commands import main
from feature_store.connection import one_value
from feature_store.schema.privileges.audit_privileges import AUDIT_LOGS
from sandbox.roles import OWNER, PAGE, READER, REFRESHER, REVIEWER, as_role
from tests.feature_store.schema.roles.governed import (
    CONTRACT,
    DENIED,
    E_AI,
    F3,
    LOG,
    PAGE_READS,
    SOURCES,
    A,
    B,
    C,
    Governed,
    refusal,
)

NONE_OF_THEM = [
    *(f"INSERT INTO {source} DEFAULT VALUES" for source in SOURCES),
    *(f"DELETE FROM {source}" for source in SOURCES),
    f"TRUNCATE {SOURCES[0]}",
    f"UPDATE {SOURCES[0]} SET spam = NULL",
    f"ALTER TABLE {SOURCES[0]} ADD COLUMN x integer",
    "CREATE TABLE ml.mine (x integer)",
    "CREATE TABLE feature_store.mine (x integer)",
    "CREATE TABLE feature_store_audit.mine (x integer)",
    "CREATE TABLE public.mine (x integer)",
    "CREATE SCHEMA mine",
    "CREATE VIEW ml.mine AS SELECT 1 AS x",
    "CREATE FUNCTION ml.format(text, text, text) RETURNS text LANGUAGE sql RETURN 'x'",
    "CREATE OR REPLACE FUNCTION ml.assert_feature_contract(p_set text) RETURNS void "
    "LANGUAGE sql AS ''",
    "ALTER FUNCTION ml.require_certified(text, interval) SECURITY INVOKER",
    f"DROP VIEW {F3}",
    f"CREATE OR REPLACE VIEW {F3} AS SELECT 1 AS x",
    f"CREATE INDEX mine ON {SOURCES[0]} (price)",
    "DROP SCHEMA ml CASCADE",
    *(f"DELETE FROM {table}" for table in CONTRACT),
    "UPDATE ml.feature_set SET features_hash = 'forged'",
    "UPDATE ml.feature_contract SET dtype = 'int8'",
    "UPDATE feature_store.feature_set_binding SET relation_name = 'ml.mine'",
    "CREATE TABLE feature_log.mine (x integer)",
    f"INSERT INTO {LOG} DEFAULT VALUES",
    f"UPDATE {LOG} SET price = 1",
    f"DELETE FROM {LOG}",
    f"TRUNCATE {LOG}",
    f"ALTER TABLE {LOG} DROP COLUMN price",
    "DELETE FROM feature_store_audit.seal_log",
    "UPDATE feature_store_audit.feature_log SET entity = 'x'",
    "SELECT feature_store_audit.seal_anew('tom_features_v1', 'x', 'x')",
    "SELECT feature_store_audit.erase_logged('tom_features_v1', '1', 'x', 'x')",
    "LOCK TABLE ml.feature_contract IN ACCESS EXCLUSIVE MODE",
    "UPDATE feature_store_audit.definition SET live_definition = 'forged'",
    "DELETE FROM feature_store_audit.migration",
    *(f"DELETE FROM feature_store_audit.{log}" for log in (*AUDIT_LOGS, "certification_log")),
    *(f"TRUNCATE feature_store_audit.{log}" for log in (*AUDIT_LOGS, "certification_log")),
    "UPDATE feature_store_audit.refresh SET row_count = 0",
    "DELETE FROM feature_store_audit.lease",
    "UPDATE feature_store_audit.lease SET token = token + 1",
    "INSERT INTO feature_store_audit.certification_log (relation) VALUES ('x')",
    "UPDATE feature_store_audit.certification_log SET certified_at = '2999-01-01'",
    "INSERT INTO feature_store_audit.withdrawal_log (run_id) VALUES ('x')",
    "DELETE FROM feature_store_audit.withdrawal_log",
    "SELECT feature_store_audit.set_days('A', '{}', '{}', '{}', 'x', 'x')",
    "SELECT feature_store_audit.accept_findings('{1}', 'x', 'x')",
    "SELECT setval('feature_store_audit.event', 1)",
    f"SET ROLE {OWNER}",
    "SET ROLE postgres",
    "CREATE ROLE mine",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
]
CALLS = [
    "accept_backfill_day(1)",
    "accept_history('1999-01-01', NULL, 'x', 'x')",
    "analyze_history()",
    f"analyze_view('{A}')",
    "begin_baseline(1, 'A', 'x', '{}', 'x')",
    "certified_profile('x')",
    f"certify_and_log(1, '{{{A}}}', '{{}}')",
    "confirm_lease('x', 'x')",
    "drop_changes(1, 'A', '{}')",
    "drop_months(1, 'x', 1)",
    "forget(30)",
    "keep_broken_logs('x', 'x', '{}')",
    "keep_said(1, 'A', '{}', '{}', '{}', '{}', '{}')",
    "keep_seen(1, 'A', '{}')",
    "move_baseline(1, 'A', '{}', '{}', '{}')",
    f"refresh_view(1, '{A}', false)",
    "release_lease('x', 'x')",
    "take_lease('x', 'x', 1)",
    "withdraw_broken('x', 'x')",
]
NOT_THE_READER = [
    f"SELECT FROM {A}",
    "SELECT FROM ml.sold_durations_v1_mv",
    "SELECT FROM ml.ask_daily_median_v1",
    "SELECT FROM ml.sold_prices_v1_mv",
    "SELECT FROM ml.spam_listings_v1",
    "SELECT FROM feature_store.v_device_meta_base_t0_v1",
    f"SELECT sold_price, sold_date FROM {SOURCES[0]}",
    *(f"SELECT FROM {source}" for source in SOURCES),
    *(f"SELECT FROM feature_store_audit.{log}" for log in AUDIT_LOGS),
    *(f"SELECT FROM feature_store_audit.{view}" for view in ("certified", "run", "lease")),
    f"REFRESH MATERIALIZED VIEW {E_AI}",
    f"REFRESH MATERIALIZED VIEW CONCURRENTLY {E_AI}",
    f"DROP MATERIALIZED VIEW {E_AI}",
    f"LOCK TABLE {F3} IN ACCESS EXCLUSIVE MODE",
    *(f"INSERT INTO feature_store_audit.{log} DEFAULT VALUES" for log in AUDIT_LOGS),
    *(f"SELECT feature_store_audit.{call}" for call in CALLS),
    "CREATE TEMPORARY TABLE feature_set (x integer)",
]
NOT_THE_PAGE = [
    *(s for s in NOT_THE_READER if s.removeprefix("SELECT FROM ") not in PAGE_READS),
    *(f"SELECT FROM {relation}" for relation in (B, C, E_AI, F3)),
    "UPDATE feature_store_audit.lease SET only_one = TRUE",
    "LOCK TABLE feature_store_audit.history_lock IN SHARE ROW EXCLUSIVE MODE",
    "SELECT FROM feature_store_audit.lease FOR UPDATE",
]
# The owner of a view may do all of these; whoever may maintain it, the last ones.
NOT_THE_REFRESHER = [
    f"DROP MATERIALIZED VIEW {E_AI}",
    f"ALTER MATERIALIZED VIEW {E_AI} RENAME TO mine",
    f"ALTER MATERIALIZED VIEW {E_AI} OWNER TO {REFRESHER}",
    "DROP INDEX ml.tfeat_enr_v1_uq",
    f"CREATE INDEX mine ON {E_AI} (price)",
    "CREATE TEMPORARY TABLE mine (x integer)",
    f"REFRESH MATERIALIZED VIEW {E_AI} WITH NO DATA",
    f"REFRESH MATERIALIZED VIEW CONCURRENTLY {E_AI}",
]


@pytest.mark.parametrize("role", [REFRESHER, READER, REVIEWER, PAGE])
def test_none_writes_sources_creates_drops_alters_or_forges(certified: Governed, role: str) -> None:
    allowed = {s: refusal(certified, role, s) for s in NONE_OF_THEM}
    assert {s: state for s, state in allowed.items() if state != DENIED} == {}


def test_the_reader_reads_no_base_layer_no_outcome_no_source_and_no_bookkeeping(
    certified: Governed,
) -> None:
    allowed = {s: refusal(certified, READER, s) for s in NOT_THE_READER}
    assert {s: state for s, state in allowed.items() if state != DENIED} == {}


def test_the_page_reads_no_relation_of_the_store_and_writes_nothing_of_the_record(
    certified: Governed,
) -> None:
    allowed = {s: refusal(certified, PAGE, s) for s in NOT_THE_PAGE}
    assert {s: state for s, state in allowed.items() if state != DENIED} == {}


def test_the_reviewer_reads_findings_and_nothing_else(certified: Governed) -> None:
    others = [s for s in NOT_THE_PAGE if "accept_history" not in s]
    others += [f"SELECT FROM {relation}" for relation in (*PAGE_READS, *CONTRACT)]
    others.remove("SELECT FROM feature_store_audit.history_finding")
    allowed = {s: refusal(certified, REVIEWER, s) for s in others}
    assert {s: state for s, state in allowed.items() if state != DENIED} == {}


FORGED = [
    "refresh (refresh_id, relation) VALUES (1, 'x')",
    "refresh (finished_at) VALUES ('2999-01-01')",
    "refresh (snapshot) VALUES ('5:5:')",
    "run_log (prepared_at) VALUES ('1999-01-01')",
    "run_log (event_id) OVERRIDING SYSTEM VALUE VALUES (1)",
    "verdict_log (dag_id, run_id, verdict) VALUES ('x', 'x', 'passed')",
    "suite_log (dag_id, run_id, suite, refreshes) VALUES ('x', 'x', 'x', '{}')",
    "expectation_log (checked_at) VALUES ('2999-01-01')",
    "proof_log (proven_at) VALUES ('2999-01-01')",
    "history_closing_log (finding_id, outcome, closed_by, reason) "
    "VALUES (1, 'accepted', 'ann', 'because')",
    "history_finding_log (found_at) VALUES ('1999-01-01')",
]


def test_the_refresher_fills_no_number_time_or_name_that_is_the_server_s(
    certified: Governed,
) -> None:
    insert = "INSERT INTO feature_store_audit."
    allowed = {s: refusal(certified, REFRESHER, insert + s) for s in FORGED}
    assert {s: state for s, state in allowed.items() if state != DENIED} == {}


def test_the_refresher_refreshes_views_of_the_store_and_nothing_else(certified: Governed) -> None:
    certified.run("CREATE MATERIALIZED VIEW ml.theirs AS SELECT 1 AS x")
    try:
        with certified.session() as connection, connection.transaction(force_rollback=True):
            connection.execute(f"SET LOCAL ROLE {REFRESHER}")
            lease = take_lease(connection, RunKey("x", "x"), lambda _: True, timedelta(0))
            for other in ("ml.theirs", F3, "feature_store_audit.run_log", f"{A}; SELECT 1"):
                for ask in (f"refresh_view({lease.token}, %s, false)", "analyze_view(%s)"):
                    call = f"SELECT feature_store_audit.{ask}".encode()
                    with (
                        pytest.raises(psycopg.errors.UndefinedTable, match="no materialized"),
                        connection.transaction(),
                    ):
                        connection.execute(call, [other])
            connection.execute(
                "SELECT feature_store_audit.refresh_view(%s, %s, true)", (lease.token, E_AI)
            )
    finally:
        certified.run("DROP MATERIALIZED VIEW ml.theirs")


def test_a_refresh_runs_no_policy_whatever_the_caller_has_set(certified: Governed) -> None:
    with certified.session() as connection, connection.transaction(force_rollback=True):
        connection.execute(f"ALTER TABLE {SOURCES[0]} ENABLE ROW LEVEL SECURITY".encode())
        connection.execute(f"SET LOCAL ROLE {REFRESHER}")
        connection.execute("SET LOCAL row_security = on")
        lease = take_lease(connection, RunKey("x", "x"), lambda _: True, timedelta(0))
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            connection.execute(
                "SELECT feature_store_audit.refresh_view(%s, %s, false)", (lease.token, A)
            )


def test_the_refresher_puts_no_code_of_his_on_what_others_read(certified: Governed) -> None:
    """Planning a query evaluates a view's extended statistics, with the rights of the caller."""
    certified.run(
        "CREATE SCHEMA mallory",
        f"GRANT USAGE, CREATE ON SCHEMA mallory TO {REFRESHER}",
    )
    try:
        with certified.session(REFRESHER) as connection:
            connection.execute(
                "CREATE FUNCTION mallory.evil(integer) RETURNS integer IMMUTABLE "
                "LANGUAGE sql AS 'SELECT $1'"
            )
        statistics = f"CREATE STATISTICS mallory.s ON (mallory.evil(price)), price FROM {E_AI}"
        assert refusal(certified, REFRESHER, statistics) == DENIED
    finally:
        certified.run("DROP SCHEMA mallory CASCADE")


def test_the_last_thirty_days_cannot_be_deleted(certified: Governed) -> None:
    forget = "SELECT feature_store_audit.forget({})"
    assert refusal(certified, REFRESHER, forget.format(29)) == "22023"
    assert refusal(certified, REFRESHER, forget.format(-1)) == "22023"
    assert refusal(certified, REFRESHER, forget.format(30)) == ""


def test_the_refresher_can_neither_drop_nor_alter_nor_empty_what_it_refreshes(
    certified: Governed,
) -> None:
    allowed = {s: refusal(certified, REFRESHER, s) for s in NOT_THE_REFRESHER}
    assert {s: state for s, state in allowed.items() if state != DENIED} == {}
    # PostgreSQL only warns that it granted nothing.
    granted = f"SELECT relacl::text FROM pg_class WHERE oid = '{E_AI}'::regclass"
    with certified.session(REFRESHER) as refresher:
        before = one_value(refresher, granted)
        refresher.execute(f"GRANT SELECT ON {E_AI} TO public")
        assert one_value(refresher, granted) == before


@pytest.mark.parametrize("role", [REFRESHER, READER, PAGE])
def test_none_applies_nor_stamps_from_the_command_line(
    certified: Governed,
    role: str,
    airflow_conn: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    airflow_conn(as_role(certified.conninfo, role))
    before = certified.given()
    assert main(["stamp-contract", "tom_features_v1", "--replace"]) == 1
    assert "permission denied for" in capsys.readouterr().err
    assert certified.given() == before
