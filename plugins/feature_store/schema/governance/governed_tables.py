"""Compares the tables of a governance file with those of a database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from feature_store.connection import Connection
from feature_store.declarations.source_tables import FAMILIES
from feature_store.relation_name import Name
from feature_store.text_format import difference

if TYPE_CHECKING:
    from feature_store.schema.governance.governance import Part

# What stamping needs in tables that it did not create.
_UNIQUE = {"feature_set": ("set_id", "name"), "feature_set_current": ("singleton_id",)}


def table_changes(part: Part, live: Mapping[str, str], recorded: tuple[str, str]) -> list[str]:
    """Say if a table that apply created has changed, or differs from its file now.

    Args:
        part: the table.
        live: its columns and their types.
        recorded: the file's and the server's description when it was applied.
    """
    file_then, live_then = recorded
    table = part.name.relation
    lines = [line for line in live_then.splitlines() if line.startswith(f"{table}.")]
    now = [f"{table}.{column} {type_name}" for column, type_name in live.items()]
    way_out = (
        "It holds your rows. Change it with ALTER TABLE to what its file says, then\n"
        f"`bin/feature-store apply --replace {part.name}`, which keeps the rows."
    )
    if part.normal not in file_then:
        return [f"The file now creates {part.name} differently. {way_out}"]
    if now != lines:
        return [f"{difference(chr(10).join(lines), chr(10).join(now))}\n{way_out}"]
    return []


def table_misfits(connection: Connection, part: Part, live: Mapping[str, str]) -> list[str]:
    """Say what a table lacks compared with its file: columns, their types, a key.

    Args:
        connection: a pinned session.
        part: the table.
        live: its columns and their types.
    """
    families: Callable[[str], set[str]] = lambda type_name: {  # noqa: E731
        family for family, types in FAMILIES.items() if family != "numeric" and type_name in types
    }
    problems = []
    for column, wanted in part.columns.items():
        spelled = {"int": "integer", "timestamptz": "timestamp with time zone"}.get(wanted, wanted)
        if column not in live:
            problems.append(f"{part.name} has no column {column} ({wanted}).")
        elif live[column] != spelled and not families(live[column]) & families(spelled):
            problems.append(f"{part.name}.{column} has the type {live[column]}, not {spelled}.")
    for column in _UNIQUE.get(part.name.relation, ()):
        if not problems and not _is_unique(connection, part.name, column):
            problems.append(f"{part.name}.{column} has no unique index of its own.")
    return problems


def _is_unique(connection: Connection, table: Name, column: str) -> bool:
    row = connection.execute(
        """
        SELECT 1
        FROM pg_catalog.pg_index AS i
        INNER JOIN pg_catalog.pg_attribute AS a
            ON i.indrelid = a.attrelid AND i.indkey[0] = a.attnum
        WHERE i.indrelid = %s::regclass AND i.indisunique AND i.indnkeyatts = 1
            AND i.indpred IS NULL AND i.indisvalid AND i.indimmediate AND a.attname = %s
        """,
        (table.quoted, column),
    ).fetchone()
    return row is not None
