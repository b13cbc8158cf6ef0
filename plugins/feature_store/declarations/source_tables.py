"""The source tables: which of their columns we read, and whether the database has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection, sql
from pydantic import ConfigDict, TypeAdapter, ValidationError

from feature_store.declarations.toml_file import read_toml
from feature_store.errors import BadInput
from feature_store.relation_name import Name
from feature_store.text_format import shown

_INT = frozenset({"smallint", "integer", "bigint"})
FAMILIES = {
    "int": _INT,
    "numeric": _INT | {"numeric", "real", "double precision"},
    "text": frozenset({"text", "character varying"}),
    "boolean": frozenset({"boolean"}),
    "timestamp": frozenset({"timestamp with time zone", "timestamp without time zone"}),
    "date": frozenset({"date"}),
    "json": frozenset({"json", "jsonb"}),
    "uuid": frozenset({"uuid"}),
    "other": frozenset(),
}
"""Type families; a column of the family ``other`` may have any type."""


_TABLES = TypeAdapter(dict[str, dict[str, str]], config=ConfigDict(strict=True))


@dataclass(frozen=True)
class Source:
    """A table that belongs to the user.

    Attributes:
        name: the table, or a plain or materialized view.
        columns: the columns that our SQL reads, each with its type family.
    """

    name: Name
    columns: dict[str, str]


def family_of(type_name: str) -> str:
    """The narrowest family of a type, as the server names it without modifiers."""
    return next((family for family, types in FAMILIES.items() if type_name in types), "other")


def read_sources(path: Path) -> tuple[Source, ...]:
    """Read ``sources.toml``.

    Raises:
        BadInput: the file is missing or malformed, or names an unknown type family.
    """
    written = read_toml(path)
    try:
        tables = _TABLES.validate_python(written)
        sources = tuple(Source(Name.parse(table), columns) for table, columns in tables.items())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput(f"{path}: {where}: {first['msg']}, got {shown(first['input'])}.") from None
    except BadInput as error:
        raise BadInput(f"{path}: {error.problem}") from None
    for source in sources:
        for column, family in source.columns.items():
            if family not in FAMILIES:
                raise BadInput(
                    f"{path}: {source.name}.{column} has the unknown type family {family!r}; "
                    f"expected one of {', '.join(FAMILIES)}."
                )
    return sources


def source_problems(connection: Connection[Any], sources: tuple[Source, ...]) -> list[str]:
    """Name every source column that the database lacks or has with another type family.

    Of a type there is a way out for who cannot change the table: a view under its name.
    """
    problems: list[str] = []
    for source in sources:
        live = live_columns(connection, source.name)
        if not live:
            problems.append(f"The source table {source.name} is missing.")
            continue
        if not _is_filled(connection, source.name):
            problems.append(
                f"The source {source.name} is a materialized view that was never filled.\n"
                f"Next: REFRESH MATERIALIZED VIEW {source.name.quoted}"
            )
        for column, family in source.columns.items():
            if column not in live:
                problems.append(f"The source column {source.name}.{column} is missing.")
            elif FAMILIES[family] and live[column] not in FAMILIES[family]:
                problems.append(
                    f"The source column {source.name}.{column} has the type {live[column]}; "
                    f"expected one of {', '.join(sorted(FAMILIES[family]))}.\n"
                    f"Next: ALTER TABLE {source.name.quoted} ALTER COLUMN "
                    f"{sql.Identifier(column).as_string()} TYPE …; or rename the table, and put a "
                    f"view that casts the column in its place (docs/install.md, your own database)"
                )
    return problems


def _is_filled(connection: Connection[Any], name: Name) -> bool:
    # Not by to_regclass, which may not look into a schema that the session's role may not use.
    row = connection.execute(
        "SELECT c.relispopulated FROM pg_catalog.pg_class AS c "
        "INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid "
        "WHERE n.nspname = %s AND c.relname = %s",
        (name.schema, name.relation),
    ).fetchone()
    return row is None or bool(row[0])


def view_sources(connection: Connection[Any], sources: tuple[Source, ...]) -> list[str]:
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
        f"Sources that are views: {', '.join(names)}. That nothing has changed there can be told "
        "only where the refresher may read all tables below and the query casts and picks alone. "
        "Else all that reads them is refreshed every night; each task's log says why."
    )


def live_columns(connection: Connection[Any], name: Name) -> dict[str, str]:
    """The columns of a live relation and their types without modifiers, in column order.

    Empty where the relation does not exist.
    """
    rows = connection.execute(
        """
        SELECT a.attname, format_type(a.atttypid, NULL)
        FROM pg_catalog.pg_attribute AS a
        INNER JOIN pg_catalog.pg_class AS c ON a.attrelid = c.oid
        INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
        WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
        """,
        (name.schema, name.relation),
    ).fetchall()
    return dict(rows)
