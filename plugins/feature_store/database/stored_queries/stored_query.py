"""The stored query of a view: what it reads, and whether it always gives the same rows.

The server's tree of a query names every relation and function by its OID, including the built-in
ones, which ``pg_depend`` leaves out. `determinism` says what each call may depend on, here and for
the leak gates. Here no user's function is trusted: its body may be replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from feature_store.database.stored_queries.calls import calls
from feature_store.database.stored_queries.determinism import Judge
from feature_store.database.stored_queries.node_tree import parse_tree, walk


@dataclass(frozen=True)
class StoredQuery:
    """A view's query.

    Attributes:
        version: differs whenever the query has been replaced, even by an equal one.
        reads: the OIDs of the relations that it names itself.
        doubts: why it may give other rows from the same tables, in words; empty if it cannot.
    """

    version: str
    reads: frozenset[int]
    doubts: tuple[str, ...]


def read_stored_query(connection: Connection[Any], oid: int) -> StoredQuery:
    """Read the query of a view or materialized view.

    Args:
        connection: a pinned session; the caller compares its time zone.
        oid: the view's.
    """
    row = connection.execute(
        "SELECT r.oid || '/' || r.xmin::text, r.ev_action::text FROM pg_catalog.pg_rewrite AS r "
        "WHERE r.ev_class = %s AND r.ev_type = '1'",
        (oid,),
    ).fetchone()
    if row is None:
        return StoredQuery("none", frozenset(), ("it has no query",))
    version, text = row
    tree = parse_tree(text)
    asked = list(calls(tree))
    judge = Judge(connection, frozenset())
    judge.learn(asked)
    doubts = {judge.judge(call).words for call in asked} - {""}
    # Before version 16 a view's query names the view itself as well.
    reads = frozenset(node.number("relid") for node in walk(tree)) - {0, oid}
    return StoredQuery(version, reads, tuple(f"it calls {words}" for words in sorted(doubts)))
