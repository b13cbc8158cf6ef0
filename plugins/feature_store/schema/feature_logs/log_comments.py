"""What a feature log and its training view say about themselves, column by column."""

from __future__ import annotations

from psycopg import sql

from feature_store.connection import Connection
from feature_store.database.catalog import live_columns
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.declarations.served import STILL_LISTED, Served
from feature_store.relation_name import Name

_SAYS = {
    "t0": "When the entity was first seen, as known when the row was served",
    "served_at": "When a run certified the row; from then on models were given it",
    "served_after": "served_at - t0: how late the row was served. Long for rows older than the log",
    "as_of_day": "The day that the run answered for",
    "dag_id": "The DAG of the run",
    "run_id": "The run that certified the row",
    "contract_hash": "The hash of the contract that was stamped then",
    "serving": "The number of the certification in the record: gives the order, independent of "
    "clocks",
}


def write_comments(
    connection: Connection,
    feature_set: FeatureSet,
    served: Served,
    kind: str,
    name: Name,
    says: str,
) -> None:
    """Write the comment of a log or of its training view, and of every column.

    Args:
        connection: as its owner.
        feature_set: whose it is.
        served: the set's entity, t0 and labels.
        kind: ``TABLE`` or ``VIEW``.
        name: its name.
        says: what it is.
    """
    words = {feature.name: feature.description for feature in feature_set.features}
    words |= {label.name: f"{label}, as it is now" for label in served.labels}
    words |= {served.entity: "What the row is about", **_SAYS}
    words[STILL_LISTED] = f"Whether {feature_set.relation} has the entity today"
    _comment(connection, kind, name.identifier, says)
    for column in live_columns(connection, name):
        place = sql.Identifier(name.schema, name.relation, column)
        _comment(connection, "COLUMN", place, words[column])


def _comment(connection: Connection, kind: str, thing: sql.Composable, words: str) -> None:
    connection.execute(
        sql.SQL("COMMENT ON {} {} IS {}").format(sql.SQL(kind), thing, sql.Literal(words))
    )
