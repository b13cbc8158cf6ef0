"""Refreshing one relation, and recording what the refresh did and saw."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from feature_store.audit.last_refresh_state import read_last_states
from feature_store.audit.lease import Lease, under_lease
from feature_store.audit.row_versions import rows_of
from feature_store.connection import Connection, one_row, one_value
from feature_store.database.guard_problems import guard_problems
from feature_store.database.planner_statistics import gather_statistics
from feature_store.database.read_locks import Reads, lock_reads, reads_of
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.store_definition import Relation
from feature_store.errors import (
    REMEDIES,
    DuplicateKey,
    ExpectationsBroken,
    NotReady,
    RowsLost,
    StoreError,
    passes_on_its_own,
)
from feature_store.proof.proving import (
    compare_after_refresh,
    compare_before_refresh,
    record_with_refresh,
)
from feature_store.refresh.inputs import Inputs, read_inputs, read_outcome, read_version
from feature_store.refresh.lost_rows import ShrinkGuard
from feature_store.refresh.observations import record_observations

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did.

    Attributes:
        mode: ``blocking`` or ``concurrent``.
        rows: rows that it holds now.
        bytes: its size with indexes.
        seconds: from having its locks to the end of the refresh, without the comparison; a blocking
            refresh keeps readers out for at most this long.
        proof_seconds: for comparing its rows with their specification; 0 if the suite does it.
    """

    mode: str
    rows: int
    bytes: int
    seconds: float
    proof_seconds: float


@dataclass(frozen=True)
class _Asked:
    """What is asked for: a relation, how it is refreshed, for which run, in which time zone."""

    relation: Relation
    mode: str
    lease: Lease
    zone: str


def refresh(
    connection: Connection,
    relation: Relation,
    lease: Lease,
    zone: str,
    guard: ShrinkGuard | None = None,
) -> Refreshed:
    """Refresh a relation in one transaction with its audit row, then update its statistics.

    The transaction is REPEATABLE READ: the refresh and everything recorded about it see the sources
    at one moment, after they were locked (see `read_locks`). The states of its inputs are read
    first, while readers do not have to wait yet. The refresh takes full effect or leaves the
    relation as it was.

    Args:
        connection: a pinned session in autocommit mode.
        relation: what to refresh.
        lease: held until the transaction ends.
        zone: the session's time zone, for the record.
        guard: the limits for lost rows, see `lost_rows`; None: no limits.

    Raises:
        LeaseTaken: the lease has changed hands.
        RowsLost: it would lose too many rows; it takes no effect.
        StoreError: the relation cannot be refreshed until somebody fixes something.
        psycopg.Error: an error that may pass by itself (see `errors.passes_on_its_own`).
    """
    mode = _mode(connection, relation)
    asked = _Asked(relation, mode, lease, zone)
    log.info("Refreshing %s, %s.", relation.name, _explained(mode))
    version, reads = read_version(connection, relation), reads_of(connection, relation)
    try:
        done = under_lease(
            connection,
            lease,
            lambda: _refresh_and_record(connection, asked, reads, guard),
            first=lambda: lock_reads(connection, reads),
        )
    except RowsLost as lost:
        readers = _what_readers_get(connection, relation)
        raise RowsLost(
            lost.head, items=lost.items, readers=readers, next_step=lost.next_step
        ) from None
    except psycopg.Error as error:
        if passes_on_its_own(error):
            log.warning(
                "%s was not refreshed: %s", relation.name, error.diag.message_primary or error
            )
            raise
        if error.sqlstate in _KEY_BROKEN and read_version(connection, relation) != version:
            raise _somebody_else(relation) from error
        raise _explain(connection, relation, error) from error
    gather_statistics(connection, relation.name, written_anew=mode == "blocking")
    log.info(
        "%s: %s rows, %.1f MB, %.2f s.",
        relation.name,
        f"{done.rows:,}",
        done.bytes / 1e6,
        done.seconds,
    )
    return done


def _mode(connection: Connection, relation: Relation) -> str:
    row = connection.execute(
        "SELECT c.relispopulated FROM pg_catalog.pg_class AS c "
        "INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid "
        "WHERE n.nspname = %s AND c.relname = %s AND c.relkind = 'm'",
        (relation.name.schema, relation.name.relation),
    ).fetchone()
    if row is None:
        raise NotReady(
            f"{relation.name} is not a materialized view of this database.",
            next_step="Run `bin/feature-store plan` to see what is missing.",
        )
    # A view that was never filled cannot be refreshed concurrently, and has no readers yet.
    return "concurrent" if relation.refresh is Refresh.CONCURRENT and row[0] else "blocking"


def _explained(mode: str) -> str:
    if mode == "concurrent":
        return "concurrently: readers keep the old rows until it is done"
    return "blocking: readers wait while it runs"


