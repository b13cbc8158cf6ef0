"""The work of a refresh without its locks: the same queries, into temporary tables."""

from __future__ import annotations

from psycopg import sql

from feature_store.connection import Connection
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.files.schema_rewrite import moved
from feature_store.declarations.store_definition import Relation, Store

_TEMPORARY = "pg_temp"


def work_without_locks(connection: Connection, store: Store) -> None:
    """Do the work of one refresh of the store without touching its relations.

    Args:
        connection: a session of ours.
        store: filled.
    """
    for relation in store.refreshed:
        _work(connection, relation)


def _work(connection: Connection, relation: Relation) -> None:
    table = sql.Identifier(_TEMPORARY, relation.name.relation)
    connection.execute(f"CREATE TABLE {table.as_string()} AS {relation.file.query}".encode())
    if relation.refresh is Refresh.CONCURRENT:
        connection.execute(sql.SQL("ANALYZE {}").format(table))
        connection.execute(_comparison(relation, table))
    else:
        for index in relation.file.indexes.values():
            connection.execute(moved(index.text, {relation.name: _TEMPORARY}).encode())
    connection.execute(sql.SQL("DROP TABLE {}").format(table))


def _comparison(relation: Relation, table: sql.Identifier) -> sql.Composed:
    """Finds, as a concurrent refresh does, which rows came and went."""
    key = next(iter(relation.file.unique_indexes.values()))
    same = sql.SQL(" AND ").join(
        sql.SQL("new.{0} = old.{0}").format(sql.Identifier(column)) for column in key
    )
    return sql.SQL(
        "SELECT count(*) FROM {new} AS new FULL JOIN {old} AS old "
        "ON {same} AND new.* OPERATOR(pg_catalog.*=) old.* "
        "WHERE new.* IS NULL OR old.* IS NULL"
    ).format(new=table, old=relation.name.identifier, same=same)
