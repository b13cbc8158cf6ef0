"""A store with its roles, for the tests of what each role may do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import psycopg

from feature_store.audit.lease import RunKey, release_lease, take_lease
from feature_store.audit.runs import open_run
from feature_store.connection import Connection, one_value
from feature_store.database.session import pin
from feature_store.database.side_by_side import side_by_side
from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.expectations import read_expectations
from feature_store.declarations.feature_sets import logged_sets, read_feature_sets
from feature_store.declarations.history_series import read_history
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.store_definition import Store
from feature_store.declarations.suites import Check, read_suites, suite_of
from feature_store.errors import NotReady
from feature_store.proof.proving import proofs
from feature_store.refresh.refresh import refresh
from feature_store.schema.privileges.audit_privileges import AUDIT_LOGS
from feature_store.schema.readiness import check_ready
from feature_store.schema.stamps.contract_stamp import assert_contract
from feature_store.settings import Settings
from feature_store.validation.certification import certify
from feature_store.validation.history.judgement import judge_history
from feature_store.validation.leaks.feature_lineage import record_lineage, trace_features
from feature_store.validation.leaks.gates import assert_no_leak, read_gate_context
from feature_store.validation.profile import record_profile
from feature_store.validation.suite_record import begin_suite, record
from feature_store.validation.suites import run_suite
from sandbox.roles import OWNER, PAGE, READER, REFRESHER, REVIEWER, as_role

A = "ml.tom_features_v1_mv"
B = "ml.tom_labels_v1_mv"
C = "ml.tom_train_base_v1_mv"
E_AI = "ml.tom_features_v1_enriched_ai_clean_mv"
F2 = "feature_store.device_meta_gmc_stats_t0_v1_mv"
F3 = "feature_store.device_meta_encoded_t0_v1"
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
        "last_certified",
        "latest_refresh",
        "layer_now",
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

# What each role was given on relations and functions: role, object, privilege.
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
        """The columns that the refresher must fill: those without a default."""
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
        """What prepare finds missing for this role; empty if the role is ready."""
        with self.session(role) as connection:
            try:
                check_ready(connection, self.files, self.settings)
            except NotReady as error:
                return error.problem.split("\n  - ")[1:]
        return []


def nightly_run(store: Governed, run_id: str, refresher: str = REFRESHER) -> None:
    """All that the DAG does in the database, as the refresher."""
    files, settings, day = store.files, store.settings, date(2026, 6, 30)
    include, holder = settings.include_dir, RunKey("tests", run_id)
    sets = read_feature_sets(include)
    with store.session(refresher) as connection:
        lease = take_lease(connection, holder, lambda _: True, timedelta(0))
        check_ready(connection, files, settings)
        open_run(connection, holder, "manual", day, settings.zone)
        for relation in files.refreshed:
            refresh(connection, relation, lease, settings.zone)

        def connect() -> Connection:
            another = psycopg.connect(as_role(store.conninfo, refresher))
            pin(another, settings, "tests")
            another.commit()
            return another

        for suite in read_suites(include):
            event = begin_suite(connection, lease, suite)
            if suite == suite_of(include, Check.SPECIFICATIONS):
                for feature_set in sets:
                    record_profile(connection, lease, feature_set, event, least_rows=10)
                side_by_side(proofs(connection, files, lease, event), [connection])
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


def earlier_version(connection: Connection, files: Store) -> None:
    """Let the refresher own the views, as ``include/roles.sql`` did before PostgreSQL 17."""
    connection.execute(f"GRANT {REFRESHER} TO {OWNER}".encode())
    connection.execute(
        f"GRANT TEMPORARY ON DATABASE {connection.info.dbname} TO {REFRESHER}".encode()
    )
    for relation in files.refreshed:
        connection.execute(f"ALTER MATERIALIZED VIEW {relation.name} OWNER TO {REFRESHER}".encode())


def open_review(connection: Connection, day: str, kind: str = "review") -> int:
    """Open a review of a day long before the sample; returns its number."""
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
    return int(finding)


def refusal(store: Governed, role: str, statement: str) -> str:
    """The SQLSTATE with which a statement is refused; empty if it is accepted."""
    with store.session(role) as connection:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(statement.encode())
        except psycopg.Error as error:
            return error.sqlstate or str(error)
    return ""


def refreshes(store: Governed, view: str) -> bool:
    """Whether the refresher can refresh a view; the refresh is rolled back."""
    with store.session(REFRESHER) as connection, connection.transaction(force_rollback=True):
        lease = take_lease(connection, RunKey("x", "x"), lambda _: True, timedelta(0))
        connection.execute(
            "SELECT feature_store_audit.refresh_view(%s, %s, false)", (lease.token, view)
        )
        return True
