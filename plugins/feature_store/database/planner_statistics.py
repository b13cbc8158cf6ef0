"""Planner statistics: gathered when all rows were rewritten, or enough of them changed.

A concurrent refresh writes only the rows that differ. After a usual night these are few, and the
old statistics still hold. Gathering them again can cost as much as a refresh, because a read layer
has up to sixty columns. The server counts the rows written since it last gathered, so small changes
add up over the nights until it is time.
"""

from __future__ import annotations

import logging

import psycopg

from feature_store.connection import Connection
from feature_store.relation_name import Name

log = logging.getLogger(__name__)

# The server's own autovacuum waits for a tenth of the rows.
CHANGED_ENOUGH = 0.05


def gather_statistics(connection: Connection, name: Name, *, written_anew: bool) -> None:
    """Gather a materialized view's statistics if they need it.

    Its refresh is over. So somebody who has locked it meanwhile, as VACUUM or a comment does, fails
    nothing: its statistics stay as they are, until the server's own autovacuum comes by.

    Args:
        connection: a session in autocommit mode, idle, that has just refreshed it.
        name: of the materialized view.
        written_anew: whether all rows were.
    """
    # This session's counts become visible to others when it is next idle. That must be before
    # ANALYZE, which resets them.
    connection.execute("SELECT pg_catalog.pg_stat_force_next_flush()")
    if not written_anew and not _aged(connection, name):
        log.info("%s: few rows have changed, its statistics still hold.", name)
        return
    try:
        connection.execute("SELECT feature_store_audit.analyze_view(%s)", (str(name),))
    except psycopg.errors.LockNotAvailable as error:
        log.warning("%s: its statistics are not gathered: %s", name, error.diag.message_primary)


def _aged(connection: Connection, name: Name) -> bool:
    row = connection.execute(
        """
        SELECT
            current_setting('track_counts')::boolean
            -- Neither is known after a crash, or in a cluster that was just upgraded.
            AND coalesce(s.last_analyze, s.last_autoanalyze) IS NOT NULL
            AND s.n_mod_since_analyze <= %s * c.reltuples
        FROM pg_catalog.pg_class AS c
        INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
        LEFT JOIN pg_catalog.pg_stat_all_tables AS s ON c.oid = s.relid
        WHERE n.nspname = %s AND c.relname = %s
        """,
        (CHANGED_ENOUGH, name.schema, name.relation),
    ).fetchone()
    return not (row and row[0])
