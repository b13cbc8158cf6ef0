"""How the server describes what exists; files are compared with this.

Call with a pinned session (see `session`): the descriptions depend on its settings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from feature_store.connection import Connection
from feature_store.declarations.files.sql_file import SqlFile
from feature_store.relation_name import Name

# Each major version of the server words a query differently, so the text is marked.
QUERY_BEGINS = "query:"
QUERY_ENDS = "end of query"

_KINDS = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
    "S": "sequence",
    "i": "index",
    "c": "composite type",
}


_OPTIONS = re.compile(r"^options \{(.*)\}$", re.MULTILINE)
_OF_AN_INDEX = re.compile(
    r"^(CREATE (?:UNIQUE )?INDEX .*) WITH \((?:[\w.]+=(?:'[^']*'|\w+)(?:, )?)+\)", re.MULTILINE
)


def without_storage(description: str) -> str:
    """A relation's description without the options that decide no row, such as a fillfactor.

    What was recorded by an earlier version may have them.
    """

    def kept(options: re.Match[str]) -> str:
        rest = [one for one in options[1].split(",") if one.startswith("security_")]
        return f"options {{{','.join(rest)}}}" if rest else "options None"

    head, begins, query = description.partition(f"\n{QUERY_BEGINS}\n")
    query, ends, indexes = query.rpartition(f"\n{QUERY_ENDS}")
    return _OPTIONS.sub(kept, head) + begins + query + ends + _OF_AN_INDEX.sub(r"\1", indexes)


def describe_relation(connection: Connection, file: SqlFile) -> str | None:
    """Kind, options, columns, query and the file's indexes of a live relation; None if missing.

    Indexes that the file does not name are the user's own and are left out, and so are options
    that decide no row.
    """
    row = connection.execute(
        """
        SELECT c.oid, c.relkind::text, c.reloptions::text, pg_get_viewdef(c.oid)
        FROM pg_catalog.pg_class AS c
        INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
        WHERE n.nspname = %s AND c.relname = %s
        """,
        (file.name.schema, file.name.relation),
    ).fetchone()
    if row is None:
        return None
    oid, kind, options, query = row
    lines = [_KINDS.get(kind, f"relation of kind {kind}"), f"options {options}"]
    columns = live_columns(connection, file.name)
    lines += [f"column {column} {type_name}" for column, type_name in columns.items()]
    lines += [QUERY_BEGINS, query or "no query", QUERY_ENDS]
    indexes = connection.execute(
        """
        SELECT c.relname, pg_get_indexdef(c.oid), i.indisvalid
        FROM pg_catalog.pg_index AS i
        INNER JOIN pg_catalog.pg_class AS c ON i.indexrelid = c.oid
        WHERE i.indrelid = %s AND c.relname = ANY(%s)
        ORDER BY c.relname
        """,
        (oid, list(file.indexes)),
    ).fetchall()
    lines += [f"{definition}{'' if valid else ' INVALID'}" for _, definition, valid in indexes]
    return without_storage("\n".join(lines))


def no_view(description: str) -> str:
    """What a description's relation is if it is no view of any kind; empty if it is one."""
    kind = description.split("\n", 1)[0]
    return "" if kind in (_KINDS["v"], _KINDS["m"]) else kind


def describe_governance(
    connection: Connection,
    schema: str,
    tables: Sequence[str],
    functions: Sequence[tuple[str, str]],
) -> str | None:
    """Columns of a schema's governance tables and the text of its functions; None if it has none.

    Args:
        connection: a pinned session.
        schema: where they are.
        tables: their names.
        functions: their names, each with its argument types as the server spells them.
    """
    lines: list[str] = []
    for table in tables:
        columns = live_columns(connection, Name(schema, table))
        lines += [f"{table}.{column} {type_name}" for column, type_name in columns.items()]
    for name, arguments in functions:
        found = connection.execute(
            """
            SELECT pg_get_functiondef(p.oid)
            FROM pg_catalog.pg_proc AS p
            INNER JOIN pg_catalog.pg_namespace AS n ON p.pronamespace = n.oid
            WHERE n.nspname = %s AND p.proname = %s AND oidvectortypes(p.proargtypes) = %s
            """,
            (schema, name, arguments),
        ).fetchall()
        lines += [text for (text,) in found]
    return "\n".join(lines) or None


def live_columns(connection: Connection, name: Name) -> dict[str, str]:
    """The columns of a live relation and their types without modifiers, in column order.

    For people and to compare; to write a type in a statement see `column_types`. Empty if the
    relation does not exist.
    """
    return _columns(connection, name, None)


def column_types(connection: Connection, name: Name) -> dict[str, str]:
    """As `live_columns`, but as a statement must write them so that they are of any length.

    There ``character`` and ``bit`` without a length are one letter and one bit.
    """
    return _columns(connection, name, -1)


def _columns(connection: Connection, name: Name, modifier: int | None) -> dict[str, str]:
    rows = connection.execute(
        """
        SELECT a.attname, format_type(a.atttypid, %s)
        FROM pg_catalog.pg_attribute AS a
        INNER JOIN pg_catalog.pg_class AS c ON a.attrelid = c.oid
        INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
        WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
        """,
        (modifier, name.schema, name.relation),
    ).fetchall()
    return dict(rows)
