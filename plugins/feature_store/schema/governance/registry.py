"""The one registry of feature sets, which the second schema shows.

Earlier, each schema had its own tables, and an adopted store may still have them: a set of one
schema is not found in the other. If named in ``apply --replace``, such tables move their rows to
the registry, and views replace them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

from feature_store.connection import Connection, one_value
from feature_store.database.catalog import live_columns
from feature_store.database.kept_privileges import granted
from feature_store.errors import NotReady
from feature_store.relation_name import Name

if TYPE_CHECKING:
    from feature_store.schema.governance.governance import Part

_SETS, _CONTRACT, _BINDING = "feature_set", "feature_contract", "feature_set_binding"
_CURRENT = "feature_set_current"


@dataclass(frozen=True)
class LiveView:
    """A view of the database.

    Attributes:
        definition: its query, as the server describes it.
    """

    definition: str

    def is_as(self, _: str) -> bool:
        """A view that apply did not create may stay: the store does not read it."""
        return True

    def difference(self, _: str) -> str:
        """What it is now."""
        return self.definition


def live_view(connection: Connection, name: Name) -> LiveView | None:
    """Look a view up; None if there is none of that name."""
    row = connection.execute(
        "SELECT pg_get_viewdef(c.oid) FROM pg_catalog.pg_class AS c "
        "INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid "
        "WHERE n.nspname = %s AND c.relname = %s AND c.relkind = 'v'",
        (name.schema, name.relation),
    ).fetchone()
    return None if row is None else LiveView(row[0])


def registry_apart(connection: Connection, parts: Iterable[Part], registry: str) -> dict[Name, str]:
    """A schema's own tables of sets, or of the active set, outside the registry.

    Args:
        connection: a pinned session.
        parts: what should show the registry.
        registry: the registry's schema.

    Returns:
        By name, what is wrong.
    """
    return {
        part.name: f"{part.name}, a table of its own: sets in it are not found in {registry}, "
        f"and {registry}'s not in it. Replaced, its rows move there."
        for part in parts
        if _is_apart(connection, part, registry)
    }


def _is_apart(connection: Connection, part: Part, registry: str) -> bool:
    # By name, from the catalog, which everybody may read.
    row = connection.execute(
        """
        SELECT
            c.relkind IN ('r', 'p'),
            EXISTS (
                SELECT FROM pg_catalog.pg_constraint AS k
                INNER JOIN pg_catalog.pg_class AS s ON k.confrelid = s.oid
                INNER JOIN pg_catalog.pg_namespace AS m ON s.relnamespace = m.oid
                WHERE k.conrelid = c.oid AND m.nspname = %s AND s.relname = %s
            )
        FROM pg_catalog.pg_class AS c
        INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
        WHERE n.nspname = %s AND c.relname = %s
        """,
        (registry, _SETS, part.name.schema, part.name.relation),
    ).fetchone()
    if row is None:
        return False
    is_table, on_registry = row
    return bool(is_table and (part.is_view or not on_registry))


def join_registry(connection: Connection, parts: Sequence[Part], registry: str) -> None:
    """Move a schema's sets to the registry, and replace its tables by views of the registry.

    Sets get new numbers. Names, hashes, rows, bindings, the active set and read privileges stay.

    Args:
        connection: in apply's transaction, as the owner.
        parts: what shows the registry.
        registry: the registry's schema.

    Raises:
        NotReady: the registry has a set of the same name, or a table has columns of its own.
    """
    apart = {p.name.relation: p for p in parts if _is_apart(connection, p, registry)}
    tables = [part.name.quoted for part in apart.values()]
    if not tables:
        return
    schema = parts[0].name.schema
    connection.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE".encode())
    _refuse_what_would_be_lost(connection, apart.values(), registry)
    grants = [
        grant
        for part in apart.values()
        for grant, _ in granted(connection, _oid(connection, part.name), part.name.identifier)
    ]
    active = _active(connection, schema) if {_SETS, _CURRENT} <= apart.keys() else None
    if _SETS in apart:
        _move(connection, schema, registry, [t for t in (_CONTRACT, _BINDING) if t in apart])
    connection.execute(f"DROP TABLE {', '.join(tables)}".encode())
    for part in apart.values():
        for statement in (*part.statements, *part.comments):
            connection.execute(statement.encode())
    for grant in grants:
        connection.execute(grant)
    if active:
        connection.execute(
            sql.SQL(
                "INSERT INTO {} (set_id) SELECT s.set_id FROM {} AS s WHERE s.name = %s"
            ).format(sql.Identifier(schema, _CURRENT), sql.Identifier(registry, _SETS)),
            (active,),
        )


def _oid(connection: Connection, name: Name) -> int:
    oid: int = one_value(connection, "SELECT %s::text::regclass::oid::bigint", (name.quoted,))
    return oid


def _refuse_what_would_be_lost(
    connection: Connection, apart: Iterable[Part], registry: str
) -> None:
    for part in apart:
        more = (
            live_columns(connection, part.name).keys()
            - live_columns(connection, Name(registry, part.name.relation)).keys()
        )
        if more:
            raise NotReady(
                f"Nothing was applied: {part.name} has columns that "
                f"{registry}.{part.name.relation} does not have: {', '.join(sorted(more))}.",
                readers="what they had before.",
                next_step="Add them there, or drop them here; then apply again.",
            )
        if part.name.relation != _SETS:
            continue
        twins = connection.execute(
            sql.SQL("SELECT a.name FROM {} AS a INNER JOIN {} AS b ON a.name = b.name").format(
                part.name.identifier, sql.Identifier(registry, _SETS)
            )
        ).fetchall()
        if twins:
            names = ", ".join(sorted(name for (name,) in twins))
            raise NotReady(
                f"Nothing was applied: {part.name} and {registry}.{_SETS} both have {names}.",
                readers="what they had before.",
                next_step="Delete or rename it in one of them; then apply again.",
            )


def _active(connection: Connection, schema: str) -> str | None:
    row = connection.execute(
        sql.SQL("SELECT s.name FROM {} AS c INNER JOIN {} AS s ON c.set_id = s.set_id").format(
            sql.Identifier(schema, _CURRENT), sql.Identifier(schema, _SETS)
        )
    ).fetchone()
    return row[0] if row else None


def _move(connection: Connection, schema: str, registry: str, with_sets: list[str]) -> None:
    columns = [c for c in live_columns(connection, Name(schema, _SETS)) if c != "set_id"]
    connection.execute(
        sql.SQL("INSERT INTO {} ({columns}) SELECT {columns} FROM {} ORDER BY set_id").format(
            sql.Identifier(registry, _SETS),
            sql.Identifier(schema, _SETS),
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        )
    )
    for table in with_sets:
        columns = [c for c in live_columns(connection, Name(schema, table)) if c != "set_id"]
        connection.execute(
            sql.SQL(
                "INSERT INTO {there} (set_id, {columns}) SELECT b.set_id, {theirs} "
                "FROM {here} AS t INNER JOIN {old} AS a ON t.set_id = a.set_id "
                "INNER JOIN {new} AS b ON a.name = b.name"
            ).format(
                there=sql.Identifier(registry, table),
                here=sql.Identifier(schema, table),
                old=sql.Identifier(schema, _SETS),
                new=sql.Identifier(registry, _SETS),
                columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
                theirs=sql.SQL(", ").join(sql.Identifier("t", c) for c in columns),
            )
        )
