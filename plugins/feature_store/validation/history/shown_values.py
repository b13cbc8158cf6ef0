"""The values of an input's row as text, kept for people, and what differs between two rows."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from feature_store.relation_name import beside_values

_BETWEEN, _NULL = chr(31), chr(30)
_MOST_CHARACTERS, _MOST_COLUMNS = 40, 4


def said(columns: Sequence[str]) -> sql.Composed:
    """The values of these columns of ``h`` as one text, each cut to 40 characters.

    For a query that binds values.
    """
    values = (
        sql.SQL("coalesce(left(h.{}::text, {}), chr(30))").format(
            beside_values(column), sql.Literal(_MOST_CHARACTERS)
        )
        for column in columns
    )
    return sql.SQL("concat_ws(chr(31), {})").format(sql.SQL(", ").join(values))


def change(columns: Sequence[str], then: str | None, now: str | None) -> str:
    """Which values differ, old and new; empty if they were not kept."""
    before, after = ([] if text is None else text.split(_BETWEEN) for text in (then, now))
    if len(before) != len(columns) or len(after) != len(columns):
        return ""
    told = [
        f"{column} {_shown(old)} → {_shown(new)}"
        for column, old, new in zip(columns, before, after, strict=True)
        if old != new
    ]
    more = f" and {len(told) - _MOST_COLUMNS} more" if len(told) > _MOST_COLUMNS else ""
    return ", ".join(told[:_MOST_COLUMNS]) + more


def _shown(value: str) -> str:
    if value == _NULL:
        return "NULL"
    if not value:
        return "''"
    return f"{value}…" if len(value) == _MOST_CHARACTERS else value
