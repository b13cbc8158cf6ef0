"""Proofs: each relation's rows compared with its specification, once for each run's rows.

A relation that reads the user's tables is compared by its refresh, because only its snapshot shows
those tables as they were. A blocking refresh compares before it takes its lock, using the result of
the relation's definition in that snapshot; the suite then holds the stored rows to those compared,
by their digest. A concurrent refresh, for which no reader waits, compares what it has stored. The
suite compares everything else; plain views that read the user's tables are compared once more by
the verdict if those have changed since (`live_views`). A difference does not stop the refresh: it
is recorded with it, and breaks the suite of every run that uses these rows.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from feature_store.audit.adopted import adopted_relations
from feature_store.audit.lease import Lease, under_lease
from feature_store.connection import Connection, one_value
from feature_store.database.read_locks import find_reads, lock_reads
from feature_store.database.side_by_side import Job
from feature_store.declarations.specifications import Specification
from feature_store.declarations.store_definition import Relation, Store
from feature_store.errors import REMEDIES, NotReady, StoreError, passes_on_its_own
from feature_store.proof.comparison import compare
from feature_store.proof.digest import other_than_compared
from feature_store.proof.fit import collation_misfits, described, misfits
from feature_store.proof.live_views import States, read_states
from feature_store.proof.result import Comparison
from feature_store.proof.terms import Terms
from feature_store.proof.what_is_proven import changed_since_refreshed
from feature_store.text_format import in_words

log = logging.getLogger(__name__)

_LAST_SECONDS = """
SELECT l.proof, max(l.seconds)
FROM feature_store_audit.proof_log AS l
WHERE l.suite_event = (SELECT max(e.suite_event) FROM feature_store_audit.proof_log AS e)
GROUP BY l.proof
"""

NOTHING_TO_COMPARE = "nothing to compare: relation and specification both give no rows"
"""The words for such a proof, which is met: two routes that agree on no rows prove it, too."""


def compare_before_refresh(connection: Connection, relation: Relation) -> Comparison | None:
    """Compare what a relation's definition gives with its specification, in the open snapshot.

    Args:
        connection: a pinned session, in the refresh's own REPEATABLE READ transaction.
        relation: about to be refreshed.

    Returns:
        None if the suite compares it, or the refresh itself afterwards.

    Raises:
        StoreError: the specification does not fit the relation or could not be run.
        psycopg.Error: an error that may pass by itself.
    """
    specification = relation.specified_by_refresh
    if specification is None or follows_its_owner(connection, relation):
        return None
    query = _definition(connection, relation)
    return _compare(connection, relation, specification, query, digested=True)


def compare_after_refresh(connection: Connection, relation: Relation) -> Comparison | None:
    """Compare the rows that the refresh has just stored; see `compare_before_refresh`."""
    by_owner = follows_its_owner(connection, relation)
    specification = relation.specification if by_owner else relation.specified_by_refresh
    if specification is None:
        return None
    expected = _definition(connection, relation) if by_owner else None
    return _compare(connection, relation, specification, relation.name.identifier, expected)


def follows_its_owner(connection: Connection, relation: Relation) -> bool:
    """Whether a relation was adopted whose specification leaves its rows to whoever defined it."""
    specification = relation.specification
    if specification is None or not specification.by_owner:
        return False
    return str(relation.name) in adopted_relations(connection)


def record_with_refresh(
    connection: Connection, relation: Relation, done: Comparison, refresh_id: int, rows: int
) -> None:
    """Keep a comparison with the refresh that made it, held to the rows that this stored."""
    _record(connection, relation, done.counting_missed(rows), refresh_id=refresh_id)


def proofs(connection: Connection, store: Store, lease: Lease, event: int) -> list[Job]:
    """What is left to prove after the refreshes, each as work for one session, longest first.

    A relation that its refresh has not compared is compared. If the refresh compared its rows
    before they were stored, the stored ones are held to them by their digest.

    They are ordered by how long each took last time, so that sessions that share them end at about
    the same time. Each job keeps what it finds. It takes a session in autocommit mode, and raises:

    - LeaseTaken: the lease has changed hands.
    - StoreError: a specification does not fit its relation or could not be run.
    - psycopg.Error: an error that may pass by itself.

    Args:
        connection: any session.
        store: what the files say.
        lease: held until each result is recorded.
        event: the number of the try of the suite that they belong to.
    """
    took: dict[str, float] = dict(connection.execute(_LAST_SECONDS).fetchall())
    return [
        partial(
            _hold_to_compared if relation.specified_by_refresh else _prove,
            relation=relation,
            lease=lease,
            event=event,
        )
        for relation in sorted(store.relations, key=lambda r: -took.get(str(r.name), 0))
        if relation.specification is not None and not follows_its_owner(connection, relation)
    ]


def compared_rows(connection: Connection, event: int) -> dict[str, int]:
    """How many rows each proof of a try of a suite compared, those of refreshes included."""
    return dict(
        connection.execute(
            "SELECT proof, compared FROM feature_store_audit.proof WHERE suite_event = %s", (event,)
        ).fetchall()
    )


def compare_stored(connection: Connection, relation: Relation) -> Comparison:
    """Compare a relation's rows as they are now; see `compare_before_refresh`."""
    assert relation.specification is not None  # the caller has looked
    stored = relation.name.identifier
    done = _compare(connection, relation, relation.specification, stored)
    counted = sql.SQL("SELECT count(*) FROM {}").format(stored)
    return done.counting_missed(one_value(connection, counted))


