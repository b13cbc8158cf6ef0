"""A connection to PostgreSQL, and queries that have one row.

The other queries are run by ``connection.execute``. `one_row` and `one_value` are for those whose
row is known to be there: an aggregate, ``RETURNING``, a ``SELECT`` without ``FROM``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
from psycopg.rows import TupleRow

if TYPE_CHECKING:
    from psycopg.abc import Params, QueryNoTemplate

# What a row is made of is known to the server alone.
Connection: TypeAlias = psycopg.Connection[TupleRow]


def one_row(
    connection: Connection, query: QueryNoTemplate, values: Params | None = None
) -> TupleRow:
    """The first row of a query that always has one."""
    row = connection.execute(query, values).fetchone()
    assert row is not None, f"no row: {query!r}"
    return row


def one_value(connection: Connection, query: QueryNoTemplate, values: Params | None = None) -> Any:
    """The first column of the first row of a query that always has one."""
    return one_row(connection, query, values)[0]
