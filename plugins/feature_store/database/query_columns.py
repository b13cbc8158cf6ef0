"""The columns that a query gives, as the server reads it."""

from __future__ import annotations

from collections.abc import Collection

import psycopg
from psycopg import errors, sql
from psycopg.pq import ExecStatus

from feature_store.connection import Connection
from feature_store.declarations.files.schema_rewrite import moved
from feature_store.declarations.store_definition import Relation, Store, closure
from feature_store.errors import BadInput, passes_on_its_own
from feature_store.relation_name import Name


def query_columns(connection: Connection, query: str) -> dict[str, str]:
    """A query's columns with their types. It is only read, not run, so nothing must be filled.

    Raises:
        psycopg.Error: the server cannot read it, or cannot just now (`errors.passes_on_its_own`).
    """
    with connection.transaction():
        for result in (
            connection.pgconn.prepare(b"", query.encode()),
            connection.pgconn.describe_prepared(b""),
        ):
            if result.status != ExecStatus.COMMAND_OK:
                if connection.closed:  # this says nothing about the query
                    raise psycopg.OperationalError("the connection is lost")
                raise errors.error_from_result(result)
    places = range(result.nfields)
    types = connection.execute(
        "SELECT format_type(t.oid, NULL) FROM unnest(%s::oid[]) WITH ORDINALITY AS t (oid, place) "
        "ORDER BY t.place",
        ([result.ftype(i) for i in places],),
    ).fetchall()
    names = [(result.fname(i) or b"").decode() for i in places]
    return dict(zip(names, (t for (t,) in types), strict=True))


def expected_columns(connection: Connection, store: Store, relation: Relation) -> dict[str, str]:
    """The columns that a file's query gives, with their types, as the server reads it.

    Raises:
        BadInput: the server cannot read it.
    """
    text = f"SELECT * FROM {relation.name.quoted}"  # noqa: S608  # the name is quoted
    try:
        return columns_by_files(connection, store, text, [relation.name])
    except psycopg.Error as error:
        if passes_on_its_own(error):
            raise
        reason = error.diag.message_primary
        raise BadInput(
            f"{relation.file.path}: its columns cannot be determined: {reason}."
        ) from error


def columns_by_files(
    connection: Connection, store: Store, query: str, reads: Collection[Name]
) -> dict[str, str]:
    """The columns of a query over the store's relations as their files define them.

    It is only parsed, over the files' queries below it down to the sources, so that nothing but the
    sources must exist and no privilege is needed. An adopted relation may have further columns;
    here it has none.

    Args:
        connection: a pinned session.
        store: what the files say.
        query: one statement that gives rows.
        reads: the relations and sources that it names.

    Raises:
        psycopg.Error: the server cannot read it, or cannot just now (`errors.passes_on_its_own`).
    """
    named = [r for r in store.relations if r.name in reads]
    found = {below.name for relation in named for below in closure(store, relation)}
    names = dict.fromkeys(found)
    below = [r for r in store.relations if r.name in found]
    queries = [f"{_quoted(r.name.relation)} AS (\n{moved(r.file.query, names)}\n)" for r in below]
    ctes = f"WITH {', '.join(queries)} " if queries else ""
    # The files' own SQL, which is not run.
    text = f"{ctes}SELECT * FROM (\n{moved(query, names)}\n) AS q"  # noqa: S608
    return query_columns(connection, text)


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string()