def prove_stored(connection: Connection, relation: Relation, event: int) -> None:
    """Compare a relation's rows as they are now, and record that with a try of the suite.

    Args:
        connection: a pinned session, in a REPEATABLE READ transaction that holds the lease.
        relation: with a specification.
        event: the number of the try.

    Raises:
        StoreError: the specification does not fit the relation or could not be run.
        psycopg.Error: an error that may pass by itself.
    """
    done, sources = compare_stored(connection, relation), read_states(connection, relation)
    _record(connection, relation, done, suite_event=event, sources=sources)


def _prove(connection: Connection, relation: Relation, lease: Lease, event: int) -> None:
    specification = relation.specification
    reads = find_reads(connection, relation.name, specification.reads if specification else ())
    # A plain view and its specification would both see a source empty that is being reloaded.
    under_lease(
        connection,
        lease,
        lambda: prove_stored(connection, relation, event),
        first=lambda: lock_reads(connection, reads),
    )


def _hold_to_compared(connection: Connection, relation: Relation, lease: Lease, event: int) -> None:
    """Record it if other rows are stored than the refresh compared before it stored them."""

    def hold() -> None:
        specification = relation.specified_by_refresh
        assert specification is not None  # the caller has looked
        if changed := changed_since_refreshed(connection, relation):
            raise NotReady(
                f"{relation.name} was refreshed, and compared, before {in_words(changed)} changed. "
                "This says nothing about its rows.",
                about=[str(relation.name)],
                readers="the rows of the last refresh.",
                next_step=f"Clear the task of {relation.name} with what follows it.",
            )
        terms = _terms(connection, specification)
        if done := other_than_compared(connection, relation.name, terms):
            told = "other rows are stored than were compared with its specification"
            _record(connection, relation, done, suite_event=event, told=told)

    under_lease(connection, lease, hold)


def _compare(
    connection: Connection,
    relation: Relation,
    specification: Specification,
    found: sql.Composable,
    expected: sql.Composable | None = None,
    *,
    digested: bool = False,
) -> Comparison:
    _refuse(relation, misfits(connection, relation, specification, adopted_relations(connection)))
    terms = _terms(connection, specification)
    by_specification = expected is None
    if expected is None:
        expected = _in_parentheses(specification.query)
    else:
        terms = replace(terms, key=(), tolerance={})  # somebody else's relation, of unknown key
    try:
        with connection.transaction():
            if by_specification:
                _refuse(relation, collation_misfits(connection, relation, expected, terms.columns))
            # The planner has no statistics of intermediate results, and would sort them.
            connection.execute("SET LOCAL enable_mergejoin = off")
            done = compare(connection, found, expected, terms, digested=digested)
            connection.execute("SET LOCAL enable_mergejoin TO DEFAULT")
            return done
    except psycopg.Error as error:
        if passes_on_its_own(error):
            raise
        raise StoreError(
            f"{relation.name} could not be compared with its specification. This says nothing "
            f"about its rows: {error.diag.message_primary or error}",
            readers="the rows of the last refresh.",
            next_step=REMEDIES.get(
                error.sqlstate or "",
                f"Fix {specification.path} or what it reads, and stamp it (`bin/feature-store "
                "stamp-proofs`); then clear this task.",
            ),
        ) from error


def _refuse(relation: Relation, problems: list[str]) -> None:
    if problems:
        raise NotReady(
            f"{relation.name} cannot be proven:",
            items=problems,
            readers="the rows of the last refresh.",
            next_step="Restore the file; or fix it, and stamp it (`bin/feature-store "
            "stamp-proofs`). Then clear this task.",
        )


def _terms(connection: Connection, specification: Specification) -> Terms:
    columns = described(connection, specification)
    return Terms(columns, specification.key, specification.tolerance)


def _record(
    connection: Connection,
    relation: Relation,
    done: Comparison,
    *,
    suite_event: int | None = None,
    refresh_id: int | None = None,
    sources: States | None = None,
    told: str = "",
) -> None:
    connection.execute(
        "INSERT INTO feature_store_audit.proof_log "
        "(suite_event, refresh_id, proof, compared, broken, sample, seconds, digest, sources) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            suite_event,
            refresh_id,
            str(relation.name),
            done.compared,
            done.broken,
            f"[{', '.join(done.sample)}]",
            done.seconds,
            done.digest,
            Jsonb(sources) if sources is not None else None,
        ),
    )
    if not (done.compared or done.broken):
        told = NOTHING_TO_COMPARE
    told = told or f"{done.compared:,} rows compared with its specification, {done.broken:,} differ"
    level = logging.ERROR if done.broken else logging.INFO
    log.log(level, "%s: %s, %.2f s.", relation.name, told, done.seconds)


def _definition(connection: Connection, relation: Relation) -> sql.Composable:
    query: str = one_value(
        connection, "SELECT pg_catalog.pg_get_viewdef(%s::regclass)", (relation.name.quoted,)
    )
    return _in_parentheses(query.rstrip().removesuffix(";"))


def _in_parentheses(query: str) -> sql.Composable:
    return sql.SQL("(\n{}\n)").format(sql.SQL(query))
