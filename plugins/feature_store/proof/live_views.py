"""Plain views that read the user's tables: what they give changes whenever these do.

Which they are the catalog says: an adopted view may read a table that its file does not.

The suite compares them with their specifications and records the states of the tables in the same
snapshot. What the verdict certifies and logs is what the views give then. If the tables have other
states by then, the views are compared once more, in the verdict's own snapshot.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from psycopg.types.json import Jsonb

from feature_store.audit.row_versions import find_named, find_relations, row_state, with_children
from feature_store.connection import Connection, one_value
from feature_store.database.read_locks import Reads, find_reads
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.store_definition import Relation, Store
from feature_store.relation_name import Name

log = logging.getLogger(__name__)

States = dict[str, str]
"""The state of each table, by its name."""

# What relations read at the moment when they are read themselves: through the store's plain views.
_READ_LIVE = """
WITH RECURSIVE named AS (
    SELECT
        c.oid,
        n.nspname || '.' || c.relname AS name,
        c.relkind = 'v' AS is_plain,
        EXISTS (
            SELECT FROM feature_store_audit.definition AS d
            WHERE d.object = n.nspname || '.' || c.relname
        ) AS is_ours
    FROM pg_catalog.pg_class AS c
    INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
),
below AS (
    SELECT m.* FROM named AS m WHERE m.name = ANY(%s)
    UNION
    SELECT m.*
    FROM below AS b
    INNER JOIN pg_catalog.pg_rewrite AS r ON b.oid = r.ev_class
    INNER JOIN pg_catalog.pg_depend AS d
        ON r.oid = d.objid
        AND d.classid = 'pg_catalog.pg_rewrite'::regclass
        AND d.refclassid = 'pg_catalog.pg_class'::regclass
    INNER JOIN named AS m ON d.refobjid = m.oid
    WHERE b.is_plain AND b.is_ours
)
SELECT b.oid, b.name, b.is_plain, b.is_ours FROM below AS b
"""


def is_live(connection: Connection, relation: Relation) -> bool:
    """Whether it is a plain view with a specification, and either reads the user's tables."""
    return bool(_tables_below(connection, relation))


def _tables_below(connection: Connection, relation: Relation) -> list[int]:
    """What a plain view and its specification read that is not the store's, each by its OID."""
    if relation.refresh is not Refresh.NEVER or relation.specification is None:
        return []
    names = [str(name) for name in (relation.name, *relation.specification.reads)]
    rows = connection.execute(_READ_LIVE, (names,)).fetchall()
    return [oid for oid, _name, _is_plain, is_ours in rows if not is_ours]


def live_below(
    connection: Connection, store: Store, served: Collection[Name]
) -> tuple[Relation, ...]:
    """What gives these relations' rows at the moment when somebody reads them, if it is live.

    Args:
        connection: a pinned session.
        store: what the files say.
        served: relations of the store. Of a materialized view nothing is read live.
    """
    rows = connection.execute(_READ_LIVE, ([str(name) for name in served],)).fetchall()
    found = {name for _oid, name, is_plain, is_ours in rows if is_plain and is_ours}
    return tuple(r for r in store.relations if str(r.name) in found and is_live(connection, r))


def reads_of_live(connection: Connection, live: Sequence[Relation]) -> Reads | None:
    """What must be locked before the snapshot in which live views are read; None: nothing."""
    if not live:
        return None
    named = {relation.name for relation in live}
    for relation in live:
        assert relation.specification is not None  # it is live
        named |= relation.specification.reads
    return find_reads(connection, live[0].name, named)


def read_states(connection: Connection, relation: Relation) -> States | None:
    """Read the states of the user's tables below a live view, in the open snapshot.

    Args:
        connection: a pinned session, in a REPEATABLE READ transaction.
        relation: any; of one that is not live there is nothing to read.

    Returns:
        None if there is nothing to read, or one of the states cannot be read.
    """
    read = _tables_below(connection, relation)
    if not read:
        return None
    owners = {view.owner for view in find_named(connection, relation.name)}
    states = {}
    for table in find_relations(connection, with_children(connection, read), owners):
        if table.doubt or table.kind == "v":
            log.info("%s counts as changed: %s.", table.name, table.doubt or "it is a view")
            return None
        # The rows of a partitioned table are in its partitions.
        is_parent = table.kind == "p"
        states[table.name] = str(table.oid) if is_parent else row_state(connection, table)
    return states


def has_changed(connection: Connection, relation: Relation, event: int) -> bool:
    """Whether a live view has not been compared on the very rows that its tables have now.

    Args:
        connection: a pinned session, in a REPEATABLE READ transaction.
        relation: the live view.
        event: the number of the try of the suite that compared it.
    """
    states = read_states(connection, relation)
    if states is None:
        return True
    return not one_value(
        connection,
        "SELECT EXISTS (SELECT FROM feature_store_audit.proof_log AS p "
        "WHERE p.suite_event = %s AND p.proof = %s AND p.sources = %s)",
        (event, str(relation.name), Jsonb(states)),
    )
