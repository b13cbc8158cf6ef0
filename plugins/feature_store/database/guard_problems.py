"""What guards find: the rows that keep a refresh from starting, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from feature_store.connection import Connection, one_value
from feature_store.declarations.guards import Guard
from feature_store.text_format import MOST_ROWS

# As JSON, which can hold values that Python cannot, such as a moment in the year 20000.
_ASKED = """
SELECT coalesce(json_agg(row_to_json(b)), '[]') FROM (SELECT * FROM ({}) AS a LIMIT {}) AS b
"""


def guard_problems(connection: Connection, guards: Iterable[Guard]) -> list[str]:
    """Ask guards; for each one that does not hold, name the rows that break it and what to do.

    Args:
        connection: a pinned session; the guards check what it sees.
        guards: which.
    """
    return [problem for guard in guards for problem in _problem(connection, guard)]


def _problem(connection: Connection, guard: Guard) -> list[str]:
    asked = sql.SQL(_ASKED).format(sql.SQL(guard.query), sql.Literal(MOST_ROWS + 1))
    against = [
        ", ".join(f"{k} {v}" for k, v in one.items()) for one in one_value(connection, asked)
    ]
    if not against:
        return []
    shown = "\n".join(against[:MOST_ROWS]) + ("\nand more" if len(against) > MOST_ROWS else "")
    return [
        f"{guard.name}: expected {guard.expected}. These rows break it:\n{shown}\nNext: "
        f"{guard.mend}"
    ]
