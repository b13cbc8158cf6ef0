"""What a refresh saw and a later check needs: flagged rows, and its witness's facts."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, sql

from feature_store.declarations.store_definition import Relation


def record_observations(connection: Connection[Any], relation: Relation, refresh_id: int) -> None:
    """Record what a refresh saw.

    Args:
        connection: in the refresh's own REPEATABLE READ transaction.
        relation: that was refreshed.
        refresh_id: the refresh's row in ``feature_store_audit.refresh``.
    """
    _record_spam(connection, relation, refresh_id)
    if relation.witness:
        witness = relation.witness.replace("%", "%%").replace(":refresh_id", "%(refresh_id)s")
        connection.execute(witness.encode(), {"refresh_id": refresh_id})


def _record_spam(connection: Connection[Any], relation: Relation, refresh_id: int) -> None:
    """Record the keys that the source itself flags, for a relation that leaves spam out.

    So a flag that arrives later does not count against this refresh, and an earlier one always
    counts, whatever the relation's own query treats as spam.
    """
    if relation.rows is None or relation.rows.without is None:
        return
    connection.execute(
        sql.SQL(
            "WITH flagged AS ({flagged}), recorded AS ("
            "INSERT INTO feature_store_audit.spam_seen_log (refresh_id, key) "
            "SELECT {id}, f.{key} FROM flagged AS f) "
            "INSERT INTO feature_store_audit.fact (refresh_id, fact, n, sample) "
            "SELECT {id}, {fact}, count(*), '[]' FROM flagged AS f"
        ).format(
            flagged=relation.rows.without.flagged,
            key=sql.Identifier(relation.rows.without.key),
            id=sql.Literal(refresh_id),
            fact=sql.Literal(relation.rows.without.fact),
        )
    )
