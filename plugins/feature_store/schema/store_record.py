"""The store that a database has: one, by its name, as ``apply`` wrote it down."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from psycopg import Connection, sql

from feature_store.declarations.store_profile import StoreProfile

_COLUMNS = ("name", "title", "dag_id", "governed_schemas", "key")


def recorded(connection: Connection[Any]) -> StoreProfile | None:
    """What the record says of the store; None before the first ``apply`` of this version."""
    there = connection.execute(
        "SELECT to_regclass('feature_store_audit.store') IS NOT NULL"
    ).fetchone()
    if not there or not there[0]:
        return None
    row = connection.execute(
        "SELECT s.name, s.title, s.dag_id, s.governed_schemas, s.key "
        "FROM feature_store_audit.store AS s"
    ).fetchone()
    return StoreProfile(**dict(zip(_COLUMNS, row, strict=True))) if row else None


def is_recorded(connection: Connection[Any], profile: StoreProfile) -> bool:
    """Whether the record says of the store what its file says now."""
    known = recorded(connection)
    return known is not None and _values(known) == _values(profile)


def store_problems(connection: Connection[Any], profile: StoreProfile) -> list[str]:
    """Say if the database has another store, or a schema's name is no plain one to it."""
    found = [
        f"The schema {schema} must be quoted in PostgreSQL, as a word of its own.\n"
        "Next: give it another name in store.toml (governed_schemas)"
        for (schema,) in connection.execute(
            "SELECT s FROM unnest(%s::text[]) AS s WHERE quote_ident(s) <> s",
            (profile.governed_schemas,),
        )
    ]
    known = recorded(connection)
    if known is not None and known.name != profile.name:
        rename = sql.SQL("UPDATE feature_store_audit.store SET name = {}").format(profile.name)
        found.append(
            f"This database has the store {known.name}, of the DAG {known.dag_id}; these files are "
            f"of the store {profile.name}.\nNext: give {profile.name} a database of its own "
            "(FEATURE_STORE_CONN_ID); or, if the store was only renamed, as the owner: "
            + rename.as_string()
        )
    return found


def record_store(
    connection: Connection[Any], profile: StoreProfile, first_suites: Collection[str]
) -> None:
    """Write down what the file says. The caller opens the transaction, as the owner.

    Args:
        connection: in ``apply``'s transaction.
        profile: what the file says.
        first_suites: the suites without which nothing is to be certified, of a database that had
            no store before; empty: as they are.
    """
    connection.execute(
        "INSERT INTO feature_store_audit.store (name, title, dag_id, governed_schemas, key) "
        "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (only_one) DO UPDATE SET title = excluded.title, "
        "dag_id = excluded.dag_id, governed_schemas = excluded.governed_schemas, "
        "key = excluded.key",
        _values(profile),
    )
    if first_suites:
        connection.execute("DELETE FROM feature_store_audit.required_suite")
        connection.execute(
            "INSERT INTO feature_store_audit.required_suite SELECT s FROM unnest(%s::text[]) AS s",
            (list(first_suites),),
        )


def _values(profile: StoreProfile) -> tuple[object, ...]:
    return tuple(getattr(profile, column) for column in _COLUMNS)
