"""A night over a small sample: its refreshes, suites and proofs, and ways to break them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg

from feature_store.audit.lease import RunKey, take_lease
from feature_store.connection import Connection
from feature_store.database.session import pin
from feature_store.database.side_by_side import Job, side_by_side
from feature_store.declarations.expectations import Expectation, read_expectations
from feature_store.declarations.store_definition import Store
from feature_store.proof.proving import compared_rows, proofs
from feature_store.refresh.refresh import refresh
from feature_store.settings import Settings
from feature_store.validation.suite_record import begin_suite, record
from feature_store.validation.suite_result import tell_empty
from feature_store.validation.suites import SuiteFinding, run_suite

RUN = RunKey("feature_store_refresh", "tonight")


class Night:
    """A store over a small sample, refreshed by one run, and what that run's suites find."""

    def __init__(self, conninfo: str, files: Store, settings: Settings) -> None:
        self._conninfo = conninfo
        self._files = files
        self._settings = settings
        self.session = self.open()
        self.lease = take_lease(self.session, RUN, lambda _: True, timedelta(0))

    def open(self) -> Connection:
        connection = psycopg.connect(self._conninfo, autocommit=True)
        pin(connection, self._settings, "tests")
        return connection

    def use(self, files: Store) -> None:
        """Work with these files from now on."""
        self._files = files

    def refresh(self, *names: str) -> None:
        for relation in self._files.refreshed:
            if not names or str(relation.name) in names:
                refresh(self.session, relation, self.lease, "UTC")

    def run(self, suite: str) -> list[SuiteFinding]:
        """Run a suite, and its proofs."""
        event = begin_suite(self.session, self.lease, suite)
        compared = {}
        if suite == "as_of_counts":
            side_by_side(self._proofs(event), [self.session])
            compared = compared_rows(self.session, event)
        expectations = read_expectations(self._settings.include_dir, self._files, suite)
        findings = tell_empty(self.check(*expectations), compared)
        record(self.session, event, findings)
        return findings

    def proof_of(self, relation: str) -> tuple[int, Job]:
        """The number of a suite's try, and the one proof of it that is about a relation."""
        event = begin_suite(self.session, self.lease, "as_of_counts")
        (job,) = [j for j in self._proofs(event) if _about(j) == relation]
        return event, job

    def order_of_proofs(self) -> list[str]:
        """What a suite's proofs are about, in the order in which they begin."""
        event = begin_suite(self.session, self.lease, "as_of_counts")
        return [_about(job) for job in self._proofs(event)]

    def _proofs(self, event: int) -> list[Job]:
        return proofs(self.session, self._files, self.lease, event)

    def check(self, *expectations: Expectation) -> list[SuiteFinding]:
        def connect() -> Connection:
            connection = self.open()
            connection.autocommit = False
            return connection

        return run_suite(expectations, connect)

    def broken(self, suite: str) -> dict[str, SuiteFinding]:
        findings = self.run(suite)
        assert {f.outcome for f in findings} <= {"met", "broken"}, findings
        return {
            f.expectation.name: f
            for f in findings
            if f.outcome == "broken" and f.expectation.severity == "critical"
        }

    @contextmanager
    def broken_by(self, relation: str, change: str) -> Iterator[dict[str, list[Any]]]:
        """What breaks in `uniqueness` if a row of a relation is changed, or is there twice."""
        expectations = read_expectations(self._settings.include_dir, self._files, "uniqueness")
        with self.session.transaction(force_rollback=True):
            self.replace_by_table(str(relation))
            row = f"WHERE ctid = (SELECT max(ctid) FROM {relation})"
            if change:
                self.session.execute(f"UPDATE {relation} {change} {row}")
            if "-7" not in change:
                self.session.execute(f"INSERT INTO {relation} SELECT * FROM {relation} {row}")
            found = {e.name: self.session.execute(e.query).fetchall() for e in expectations}
            yield {name: rows for name, rows in found.items() if rows}

    def replace_by_table(self, relation: str) -> None:
        """Put a table with the same rows in the place of a view, so that a test can break rows."""
        schema, name = relation.split(".")
        self.session.execute(f"ALTER MATERIALIZED VIEW {relation} RENAME TO {name}_kept")
        self.session.execute(f"CREATE TABLE {relation} AS TABLE {schema}.{name}_kept")

    def answer_otherwise(self, relation: str, change: str) -> None:
        """Let a relation's query give other rows the second time that it is run."""
        name = relation.partition(".")[2]
        rows, query, owner = self.session.execute(
            f"SELECT (SELECT count(*) FROM {relation}), pg_get_viewdef(oid), relowner::regrole "
            f"FROM pg_class WHERE oid = '{relation}'::regclass"
        ).fetchone()
        self.session.execute("CREATE SEQUENCE public.rows_given")
        self.session.execute("GRANT USAGE ON SEQUENCE public.rows_given TO PUBLIC")
        columns = ", ".join(
            f"{change} AS {column}" if f"q.{column}" in change else f"q.{column}"
            for (column,) in self.session.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
                "ORDER BY attnum",
                (relation,),
            )
        )
        self.session.execute(f"ALTER MATERIALIZED VIEW {relation} RENAME TO {name}_before")
        self.session.execute(
            f"CREATE MATERIALIZED VIEW {relation} AS SELECT {columns} "
            f"FROM ({query.rstrip(';')}) AS q "
            # It names q, so that it is asked once for each row.
            "CROSS JOIN LATERAL (SELECT nextval('public.rows_given') > "
            f"CASE WHEN q IS NULL THEN 0 ELSE {rows} END AS is_second) AS answer WITH NO DATA"
        )
        self.session.execute(f"ALTER MATERIALIZED VIEW {relation} OWNER TO {owner}")


def _about(job: Job) -> str:
    return str(job.keywords["relation"].name)  # type: ignore[attr-defined]
