"""One moment for all that a run certifies: what is read live is proven, certified and logged in it.

People write to the user's tables while the run works. A plain view that reads them gives other rows
a moment later, and these would be certified and logged although nobody has compared them.
"""

from __future__ import annotations

import logging

from psycopg.rows import dict_row

from feature_store.audit.adopted import adopted_relations
from feature_store.audit.lease import Lease, RunKey, under_lease
from feature_store.connection import Connection
from feature_store.database.read_locks import lock_reads
from feature_store.declarations.expectations import Expectation, read_expectations
from feature_store.declarations.feature_sets import logged_sets, read_feature_sets
from feature_store.declarations.store_definition import Relation, Store
from feature_store.declarations.suites import Check, suite_of
from feature_store.errors import ExpectationsBroken
from feature_store.proof.live_views import has_changed, live_below, reads_of_live
from feature_store.proof.proving import prove_stored
from feature_store.settings import Settings
from feature_store.text_format import json_rows
from feature_store.validation.certification import certify
from feature_store.validation.history.findings import lock_history
from feature_store.validation.suite_record import record
from feature_store.validation.suite_result import told
from feature_store.validation.suites import SuiteFinding

log = logging.getLogger(__name__)


def certify_at_once(connection: Connection, lease: Lease, store: Store, settings: Settings) -> None:
    """Certify the store, and log what it serves, as `certification.certify` does, in one snapshot.

    A live view below a feature set is compared with its specification once more if the tables that
    it reads have changed since the suite compared it.

    Args:
        connection: a pinned session in autocommit mode.
        lease: held until the transaction ends.
        store: its materialized views are certified, all or nothing.
        settings: the store's.

    Raises:
        ExpectationsBroken: a live view gives other rows than its specification. That is recorded;
            nothing is certified or logged.
        StoreError: see `certification.certify`; or a view could not be compared.
        psycopg.Error: an error that may pass by itself.
    """
    suite = suite_of(settings.include_dir, Check.SPECIFICATIONS)
    logged = list(logged_sets(settings.include_dir))
    wanted = _live_views(connection, store, settings, suite)
    reads = reads_of_live(connection, [relation for relation, _ in wanted])

    def first() -> None:
        # Two tries at once: the later one sees what the other has logged.
        lock_history(connection)
        if reads:
            lock_reads(connection, reads)

    def work() -> list[SuiteFinding]:
        event = _latest_try(connection, lease.holder, suite)
        # Without a try `certify` says that nothing was checked.
        broken = _prove_changed(connection, wanted, event) if event is not None else []
        if event is not None and broken:
            record(connection, event, broken)
        else:
            certify(connection, lease, store, logged)
        return broken

    broken = under_lease(connection, lease, work, first)
    if broken:
        raise ExpectationsBroken(
            f"{suite}: {len(broken)} of {len(wanted)} expectations of live views are broken, by "
            "rows that came after it was checked.",
            items=[told(finding) for finding in broken],
            readers="the rows that break them: plain views show them at once.",
            next_step="Fix the source or the SQL, then trigger a new run of the DAG.",
        )


def _live_views(
    connection: Connection, store: Store, settings: Settings, suite: str
) -> list[tuple[Relation, Expectation]]:
    """The live views below feature sets, each with the expectation that it is as specified."""
    served = [one.relation for one in read_feature_sets(settings.include_dir)]
    adopted = adopted_relations(connection)
    found = read_expectations(settings.include_dir, store, suite, adopted=adopted)
    by_name = {expectation.name: expectation for expectation in found}
    live = live_below(connection, store, served)
    return [(relation, by_name[str(relation.name)]) for relation in live]


def _latest_try(connection: Connection, run: RunKey, suite: str) -> int | None:
    row = connection.execute(
        "SELECT event_id FROM feature_store_audit.latest_suite "
        "WHERE dag_id = %s AND run_id = %s AND suite = %s",
        (run.dag_id, run.run_id, suite),
    ).fetchone()
    return row[0] if row else None


def _prove_changed(
    connection: Connection, wanted: list[tuple[Relation, Expectation]], event: int
) -> list[SuiteFinding]:
    """Compare the live views whose tables have changed; what is broken now."""
    broken = []
    for relation, expectation in wanted:
        if not has_changed(connection, relation, event):
            continue
        log.info("%s is compared again: what it reads may have changed since.", relation.name)
        prove_stored(connection, relation, event)
        if finding := _check(connection, expectation):
            broken.append(finding)
    return broken


def _check(connection: Connection, expectation: Expectation) -> SuiteFinding | None:
    """What the suite would find by the same query; None if it is met."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(expectation.query.encode()).fetchall()
    if not rows:
        return None
    breach = "1 row that breaches it"  # the proof, which has them all
    return SuiteFinding(expectation, "broken", breach, json_rows(rows), 0.0, breaching=len(rows))
