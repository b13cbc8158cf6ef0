"""A connection to PostgreSQL, queries that have one row, and transactions that see one moment.

The other queries are run by ``connection.execute``. `one_row` and `one_value` are for those whose
row is known to be there: an aggregate, ``RETURNING``, a ``SELECT`` without ``FROM``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus
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


@contextmanager
def seeing_one_moment(connection: Connection, *, read_only: bool = False) -> Iterator[None]:
    """Let each transaction that begins within see a single moment (REPEATABLE READ).

    Args:
        connection: in autocommit mode.
        read_only: whether they may only read.
    """
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    connection.read_only = True if read_only else None
    try:
        yield
    finally:
        # After a timeout the server may be at work yet. The session ends then, and to change
        # anything of it would be an error in the place of the timeout.
        if not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE:
            connection.isolation_level = None
            connection.read_only = None