def _refresh_and_record(
    connection: Connection, asked: _Asked, reads: Reads, guard: ShrinkGuard | None
) -> Refreshed:
    relation, mode = asked.relation, asked.mode
    started: datetime = one_value(connection, "SELECT clock_timestamp()")
    if reads_of(connection, relation) != reads:
        raise psycopg.errors.SerializationFailure(
            f"what {relation.name} reads was replaced or renamed while this task waited for it"
        )
    _check_guards(connection, relation)
    counts = guard.count_sources(connection, relation) if guard else {}
    inputs = read_inputs(connection, relation, asked.zone, read_last_states(connection))
    # Before the lock, so that readers do not wait for it. A difference breaks the suite later.
    compared = compare_before_refresh(connection, relation) if mode == "blocking" else None
    before = read_version(connection, relation)
    # A concurrent refresh gathers statistics of its new rows, all columns of them, for two joins
    # that need next to none. What planners use afterwards is gathered below, in full.
    connection.execute("SET LOCAL default_statistics_target = 10")
    # Only a view's owner may refresh it, so the owner's function does it.
    connection.execute(
        "SELECT feature_store_audit.refresh_view(%s, %s, %s)",
        (asked.lease.token, str(relation.name), mode == "concurrent"),
    )
    finished: datetime = one_value(connection, "SELECT clock_timestamp()")
    version = read_version(connection, relation)
    if version in (None, before):
        # Somebody wrote after our snapshot and before our lock, so new rows would be compared with
        # rows that the snapshot does not see. This refresh is rolled back; the next try sees all.
        raise _somebody_else(relation)
    seconds = (finished - started).total_seconds() - (compared.seconds if compared else 0)
    refresh_id, rows, size = _record(connection, asked, seconds, inputs, version)
    if guard:
        guard.record(connection, relation, refresh_id, rows, counts)
    if compared := compared or compare_after_refresh(connection, relation):
        record_with_refresh(connection, relation, compared, refresh_id, rows)
    record_observations(connection, relation, refresh_id)
    return Refreshed(mode, rows, size, seconds, compared.seconds if compared else 0.0)


def _check_guards(connection: Connection, relation: Relation) -> None:
    """Check what this transaction is going to read, before it takes the relation's lock."""
    problems = guard_problems(connection, relation.guards)
    if problems:
        raise ExpectationsBroken(
            f"{relation.name} was not refreshed, because its sources are not as they must be:",
            items=problems,
            readers=_what_readers_get(connection, relation),
            next_step="Fix the above in the sources; a number that you raise must be stamped "
            "(`bin/feature-store stamp-proofs`). Then run all again: what this relation reads must "
            "be refreshed, too.",
        )


def _record(
    connection: Connection,
    asked: _Asked,
    seconds: float,
    inputs: Inputs | None,
    version: str | None,
) -> tuple[int, int, int]:
    relation, holder = asked.relation, asked.lease.holder
    outcome = read_outcome(connection, relation, {})
    row = one_row(
        connection,
        sql.SQL(
            """
            INSERT INTO feature_store_audit.refresh (
                relation, dag_id, run_id, token, mode, row_count, bytes, seconds, zone, inputs,
                outcome, version
            )
            VALUES (
                %s, %s, %s, %s, %s, coalesce(%s, (SELECT count(*) FROM {})),
                pg_total_relation_size(%s::regclass), %s, %s, %s, %s, %s
            )
            RETURNING refresh_id, row_count, bytes
            """
        ).format(relation.name.identifier),
        (
            str(relation.name),
            holder.dag_id,
            holder.run_id,
            asked.lease.token,
            asked.mode,
            rows_of(outcome) if outcome else None,
            relation.name.quoted,
            seconds,
            asked.zone,
            Jsonb(inputs.states) if inputs else None,
            outcome,
            version,
        ),
    )
    return row[0], row[1], row[2]


def _somebody_else(relation: Relation) -> psycopg.Error:
    """Our snapshot does not see the rows of a refresh by hand, but the unique index does."""
    return psycopg.errors.SerializationFailure(
        f"somebody else refreshed or altered {relation.name} at the same moment"
    )


def _explain(connection: Connection, relation: Relation, error: psycopg.Error) -> StoreError:
    details = [error.diag.message_primary or str(error), error.diag.message_detail]
    kind = DuplicateKey if error.sqlstate in _KEY_BROKEN else StoreError
    return kind(
        f"{relation.name} was not refreshed: {' '.join(d for d in details if d)}",
        readers=_what_readers_get(connection, relation),
        next_step=_remedy(relation, error),
    )


def _remedy(relation: Relation, error: psycopg.Error) -> str:
    if error.diag.source_function == _NEVER_FILLED:
        return f"Refresh what {relation.name} reads first: clear its task, then this one."
    default = f"Fix the cause, then clear this task. Its SQL: {relation.file.path}"
    return _REMEDIES.get(error.sqlstate or "", default)


def _what_readers_get(connection: Connection, relation: Relation) -> str:
    try:
        row = connection.execute(
            "SELECT finished_at FROM feature_store_audit.latest_refresh WHERE relation = %s",
            (str(relation.name),),
        ).fetchone()
    except psycopg.Error:
        return f"the last rows that {relation.name} had."
    if row is None:
        return f"nothing yet: {relation.name} has never been filled."
    return f"the rows of the refresh of {row[0]:%Y-%m-%d %H:%M:%S %Z}."


# PostgreSQL's function that refuses to read a view which was never filled. Its words are in the
# server's language, and its code is that of a missing index, too.
_NEVER_FILLED = "ExecOpenScanRelation"
_KEY_BROKEN = ("23505", "21000")
_REMEDIES = {
    **REMEDIES,
    "23505": "Find the rows with that key in the sources, fix them, then clear this task.",
    "21000": "Find the identical rows in the sources, fix them, then clear this task.",
    "55000": "Run `bin/feature-store plan`: the unique index that the refresh needs is not usable.",
}
