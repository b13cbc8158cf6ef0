"""The columns that a query gives, as the server reads it."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import Connection, errors
from psycopg.pq import ExecStatus


def query_columns(connection: Connection[Any], query: str) -> dict[str, str]:
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
