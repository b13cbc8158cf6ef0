"""Locks what a relation reads before the snapshot that reads it is taken.

TRUNCATE is not MVCC-safe: a snapshot taken before a full reload commits sees an empty table
afterwards. The same happens if a view's query or a table's partitions are replaced meanwhile. A
REFRESH first takes its snapshot and then waits for locks. So the locks come first: LOCK TABLE takes
no snapshot, and locks views, partitions and children as well, for a role that may read only the
named relation. The lock is ACCESS SHARE: whoever writes rows never waits for it.

Nothing here waits while it holds a lock. Otherwise it could deadlock with a reload that empties
several tables in another order, and the server would end one of the two.

Materialized views and foreign tables cannot be locked this way. Materialized views need no lock: a
refresh leaves rows that every snapshot sees.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection
from dataclasses import dataclass

import psycopg
from psycopg import sql
from sqlglot import exp

from feature_store.connection import Connection, one_value
from feature_store.declarations.files.sql_statement import parse
from feature_store.declarations.store_definition import Relation, Store
from feature_store.relation_name import AUDIT_SCHEMA, Name

log = logging.getLogger(__name__)

_PAUSE = 0.1
"""Seconds between two tries to get all locks at once."""


@dataclass(frozen=True)
class Reads:
    """The tables and views that a relation's query, its witness and its specification name.

    Attributes:
        of: the relation, for messages.
        named: OID, schema and name of each.
        patience: the most seconds to wait for them: the session's ``lock_timeout``.
    """

    of: str
    named: tuple[tuple[int, str, str], ...]
    patience: float


def find_reads(connection: Connection, name: Name, besides: Collection[Name] = ()) -> Reads:
    """Look up, in the catalog, what a view reads, plain or materialized.

    Args:
        connection: a pinned session.
        name: of the view; a missing one reads nothing.
        besides: other relations that are read with it.
    """
    rows = connection.execute(
        """
        SELECT DISTINCT c.oid, n.nspname, c.relname
        FROM pg_catalog.pg_class AS c
        INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
        LEFT JOIN (
            SELECT d.refobjid
            FROM pg_catalog.pg_rewrite AS r
            INNER JOIN pg_catalog.pg_depend AS d
                ON r.oid = d.objid
                AND d.classid = 'pg_catalog.pg_rewrite'::regclass
                AND d.refclassid = 'pg_catalog.pg_class'::regclass
            WHERE r.ev_class = to_regclass(%(name)s) AND d.refobjid <> r.ev_class
        ) AS read ON c.oid = read.refobjid
        WHERE
            c.relkind IN ('r', 'p', 'v')
            AND (
                read.refobjid IS NOT NULL
                OR (n.nspname, c.relname) IN (
                    SELECT w.schema, w.relation
                    FROM unnest(%(schemas)s::text[], %(relations)s::text[])
                        AS w (schema, relation)
                )
            )
        ORDER BY n.nspname, c.relname
        """,
        {
            "name": name.quoted,
            "schemas": [read.schema for read in besides],
            "relations": [read.relation for read in besides],
        },
    ).fetchall()
    return Reads(str(name), tuple(rows), _patience(connection))


def reads_of(connection: Connection, relation: Relation) -> Reads:
    """What a relation of the store, its witness and specification read; see `find_reads`."""
    return find_reads(connection, relation.name, asked_beside(relation))


def asked_beside(relation: Relation) -> frozenset[Name]:
    """The other relations that specification and witness name, and the source that marks spam.

    A refresh reads them besides what its query names.
    """
    specification = relation.specified_by_refresh
    named = set(specification.reads if specification else ())
    if relation.rows and relation.rows.without:
        named.add(relation.rows.without.source)
    if relation.witness:
        tables = parse(relation.file.path, relation.witness).find_all(exp.Table)
        # The record, which it writes, is not a source.
        named |= {Name(t.db, t.name) for t in tables if t.db not in ("", AUDIT_SCHEMA)}
    return frozenset(named - {relation.name})


def lock_reads(connection: Connection, reads: Reads) -> None:
    """Keep what a relation reads from being reloaded until the open transaction ends.

    If the transaction needs one snapshot, this must be its first statement.

    Raises:
        psycopg.errors.LockNotAvailable: it was being reloaded for all that time.
        psycopg.errors.InsufficientPrivilege: the session's role may not read all of it.
    """
    assert connection.prepare_threshold is None  # see `session.pin`
    until = time.monotonic() + reads.patience
    told = False
    while reads.named:
        try:
            with connection.transaction():
                _lock(connection, reads)
            return
        except psycopg.errors.LockNotAvailable as error:
            if time.monotonic() > until:
                raise
            if not told:
                log.info("Waiting: what %s reads is being reloaded; %s.", reads.of, _words(error))
            told = True
            time.sleep(_PAUSE)  # each wait for a lock is bounded; this is between two


def lock_problems(connection: Connection, store: Store) -> list[str]:
    """Name what the session's role may not lock of what the store's relations read.

    Every relation must exist. Waits for nobody, and keeps no lock.
    """
    problems = []
    for relation in store.refreshed:
        try:
            with connection.transaction(force_rollback=True):
                _lock(connection, reads_of(connection, relation))
        except psycopg.errors.LockNotAvailable as error:
            log.info("What %s reads is being reloaded just now; %s.", relation.name, _words(error))
        except psycopg.errors.InsufficientPrivilege as error:
            problems.append(
                f"{connection.info.user} may not lock what {relation.name} reads, so it cannot "
                f"wait until a reload is done: {_words(error)}.\nNext: GRANT SELECT on the whole "
                f"relation, not on columns, to {connection.info.user} and to the owner of any "
                "view that reads it"
            )
    return problems


def _lock(connection: Connection, reads: Reads) -> None:
    if reads.named:
        names = sql.SQL(", ").join(sql.Identifier(*name) for _oid, *name in reads.named)
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE NOWAIT").format(names))


def _patience(connection: Connection) -> float:
    seconds: float = one_value(
        connection,
        "SELECT extract(epoch FROM current_setting('lock_timeout')::interval)::float8",
    )
    return seconds or math.inf


def _words(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error)
