"""A digest of rows: are those that are stored the ones that were compared?

A refresh that compares its rows before it stores them runs the relation's query twice. If the query
leaves a choice open, such as between two rows of one moment, the two answers may differ.

The digest is a sum of hashes: the order of rows does not matter, their number does. Columns that
may be off by a tolerance are left out, because a sum of floats may come out differently each time.
"""

from __future__ import annotations

import json
import time

from psycopg import sql
from psycopg.sql import Composed

from feature_store.connection import Connection, one_value
from feature_store.proof.result import Comparison
from feature_store.proof.terms import Terms
from feature_store.relation_name import Name

# A difference that the comparison found itself says more.
_COMPARED = """
SELECT p.compared, p.digest
FROM feature_store_audit.latest_refresh AS r
INNER JOIN feature_store_audit.proof_log AS p ON r.refresh_id = p.refresh_id
WHERE r.relation = %(relation)s AND p.proof = r.relation AND p.broken = 0 AND p.digest IS NOT NULL
"""
_TOLD = json.dumps(
    {
        "key": {},
        "observed": {"stored": "other rows than those compared: the query leaves a choice open"},
        "expected": {"stored": "the rows compared"},
    }
)


def hash_of_a_row(terms: Terms) -> Composed:
    """An expression in the columns of one row, to be added up over all rows."""
    columns = (terms.exact(c) for c in terms.columns if c not in terms.tolerance)
    return sql.SQL("hash_record_extended(ROW({}), 0)").format(sql.SQL(", ").join(columns))


def other_than_compared(connection: Connection, relation: Name, terms: Terms) -> Comparison | None:
    """A broken proof if the stored rows are not those that the last refresh compared."""
    started = time.monotonic()
    compared = connection.execute(_COMPARED, {"relation": str(relation)}).fetchone()
    if compared is None:
        return None
    rows, digest = compared
    query = sql.SQL("SELECT coalesce(sum({}), 0) FROM {}")
    stored = query.format(hash_of_a_row(terms), relation.identifier)
    if one_value(connection, stored) == digest:
        return None
    return Comparison(rows, rows, 1, (_TOLD,), time.monotonic() - started)
