"""Roles: what include/roles.sql gives to whom, and that it gives no more.

One store per server version, made as in production: the administrator runs the file, the owner
applies and stamps, the file is run again. Every test leaves it as it was.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from feature_store.audit.lease import Holder, release_lease, take_lease
from feature_store.audit.runs import open_run
from feature_store.cli.commands import main
from feature_store.connection import Connection, one_value
from feature_store.database.session import pin
from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.expectations import read_expectations
from feature_store.declarations.feature_sets import logged_sets, read_feature_sets
from feature_store.declarations.history_series import read_history
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.store_definition import Refresh, Store
from feature_store.declarations.suites import read_suites
from feature_store.errors import NotReady
from feature_store.proof.proving import prove
from feature_store.refresh.refresh import refresh
from feature_store.schema.apply import apply
from feature_store.schema.audit_privileges import AUDIT_FUNCTIONS, AUDIT_LOGS
from feature_store.schema.contract_stamp import assert_contract, check
from feature_store.schema.readiness import check_ready
from feature_store.settings import Settings
from feature_store.validation.certification import certify
from feature_store.validation.history.judgement import judge_history
from feature_store.validation.leaks.feature_lineage import record_lineage, trace_features
from feature_store.validation.leaks.gates import assert_no_leak, read_gate_context
from feature_store.validation.profile import record_profile
from feature_store.validation.suite_record import begin_suite, record
from feature_store.validation.suites import run_suite
from sandbox.load import load_sample
from sandbox.roles import OWNER, PAGE, READER, REFRESHER, REVIEWER, as_role, grant_roles
from sandbox.sample.options import SampleOptions
from sandbox.server import available_versions
from tests.conftest import Servers, create_store
from tests.relations import E_AI, F2, F3, A, B, C

LOG = "feature_log.tom_features_v1"
LOGS = [
    "feature_log.logged_sets",
    *(
        f"feature_log.{name}{view}"
        for name in ("tom_features_v1", "iphone_device_meta_encoded_v2_model")
        for view in ("", "_training")
    ),
]
SOURCES = (
    '"iPhone".iphone_listings',
    '"iPhone".iphone_ai_enrich',
    "feature_store.device_image_features_unified_v1",
)
CONTRACT = [
    f"{schema}.{table}"
    for schema in ("ml", "feature_store")
    for table in ("feature_set", "feature_contract", "feature_set_current", "feature_set_binding")
]
PAGE_READS = [
    f"feature_store_audit.{table}"
    for table in (
        "certified",
        "definition",
        "expectation",
        "fact",
        "feature_lineage",
        "feature_month",
        "feature_nulls",
        "feature_profile",
        "feature_skew",
        "finding",
        "history_finding",
        "latest_refresh",
        "lease",
        "profile",
        "proof",
        "proof_inventory",
        "refresh",
        "reuse",
        "run",
        "store",
    )
]
DENIED = "42501"

# What each role is given on relations and functions, by name: role, thing, privilege.
_GIVEN = """
SELECT r.rolname, c.oid::regclass::text, x.privilege_type
FROM pg_class AS c, aclexplode(c.relacl) AS x, pg_roles AS r
WHERE x.grantee = r.oid AND r.rolname = ANY(%(roles)s) AND c.relowner <> r.oid
UNION ALL
SELECT r.rolname, c.oid::regclass::text || '.' || a.attname, x.privilege_type
FROM pg_attribute AS a, pg_class AS c, aclexplode(a.attacl) AS x, pg_roles AS r
WHERE a.attrelid = c.oid AND x.grantee = r.oid AND r.rolname = ANY(%(roles)s)
UNION ALL
SELECT r.rolname, n.oid::regnamespace::text, x.privilege_type
FROM pg_namespace AS n, aclexplode(n.nspacl) AS x, pg_roles AS r
WHERE x.grantee = r.oid AND r.rolname = ANY(%(roles)s) AND n.nspowner <> r.oid
UNION ALL
SELECT r.rolname, p.oid::regprocedure::text, x.privilege_type
FROM pg_proc AS p, aclexplode(p.proacl) AS x, pg_roles AS r
WHERE x.grantee = r.oid AND r.rolname = ANY(%(roles)s) AND p.proowner <> r.oid
UNION ALL
SELECT 'owner of', c.oid::regclass::text, pg_get_userbyid(c.relowner)
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE n.nspname IN ('ml', 'feature_store', 'feature_store_audit', 'feature_log', 'iPhone')
"""


class Governed:
    """A store with its roles, on one server version."""

    def __init__(self, conninfo: str, version: int, files: Store, settings: Settings) -> None:
        self.conninfo = conninfo
        self.version = version
        self.files = files
        self.settings = settings

    @contextmanager
    def session(self, role: str = "") -> Iterator[Connection]:
        """A pinned session, of the superuser if no role is named."""
        conninfo = as_role(self.conninfo, role) if role else self.conninfo
        with psycopg.connect(conninfo, autocommit=True) as connection:
            pin(connection, self.settings, "tests")
            yield connection

    def run(self, *statements: str) -> None:
        with self.session() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def given(self) -> set[tuple[str, str, str]]:
        roles = [OWNER, REFRESHER, READER, REVIEWER, PAGE]
        with self.session() as connection:
            return set(connection.execute(_GIVEN, {"roles": roles}).fetchall())

    def audit_relations(self) -> list[str]:
        with self.session() as connection:
            rows = connection.execute(
                "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'v') "
                "AND relnamespace = 'feature_store_audit'::regnamespace"
            ).fetchall()
        return [name for (name,) in rows]

    def columns_to_fill(self) -> list[str]:
        """The columns that the refresher may fill: those that no default gives."""
        found: list[str] = []
        with self.session() as connection:
            for log, named in AUDIT_LOGS.items():
                rows = connection.execute(
                    "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass "
                    "AND attnum > 0 AND NOT attisdropped AND NOT atthasdef",
                    (f"feature_store_audit.{log}",),
                ).fetchall()
                found += [
                    f"feature_store_audit.{log}.{column}"
                    for (column,) in rows
                    if named is None or column in named
                ]
        return found

    def problems(self, role: str) -> list[str]:
        """What prepare finds missing for this role; none if it is ready."""
        with self.session(role) as connection:
            try:
                check_ready(connection, self.files, self.settings)
            except NotReady as error:
                return error.problem.split("\n  - ")[1:]
        return []


@pytest.fixture(scope="module", params=available_versions(), ids=lambda version: f"pg{version}")
def governed(
    request: pytest.FixtureRequest, servers: Servers, store_files: Store, settings: Settings
) -> Iterator[Governed]:
    server = servers[request.param]
    conninfo = server.create_database("governed", "sources_only")
    store = Governed(conninfo, request.param, store_files, settings)
    # Whoever may connect may create temporary tables, by PostgreSQL's default; here they may not.
    store.run("REVOKE ALL ON DATABASE governed FROM public")
    with store.session() as connection:
        load_sample(connection, SampleOptions(listings=300, days=20))
    create_store(conninfo, store_files, settings)
    yield store
    server.drop_database("governed")


def _nightly_run(store: Governed, run_id: str) -> None:
    """All that the DAG does in the database, as the refresher."""
    files, settings, day = store.files, store.settings, date(2026, 6, 30)
    include, holder = settings.include_dir, Holder("tests", run_id)
    sets = read_feature_sets(include)
    with store.session(REFRESHER) as connection:
        lease = take_lease(connection, holder, lambda _: True, timedelta(0))
        check_ready(connection, files, settings)
        open_run(connection, holder, "manual", day, settings.zone)
        for relation in files.refreshed:
            refresh(connection, relation, lease, settings.zone)

        def connect() -> Connection:
            another = psycopg.connect(as_role(store.conninfo, REFRESHER))
            pin(another, settings, "tests")
            another.commit()
            return another

        for suite in read_suites(include):
            event = begin_suite(connection, lease, suite)
            if suite == "as_of_counts":
                for feature_set in sets:
                    record_profile(connection, lease, feature_set, event, least_rows=10)
                prove(connection, files, lease, event)
            expectations = read_expectations(include, files, suite)
            findings = run_suite(expectations, connect)
            assert [f.observed for f in findings if f.outcome == "error"] == []
            record(connection, event, findings)
        for feature_set in sets:
            assert_contract(connection, feature_set)
        rules, exceptions = read_rules(include), read_exceptions(include)
        scene = read_gate_context(connection, files, sets, rules, exceptions)
        assert assert_no_leak(connection, scene) == ()
        record_lineage(connection, lease, trace_features(scene))
        judge_history(connection, read_history(include, files), lease, day, settings)
        with connection.transaction():
            certify(connection, lease, files, logged_sets(include))
        release_lease(connection, holder)


@pytest.fixture(scope="module")
def certified(governed: Governed) -> Governed:
    """Two whole runs as the refresher: one that fills the views, one beside their readers."""
    _nightly_run(governed, "first")
    _nightly_run(governed, "second")
    return governed


class TestWhatTheyMay:
    def test_the_refresher_does_a_whole_night(self, certified: Governed) -> None:
        with certified.session() as connection:
            modes = connection.execute(
                "SELECT relation, mode FROM feature_store_audit.refresh WHERE run_id = 'second'"
            ).fetchall()
        assert dict(modes) == {
            str(r.name): "concurrent" if r.refresh is Refresh.CONCURRENT else "blocking"
            for r in certified.files.refreshed
        }

    def test_the_owner_s_guard_looks_at_rows_after_a_grant_and_a_refresh_by_hand(
        self, certified: Governed
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
        self, certified: Governed
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

    def test_the_page_reads_what_it_shows_and_asks_whether_contracts_hold(
        self, certified: Governed
    ) -> None:
        with certified.session(PAGE) as connection:
            for table in (*PAGE_READS, *CONTRACT):
                connection.execute(f"SELECT * FROM {table} LIMIT 1".encode())
            for feature_set in read_feature_sets(certified.settings.include_dir):
                assert check(connection, feature_set).verdict == "OK"

    def test_nothing_else_is_given_to_the_refresher_the_reader_and_the_page(
        self, governed: Governed
    ) -> None:
        """Word for word, so that this file and what prepare asks for cannot drift apart."""
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
            ("ml.check_feature_contract(text)", "EXECUTE"),
            ("feature_store.check_feature_contract(text)", "EXECUTE"),
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
        "command", ["plan", "status", "history", "check-contract", "check-leaks", "report"]
    )
    def test_the_refresher_may_look_at_everything_from_the_command_line(
        self, certified: Governed, command: str, airflow_conn: Callable[..., None], tmp_path: Path
    ) -> None:
        airflow_conn(as_role(certified.conninfo, REFRESHER))
        to = ["--to", str(tmp_path)] if command == "report" else []
        assert main([command, *to]) == 0

    def test_the_reviewer_accepts_history_and_the_refresher_may_not(
        self, certified: Governed, airflow_conn: Callable[..., None], capsys: Any
    ) -> None:
        """Who says so is kept for ever, and as whom he said it."""
        with certified.session() as connection:
            open_review(connection, "1999-01-01")
        accept = ["accept-history", "--day", "1999-01-01", "--reason", "late", "--by", "ann"]
        airflow_conn(as_role(certified.conninfo, REFRESHER))
        assert main(accept) == 1
        said = capsys.readouterr().err
        assert "Nothing was accepted: permission denied for function accept_history." in said
        assert "Next: Accept as feature_store_reviewer" in said
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


def earlier_version(connection: Connection, files: Store) -> None:
    """Let the refresher own the views, as ``include/roles.sql`` had it on PostgreSQL 15 and 16."""
    connection.execute(f"GRANT {REFRESHER} TO {OWNER}".encode())
    connection.execute(
        f"GRANT TEMPORARY ON DATABASE {connection.info.dbname} TO {REFRESHER}".encode()
    )
    for relation in files.refreshed:
        connection.execute(f"ALTER MATERIALIZED VIEW {relation.name} OWNER TO {REFRESHER}".encode())


def open_review(connection: Connection, day: str, kind: str = "review") -> int:
    """Something that waits for a person, about a day long before the sample. Gives its number."""
    finding = one_value(
        connection,
        "INSERT INTO feature_store_audit.history_finding_log "
        "(kind, layer, relation, day, dag_id, run_id) "
        "VALUES (%s, 'A', %s, %s, 'x', 'x') RETURNING finding_id",
        (kind, A, day),
    )
    connection.execute(
        "INSERT INTO feature_store_audit.history_sighting_log (finding_id, rows_came, rows_went, "
        "rows_changed, changed_columns, examples, reaches, details, row_count, dag_id, run_id) "
        "VALUES (%s, 1, 0, 0, '{}', '[]', '[]', '', 0, 'x', 'x')",
        (finding,),
    )
    return finding


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
    f"analyze_view('{A}')",
    "begin_baseline(1, 'A', 'x', '{}', 'x')",
    "certified_profile('x')",
    f"certify_and_log(1, '{{{A}}}', '{{}}')",
    "confirm_lease('x', 'x')",
    "drop_changes(1, 'A', '{}')",
    "drop_months(1, 'x', 1)",
    "forget(30)",
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
# Whoever owns a view may do these, and whoever may maintain it the last ones.
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


def refusal(store: Governed, role: str, statement: str) -> str:
    """The SQLSTATE with which a statement is refused; empty if it is not."""
    with store.session(role) as connection:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(statement.encode())
        except psycopg.Error as error:
            return error.sqlstate or str(error)
    return ""


def refreshes(store: Governed, view: str) -> bool:
    """Whether the refresher can refresh a view; undone."""
    with store.session(REFRESHER) as connection, connection.transaction(force_rollback=True):
        lease = take_lease(connection, Holder("x", "x"), lambda _: True, timedelta(0))
        connection.execute(
            "SELECT feature_store_audit.refresh_view(%s, %s, false)", (lease.token, view)
        )
        return True


class TestWhatTheyMayNot:
    @pytest.mark.parametrize("role", [REFRESHER, READER, REVIEWER, PAGE])
    def test_none_writes_sources_creates_drops_alters_or_forges(
        self, certified: Governed, role: str
    ) -> None:
        allowed = {s: refusal(certified, role, s) for s in NONE_OF_THEM}
        assert {s: state for s, state in allowed.items() if state != DENIED} == {}

    def test_the_reader_reads_no_base_layer_no_outcome_no_source_and_no_bookkeeping(
        self, certified: Governed
    ) -> None:
        allowed = {s: refusal(certified, READER, s) for s in NOT_THE_READER}
        assert {s: state for s, state in allowed.items() if state != DENIED} == {}

    def test_the_page_reads_no_relation_of_the_store_and_writes_nothing_of_the_record(
        self, certified: Governed
    ) -> None:
        allowed = {s: refusal(certified, PAGE, s) for s in NOT_THE_PAGE}
        assert {s: state for s, state in allowed.items() if state != DENIED} == {}

    def test_the_reviewer_reads_findings_and_nothing_else(self, certified: Governed) -> None:
        others = [s for s in NOT_THE_PAGE if "accept_history" not in s]
        others += [f"SELECT FROM {relation}" for relation in (*PAGE_READS, *CONTRACT)]
        others.remove("SELECT FROM feature_store_audit.history_finding")
        allowed = {s: refusal(certified, REVIEWER, s) for s in others}
        assert {s: state for s, state in allowed.items() if state != DENIED} == {}

    @pytest.mark.parametrize(
        "forged",
        [
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
        ],
    )
    def test_the_refresher_fills_no_number_time_or_name_that_is_the_server_s(
        self, certified: Governed, forged: str
    ) -> None:
        assert refusal(certified, REFRESHER, f"INSERT INTO feature_store_audit.{forged}") == DENIED

    def test_the_refresher_cannot_accept_by_saying_that_something_was_closed(
        self, certified: Governed
    ) -> None:
        with certified.session() as connection, connection.transaction(force_rollback=True):
            found = open_review(connection, "1999-02-02", "leak")
            connection.execute(f"SET LOCAL ROLE {REFRESHER}")
            with pytest.raises(psycopg.errors.CheckViolation):
                connection.execute(
                    "INSERT INTO feature_store_audit.history_closing_log (finding_id, outcome) "
                    "VALUES (%s, 'accepted')",
                    (found,),
                )

    def test_the_refresher_cannot_move_the_baseline_of_a_day_that_is_open(
        self, certified: Governed
    ) -> None:
        with certified.session() as connection, connection.transaction(force_rollback=True):
            open_review(connection, "1999-02-02", "leak")
            connection.execute(f"SET LOCAL ROLE {REFRESHER}")
            lease = take_lease(connection, Holder("x", "x"), lambda _: True, timedelta(0))
            with pytest.raises(psycopg.errors.RaiseException, match="1999-02-02 of A is open"):
                connection.execute(
                    "SELECT feature_store_audit.move_baseline(%s, 'A', '{1999-02-02}', '{1}', "
                    "'{x}')",
                    (lease.token,),
                )

    def test_nobody_certifies_what_the_record_does_not_prove(self, certified: Governed) -> None:
        with certified.session() as connection, connection.transaction(force_rollback=True):
            connection.execute(f"SET LOCAL ROLE {REFRESHER}")
            lease = take_lease(connection, Holder("x", "forger"), lambda _: True, timedelta(0))
            with pytest.raises(NotReady) as caught:
                certify(connection, lease, certified.files, [])
            told = caught.value.problem
            assert "It has no record: prepare has not opened one." in told
            assert f"{E_AI} was last refreshed by run second, not by this run." in told
            assert "The suite uniqueness has not been checked since the last refresh." in told
            written = connection.execute(
                "SELECT count(*) FROM feature_store_audit.certification_log WHERE run_id = 'forger'"
            ).fetchone()
            assert written == (0,)

    def test_a_baseline_is_not_begun_anew_without_a_trace(self, certified: Governed) -> None:
        """It closes what was open about the layer: who looks sees that it was done, and when."""
        with certified.session() as connection, connection.transaction(force_rollback=True):
            leak = open_review(connection, "1999-02-02", "leak")
            connection.execute(f"SET LOCAL ROLE {REFRESHER}")
            lease = take_lease(connection, Holder("x", "quiet"), lambda _: True, timedelta(0))
            connection.execute(
                "SELECT feature_store_audit.begin_baseline(%s, 'A', %s, '{}', '')", (lease.token, A)
            )
            found = connection.execute(
                "SELECT finding_id = %s, kind, outcome FROM feature_store_audit.history_finding "
                "WHERE layer = 'A' AND (finding_id = %s OR run_id = 'quiet') ORDER BY finding_id",
                (leak, leak),
            ).fetchall()
        assert found == [(True, "leak", "redefined"), (False, "definition", "reported")]

    def test_a_day_is_accepted_with_a_name_and_a_reason(self, certified: Governed) -> None:
        accept = "SELECT feature_store_audit.accept_history('1999-01-01', NULL, {}, {})"
        for by, reason in (("'ann'", "E'\t'"), ("E'\n'", "'late'"), ("NULL", "'late'")):
            assert refusal(certified, REVIEWER, accept.format(by, reason)) == "22023"

    def test_what_a_superuser_applies_is_the_owner_s(self, certified: Governed) -> None:
        """Else functions of the record would run with all that a superuser may."""
        certified.run("DROP FUNCTION ml.store_freshness(interval)")
        with certified.session() as connection:
            apply(connection, certified.files, certified.settings)
            owner = connection.execute(
                "SELECT pg_get_userbyid(proowner), current_user FROM pg_proc "
                "WHERE oid = 'ml.store_freshness(interval)'::regprocedure"
            ).fetchone()
        assert owner == (OWNER, "postgres")
        grant_roles(certified.conninfo)

    def test_a_function_of_the_record_that_is_a_superuser_s_is_refused(
        self, certified: Governed
    ) -> None:
        certify_it = "FUNCTION feature_store_audit.certify(bigint,text[])"
        certified.run(f"ALTER {certify_it} OWNER TO postgres")
        try:
            (problem,) = certified.problems(REFRESHER)
            assert f"{certify_it} belongs to postgres" in problem
            certified.run(problem.partition("Next: ")[2])
            assert certified.problems(REFRESHER) == []
        finally:
            certified.run(f"ALTER {certify_it} OWNER TO {OWNER}")
            grant_roles(certified.conninfo)

    def test_the_refresher_refreshes_views_of_the_store_and_nothing_else(
        self, certified: Governed
    ) -> None:
        certified.run("CREATE MATERIALIZED VIEW ml.theirs AS SELECT 1 AS x")
        try:
            with certified.session() as connection, connection.transaction(force_rollback=True):
                connection.execute(f"SET LOCAL ROLE {REFRESHER}")
                lease = take_lease(connection, Holder("x", "x"), lambda _: True, timedelta(0))
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

    def test_a_refresh_runs_no_policy_whatever_the_caller_has_set(
        self, certified: Governed
    ) -> None:
        with certified.session() as connection, connection.transaction(force_rollback=True):
            connection.execute(f"ALTER TABLE {SOURCES[0]} ENABLE ROW LEVEL SECURITY".encode())
            connection.execute(f"SET LOCAL ROLE {REFRESHER}")
            connection.execute("SET LOCAL row_security = on")
            lease = take_lease(connection, Holder("x", "x"), lambda _: True, timedelta(0))
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                connection.execute(
                    "SELECT feature_store_audit.refresh_view(%s, %s, false)", (lease.token, A)
                )

    def test_the_refresher_puts_no_code_of_his_on_what_others_read(
        self, certified: Governed
    ) -> None:
        """To plan a query of a view runs what its statistics are made of, as whoever asks."""
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

    def test_nobody_works_under_a_lease_that_is_not_his(self, certified: Governed) -> None:
        under = [
            "begin_baseline(-1, 'A', 'x', '{}', 'x')",
            f"certify_and_log(-1, '{{{A}}}', '{{}}')",
            f"refresh_view(-1, '{A}', false)",
            "drop_changes(-1, 'A', '{}')",
            "keep_said(-1, 'A', '{}', '{}', '{}', '{}', '{}')",
            "keep_seen(-1, 'A', '{}')",
            "move_baseline(-1, 'A', '{}', '{}', '{}')",
            "accept_backfill_day(-1)",
            "take_lease('x', 'x', -1)",
        ]
        states = {
            s: refusal(certified, REFRESHER, f"SELECT feature_store_audit.{s}") for s in under
        }
        assert set(states.values()) == {"55000"}, states

    def test_a_backfill_accepts_reviews_of_its_own_day_and_nothing_else(
        self, certified: Governed
    ) -> None:
        holder = Holder("x", "backfill")
        with certified.session() as connection, connection.transaction(force_rollback=True):
            mine = open_review(connection, "1999-03-03")
            open_review(connection, "1999-03-04")
            open_review(connection, "1999-03-03", "leak")
            connection.execute(f"SET LOCAL ROLE {REFRESHER}")
            lease = take_lease(connection, holder, lambda _: True, timedelta(0))
            ask = "SELECT * FROM feature_store_audit.accept_backfill_day(%s)"
            open_run(connection, holder, "manual", date(1999, 3, 3), "UTC")
            assert connection.execute(ask, (lease.token,)).fetchall() == []
            open_run(connection, holder, "backfill", date(1999, 3, 3), "UTC")
            assert connection.execute(ask, (lease.token,)).fetchall() == [(mine,)]

    def test_nobody_certifies_a_leak_that_is_open(self, certified: Governed) -> None:
        with certified.session() as connection, connection.transaction(force_rollback=True):
            open_review(connection, "1999-02-02", "leak")
            connection.execute(f"SET LOCAL ROLE {REFRESHER}")
            holder = Holder("tests", "second")
            lease = take_lease(connection, holder, lambda _: True, timedelta(0))
            with pytest.raises(NotReady, match=f"{A} of 1999-02-02 leaks"):
                certify(connection, lease, certified.files, [])

    def test_certify_runs_nothing_of_a_view_outside_the_store(self, certified: Governed) -> None:
        """To plan a query of a table runs what its statistics are made of, as whoever asks."""
        certified.run(
            "CREATE SCHEMA mallory",
            "CREATE TABLE mallory.ran (who text)",
            "CREATE FUNCTION mallory.act(integer) RETURNS boolean LANGUAGE plpgsql AS "
            "'BEGIN INSERT INTO mallory.ran VALUES (current_user); RETURN true; END'",
            "CREATE DOMAIN mallory.trap AS integer CHECK (mallory.act(VALUE))",
            "CREATE FUNCTION mallory.evil() RETURNS mallory.trap IMMUTABLE LANGUAGE plpgsql "
            "AS 'BEGIN RETURN 1; END'",
            "CREATE MATERIALIZED VIEW mallory.view AS SELECT 1 AS x",
            "CREATE STATISTICS mallory.stats ON (mallory.evil() + x), x FROM mallory.view",
            "GRANT USAGE ON SCHEMA mallory TO public",
            "GRANT ALL ON ALL TABLES IN SCHEMA mallory TO public",
        )
        try:
            with certified.session() as connection, connection.transaction(force_rollback=True):
                connection.execute("DELETE FROM mallory.ran")
                connection.execute(f"SET LOCAL ROLE {REFRESHER}")
                lease = take_lease(connection, Holder("x", "x"), lambda _: True, timedelta(0))
                connection.execute(
                    "INSERT INTO feature_store_audit.refresh (relation, dag_id, run_id, token, "
                    "mode, row_count, bytes, seconds, zone, outcome) VALUES ('mallory.view', 'x', "
                    "'x', %s, 'blocking', 1, 1, 1, 'UTC', 'x')",
                    (lease.token,),
                )
                told = connection.execute(
                    "SELECT * FROM feature_store_audit.certify_and_log(%s, '{mallory.view}', '{}')",
                    (lease.token,),
                ).fetchall()
                ran = connection.execute("SELECT who FROM mallory.ran").fetchall()
            assert ran == []
            assert ("mallory.view is no materialized view of the store.",) in told
        finally:
            certified.run("DROP SCHEMA mallory CASCADE")

    def test_the_lease_does_not_change_hands_under_who_works(self, certified: Governed) -> None:
        with certified.session(REFRESHER) as worker, worker.transaction():
            (token,) = worker.execute(
                "SELECT token FROM feature_store_audit.lease FOR KEY SHARE"
            ).fetchone() or (0,)
            with certified.session(REFRESHER) as other:
                other.execute("SET lock_timeout = '100ms'")
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    other.execute("SELECT feature_store_audit.take_lease('x', 'x', %s)", (token,))

    def test_what_was_accepted_stays_what_it_was(self, certified: Governed) -> None:
        seen = (
            "SELECT rows_came, details, outcome FROM feature_store_audit.history_finding "
            "WHERE day = '1999-02-02'"
        )
        with certified.session() as connection, connection.transaction(force_rollback=True):
            found = open_review(connection, "1999-02-02", "leak")
            connection.execute(
                "SELECT feature_store_audit.accept_history('1999-02-02', NULL, 'ann', 'known')"
            )
            connection.execute(f"SET LOCAL ROLE {REFRESHER}")
            connection.execute(
                "INSERT INTO feature_store_audit.history_sighting_log (finding_id, rows_came, "
                "rows_went, rows_changed, changed_columns, examples, reaches, details, row_count, "
                "dag_id, run_id) VALUES (%s, 9, 9, 9, '{}', '[]', '[]', 'forged', 0, 'x', 'x')",
                (found,),
            )
            assert connection.execute(seen).fetchall() == [(1, "", "accepted")]

    def test_nothing_waits_for_a_person_that_no_person_can_accept(
        self, certified: Governed
    ) -> None:
        assert (
            refusal(
                certified,
                REFRESHER,
                "INSERT INTO feature_store_audit.history_finding_log "
                "(kind, layer, relation, day, dag_id, run_id) "
                f"VALUES ('leak', 'A', '{A}', NULL, 'x', 'x')",
            )
            == "23514"
        )

    def test_what_was_done_under_an_old_run_s_name_is_not_old(self, certified: Governed) -> None:
        with certified.session() as connection, connection.transaction(force_rollback=True):
            open_run(connection, Holder("x", "old"), "manual", date(1999, 3, 3), "UTC")
            connection.execute(
                "UPDATE feature_store_audit.run_log SET prepared_at = now() - interval '40 days' "
                "WHERE run_id = 'old'"
            )
            connection.execute(f"SET LOCAL ROLE {REFRESHER}")
            connection.execute(
                "INSERT INTO feature_store_audit.suite_log (dag_id, run_id, suite) "
                "VALUES ('x', 'old', 'uniqueness')"
            )
            connection.execute("SELECT feature_store_audit.forget(30)")
            left = connection.execute(
                "SELECT count(*) FROM feature_store_audit.suite_log WHERE run_id = 'old'"
            ).fetchone()
        assert left == (1,)

    def test_the_last_thirty_days_cannot_be_deleted(self, certified: Governed) -> None:
        forget = "SELECT feature_store_audit.forget({})"
        assert refusal(certified, REFRESHER, forget.format(29)) == "22023"
        assert refusal(certified, REFRESHER, forget.format(-1)) == "22023"
        assert refusal(certified, REFRESHER, forget.format(30)) == ""

    def test_the_refresher_can_neither_drop_nor_alter_nor_empty_what_it_refreshes(
        self, certified: Governed
    ) -> None:
        allowed = {s: refusal(certified, REFRESHER, s) for s in NOT_THE_REFRESHER}
        assert {s: state for s, state in allowed.items() if state != DENIED} == {}
        # PostgreSQL only warns that nothing was granted.
        assert refusal(certified, REFRESHER, f"GRANT SELECT ON {E_AI} TO public") == ""
        assert ("public", E_AI, "SELECT") not in certified.given()

    @pytest.mark.parametrize("role", [REFRESHER, READER, PAGE])
    def test_none_applies_nor_stamps_from_the_command_line(
        self,
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


class TestTheFile:
    def test_readers_and_the_page_do_not_idle_in_a_transaction_for_ever(
        self, governed: Governed
    ) -> None:
        kept = ((READER, "1h"), (REVIEWER, "1min"), (PAGE, "1min"), (REFRESHER, "0"))
        for role, patience in kept:
            with psycopg.connect(as_role(governed.conninfo, role)) as connection:
                shown = connection.execute("SHOW idle_in_transaction_session_timeout").fetchone()
            assert shown == (patience,), role
        governed.run(
            f"ALTER ROLE {READER} IN DATABASE governed "
            "SET idle_in_transaction_session_timeout = '7min'"
        )
        grant_roles(governed.conninfo)  # whoever has set it keeps it
        with psycopg.connect(as_role(governed.conninfo, READER)) as connection:
            shown = connection.execute("SHOW idle_in_transaction_session_timeout").fetchone()
        assert shown == ("7min",)
        governed.run(
            f"ALTER ROLE {READER} IN DATABASE governed RESET idle_in_transaction_session_timeout"
        )
        grant_roles(governed.conninfo)

    def test_run_again_it_takes_back_functions_of_the_record_too(self, governed: Governed) -> None:
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
        self, governed: Governed
    ) -> None:
        with pytest.raises(subprocess.CalledProcessError) as refused:
            grant_roles(governed.conninfo, owner="somebody_else")
        assert f"the store belongs to {OWNER}, not to somebody_else" in refused.value.stderr
        assert f"-v owner={OWNER}" in refused.value.stderr

    def test_run_again_it_changes_nothing(self, governed: Governed) -> None:
        before = governed.given()
        grant_roles(governed.conninfo)
        assert governed.given() == before

    def test_run_again_it_gives_back_what_was_taken_away(self, governed: Governed) -> None:
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

    def test_it_names_every_relation_of_the_store(self, store_files: Store) -> None:
        text = (Settings().include_dir / "roles.sql").read_text()
        missing = [str(r.name) for r in store_files.relations if f"('{r.name}'," not in text]
        assert missing == []

    def test_a_layer_that_is_applied_later_can_be_refreshed_at_once_but_is_not_for_readers(
        self, governed: Governed
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

    def test_the_owner_replaces_a_relation_and_the_refresher_goes_on(
        self, governed: Governed
    ) -> None:
        with governed.session(OWNER) as connection:
            apply(connection, governed.files, governed.settings, [F2])
        grant_roles(governed.conninfo)
        assert governed.problems(REFRESHER) == []
        assert refreshes(governed, F2)
        assert refusal(governed, READER, f"SELECT FROM {F2}") == ""

    def test_it_grants_nothing_on_other_tables_of_yours(self, governed: Governed) -> None:
        governed.run("CREATE TABLE ml.yours (x integer)", 'CREATE TABLE "iPhone".yours (x integer)')
        try:
            grant_roles(governed.conninfo)
            assert [x for x in governed.given() if "yours" in x[1] and x[0] != "owner of"] == []
        finally:
            governed.run("DROP TABLE ml.yours", 'DROP TABLE "iPhone".yours')

    def test_roles_may_have_any_name_and_may_be_there_before(
        self, governed: Governed, servers: Servers
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


class TestWhatPrepareSays:
    """Its next step mends what it found: each is run as it stands."""

    @pytest.mark.parametrize(
        "taken",
        [
            "SELECT ON ml.tom_features_v1_enriched_mv FROM {refresher}",
            "SELECT ON ml.feature_contract FROM {refresher}",
            "SELECT ON feature_store_audit.run FROM {refresher}",
            "INSERT (relation) ON feature_store_audit.refresh FROM {refresher}",
            "UPDATE (only_one) ON feature_store_audit.lease FROM {refresher}",
            "UPDATE ON feature_store_audit.history_lock FROM {refresher}",
            "USAGE ON SEQUENCE feature_store_audit.event FROM {refresher}",
            "EXECUTE ON FUNCTION feature_store_audit.certify_and_log(bigint, text[], text[]) FROM "
            "{refresher}",
            "USAGE ON SCHEMA feature_store_audit FROM {refresher}",
            "USAGE ON SCHEMA feature_log FROM {refresher}",
            "SELECT ON feature_log.tom_features_v1 FROM {refresher}",
            'USAGE ON SCHEMA "iPhone" FROM {refresher}',
            'SELECT ON "iPhone".iphone_listings FROM {refresher}',
            'SELECT ON "iPhone".iphone_listings FROM {owner}',
            "TEMPORARY ON DATABASE governed FROM {owner}",
            "EXECUTE ON FUNCTION ml.check_feature_contract(text) FROM {refresher}, public",
        ],
    )
    def test_its_grants_make_the_refresher_ready(self, governed: Governed, taken: str) -> None:
        assert governed.problems(REFRESHER) == []
        governed.run(f"REVOKE {taken.format(refresher=REFRESHER, owner=OWNER)}")
        try:
            for _ in range(2):  # a schema hides what is wrong with its tables
                problems = governed.problems(REFRESHER)
                governed.run(*(p.partition("Next: ")[2] for p in problems))
            assert governed.problems(REFRESHER) == []
        finally:
            grant_roles(governed.conninfo)

    def test_views_that_an_earlier_version_gave_to_the_refresher_are_taken_back(
        self, governed: Governed
    ) -> None:
        """As it was on PostgreSQL 15 and 16, and after a move from there to a later one."""
        before = governed.given()
        with governed.session() as connection:
            earlier_version(connection, governed.files)
        (problem,) = governed.problems(REFRESHER)
        assert problem.startswith(f"{REFRESHER} owns feature_store.device_count_day_v1_mv, ")
        assert f"Next: psql -v owner={OWNER} -v refresher={REFRESHER} -f include/roles" in problem
        assert grant_roles(governed.conninfo).strip() == "The roles have what they need."
        assert governed.given() == before
        assert governed.problems(REFRESHER) == []
        assert refusal(governed, REFRESHER, "CREATE TEMPORARY TABLE x (y integer)") == DENIED
        governed.run(f"REVOKE {REFRESHER} FROM {OWNER}")

    def test_maintain_that_an_earlier_version_gave_is_taken_back(self, governed: Governed) -> None:
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
        self, governed: Governed
    ) -> None:
        governed.run(f"ALTER MATERIALIZED VIEW {A} OWNER TO postgres")
        try:
            grant_roles(governed.conninfo)  # hands over what was the refresher's, nothing of others
            assert governed.problems(REFRESHER)[0] == (
                f"{OWNER}, who owns the store and refreshes it, may not refresh {A}, which "
                f"postgres owns.\n    Next: ALTER MATERIALIZED VIEW {A} OWNER TO {OWNER}"
            )
        finally:
            governed.run(f"ALTER MATERIALIZED VIEW {A} OWNER TO {OWNER}")
        assert governed.problems(REFRESHER) == []

    def test_who_is_a_member_of_the_owner_is_told_of(self, governed: Governed) -> None:
        governed.run(f"GRANT {OWNER} TO {REFRESHER}")
        try:
            said = grant_roles(governed.conninfo).splitlines()
        finally:
            governed.run(f"REVOKE {OWNER} FROM {REFRESHER}")
        assert said == [
            f"As good as {OWNER}, being superusers or members of it: {REFRESHER}",
            "The roles have what they need.",
        ]


class TestReadersCannotBeFooled:
    """The functions run as the owner and look where they say, whatever the session looks at."""

    @pytest.fixture
    def drifted(self, certified: Governed) -> Iterator[Governed]:
        change = "UPDATE ml.feature_contract SET dtype = '{}' WHERE feature_name = 'price'"
        certified.run(change.format("int8"), "GRANT TEMPORARY ON DATABASE governed TO public")
        yield certified
        certified.run(change.format("int"), "REVOKE TEMPORARY ON DATABASE governed FROM public")

    def test_by_tables_and_functions_of_their_own_session(self, drifted: Governed) -> None:
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

    def test_by_operators_and_functions_in_the_schemas_of_the_store(
        self, certified: Governed
    ) -> None:
        """Of the exact types, they would win over PostgreSQL's own wherever they are looked for."""
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
            # The traps are real: this is how the functions looked for names before.
            look = "ALTER FUNCTION {} SET search_path = pg_catalog, {}, pg_temp"
            certified.run(look.format("ml.check_feature_contract(text)", "ml"))
            assert ran() == {OWNER}
        finally:
            certified.run(
                "ALTER FUNCTION ml.check_feature_contract(text) SET search_path = pg_catalog, "
                "pg_temp",
                "DROP OWNED BY mallory CASCADE",
                "DROP ROLE mallory",
                "DROP TABLE public.ran",
            )

    @pytest.mark.parametrize(
        "schema", ["ml", "feature_store", "feature_store_audit", "feature_log"]
    )
    @pytest.mark.parametrize(
        ("let_in", "shut"),
        [
            ("GRANT CREATE ON SCHEMA {} TO mallory", "mallory may create in the"),
            ("GRANT CREATE ON SCHEMA {} TO PUBLIC", "PUBLIC may create in the"),
            ("ALTER SCHEMA {} OWNER TO mallory", "belongs to mallory"),
        ],
        ids=["a role may create", "everybody may create", "somebody owns it"],
    )
    def test_a_schema_that_is_open_to_others_is_refused_by_name_and_mended_as_told(
        self, certified: Governed, schema: str, let_in: str, shut: str
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

    def test_a_function_or_contract_of_somebody_else_is_refused(self, certified: Governed) -> None:
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

    def test_every_function_is_the_owner_s_closed_to_all_and_looks_in_pg_catalog_alone(
        self, governed: Governed
    ) -> None:
        with governed.session() as connection:
            found = connection.execute(
                "SELECT p.oid::regprocedure::text, pg_get_userbyid(p.proowner), p.prosecdef, "
                "p.proconfig, p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) AS x "
                "WHERE x.grantee = 0) FROM pg_proc AS p WHERE p.pronamespace::regnamespace::text "
                "IN ('ml', 'feature_store', 'feature_store_audit', 'feature_log')"
            ).fetchall()
        assert len(found) == 8 + len(AUDIT_FUNCTIONS) + 14
        for name, owner, is_definer, config, is_open in found:
            assert owner == OWNER
            assert is_definer == (name != "feature_store_audit.latest_refreshes()")
            assert config[0] == "search_path=pg_catalog, pg_temp"
            assert not is_open


# Each would run as the owner if a function of the store looked for names where it stands.
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


def test_a_login_that_is_a_member_of_a_role_may_what_the_role_may(certified: Governed) -> None:
    certified.run("DROP ROLE IF EXISTS ann", f"CREATE ROLE ann LOGIN IN ROLE {READER}")
    try:
        conninfo = make_conninfo(certified.conninfo, user="ann")
        with psycopg.connect(conninfo) as connection:
            assert connection.execute(f"SELECT count(*) > 0 FROM {E_AI}").fetchone() == (True,)
    finally:
        certified.run("DROP ROLE ann")
