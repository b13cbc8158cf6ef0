"""Whether the database has the source tables, as their file says, and what it means if not."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from feature_store.connection import Connection
from feature_store.database.catalog import live_columns
from feature_store.declarations.source_tables import FAMILIES, Source
from feature_store.relation_name import Name


def source_problems(connection: Connection, sources: tuple[Source, ...]) -> list[str]:
    """Name every source column that is not there, of another type, or of a loose collation.

    Whoever cannot change a table can put a view in its place.
    """
    problems: list[str] = []
    for source in sources:
        live = live_columns(connection, source.name)
        if not live:
            problems.append(f"The source table {source.name} is missing.")
            continue
        if not _is_filled(connection, source.name):
            problems.append(
                f"The source {source.name} is a materialized view that has never been filled.\n"
                f"Next: REFRESH MATERIALIZED VIEW {source.name.quoted}"
            )
        for column, family in source.columns.items():
            if column not in live:
                problems.append(f"The source column {source.name}.{column} is missing.")
            elif FAMILIES[family] and live[column] not in FAMILIES[family]:
                problems.append(
                    f"The source column {source.name}.{column} has the type {live[column]}; "
                    f"expected one of {', '.join(sorted(FAMILIES[family]))}.\nNext: ALTER TABLE "
                    f"{source.name.quoted} ALTER COLUMN {sql.Identifier(column).as_string()} "
                    "TYPE …; or rename the table and create a view in its place that casts the "
                    "column (docs/install.md, your own database)"
                )
        problems += [
            f"The source column {source.name}.{column} has the collation {collation}, under which "
            f"different texts are equal.\nNext: ALTER TABLE {source.name.quoted} ALTER COLUMN "
            f'{sql.Identifier(column).as_string()} TYPE {live[column]} COLLATE "C"; or rename the '
            "table and create a view in its place that says so (docs/install.md, your own database)"
            for column, collation in _loose_collations(connection, source.name).items()
            if column in source.columns
        ]
    return problems


def _loose_collations(connection: Connection, name: Name) -> dict[str, str]:
    """The columns whose collation takes some texts as equal that differ, such as A and a."""
    rows = connection.execute(
        """
        SELECT a.attname, o.collname
        FROM pg_catalog.pg_attribute AS a
        INNER JOIN pg_catalog.pg_class AS c ON a.attrelid = c.oid
        INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
        INNER JOIN pg_catalog.pg_collation AS o ON a.attcollation = o.oid
        WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT o.collisdeterministic
        ORDER BY a.attnum
        """,
        (name.schema, name.relation),
    ).fetchall()
    return dict(rows)


def _is_filled(connection: Connection, name: Name) -> bool:
    # Not to_regclass, which cannot look into a schema that the session's role may not use.
    row = connection.execute(
        "SELECT c.relispopulated FROM pg_catalog.pg_class AS c "
        "INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid "
        "WHERE n.nspname = %s AND c.relname = %s",
        (name.schema, name.relation),
    ).fetchone()
    return row is None or bool(row[0])


def view_sources(connection: Connection, sources: tuple[Source, ...]) -> list[str]:
    """The sources that are views."""
    rows = connection.execute(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class AS c "
        "INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid WHERE c.relkind = 'v'"
    ).fetchall()
    views = {Name(*row) for row in rows}
    return [str(source.name) for source in sources if source.name in views]


def views_words(names: Sequence[str]) -> str:
    """What it means for the nightly runs that sources are views."""
    return (
        f"Sources that are views: {', '.join(names)}. A run can tell that such a source has not "
        "changed only if the refresher may read all tables below it and its query only picks and "
        "casts columns. Otherwise everything that reads it is refreshed every night; each task's "
        "log says why."
    )
