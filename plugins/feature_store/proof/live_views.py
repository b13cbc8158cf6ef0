"""Plain views that read the user's tables: what they give changes whenever these do.

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


def is_live(relation: Relation) -> bool:
    """Whether it is a plain view with a specification, and either reads the user's tables."""
    is_plain = relation.refresh is Refresh.NEVER
    return is_plain and relation.specification is not None and bool(relation.sources)


def live_below(store: Store, served: Collection[Name]) -> tuple[Relation, ...]:
    """What gives these relations' rows at the moment when somebody reads them, if it is live.

    Args:
        store: what the files say.
        served: relations of the store. Of a materialized view nothing is read live.
    """
    by_name = {relation.name: relation for relation in store.relations}
    found, pending = set[Name](), list(served)
    while pending:
        name = pending.pop()
        if name in by_name and name not in found and by_name[name].refresh is Refresh.NEVER:
            found.add(name)
            pending.extend(by_name[name].reads)
    return tuple(r for r in store.relations if r.name in found and is_live(r))


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
    if not is_live(relation):
        return None
    (view,) = find_named(connection, relation.name)
    named = [found.oid for name in relation.sources for found in find_named(connection, name)]
    states = {}
    for table in find_relations(connection, with_children(connection, named), [view.owner]):
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
