"""Changes between the baseline's rows and those of a history check: counted, or deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from feature_store.audit.lease import Lease
from feature_store.connection import Connection
from feature_store.text_format import MOST_ROWS
from feature_store.validation.history.shown_values import change

# Bytes of each column's digest: enough to say in which columns a differing row differs.
BYTES_PER_COLUMN = 4

CHANGE = "change"
"""The field of an example that has its old and new values."""


@dataclass(frozen=True)
class Difference:
    """How a day differs from its baseline.

    Attributes:
        came: rows whose key the day did not have before.
        went: rows whose key the day no longer has.
        changed: rows with changed values.
        columns: the columns that changed.
        examples: up to 20 of these rows, each with its key; a changed row of an input also has its
            old and new values.
    """

    came: int
    went: int
    changed: int
    columns: tuple[str, ...]
    examples: tuple[dict[str, Any], ...]


def differences(
    connection: Connection,
    layer: str,
    days: Sequence[date],
    names: Sequence[str],
    values: Sequence[str],
) -> dict[date, Difference]:
    """The changes found on some days of a layer, counted.

    Args:
        connection: in the check's transaction.
        layer: the layer's name.
        days: the days.
        names: the names of the parts of a row's key.
        values: the other columns, in the order of their digests.
    """
    if not days:
        return {}
    found = connection.execute(
        _DIFFERENCES,
        {
            "layer": layer,
            "days": list(days),
            "values": list(values),
            "bytes": BYTES_PER_COLUMN,
            "examples": MOST_ROWS,
        },
    ).fetchall()
    return {
        day: Difference(
            came,
            went,
            changed,
            tuple(name for name in values if name in (columns or ())),
            tuple(_example(names, values, *example) for example in examples),
        )
        for day, came, went, changed, columns, examples in found
    }


def _example(
    names: Sequence[str],
    values: Sequence[str],
    how: str,
    key: Sequence[Any],
    then: str | None,
    now: str | None,
) -> dict[str, Any]:
    told = {"row": how, **dict(zip(names, key, strict=True))}
    changed = change(values, then, now) if how == "changed" else ""
    return {**told, CHANGE: changed} if changed else told


def drop_changes(connection: Connection, lease: Lease, layer: str, days: Iterable[date]) -> None:
    """Delete the changes of days that are checked again, or are as their baseline again."""
    connection.execute(
        "SELECT feature_store_audit.drop_changes(%s, %s, %s::date[])",
        (lease.token, layer, list(days)),
    )


# A key that both came and went is a changed row. Without a key there are no changed rows.
_DIFFERENCES = """
WITH keyed AS (
    SELECT
        c.day,
        c.row_key,
        count(*) FILTER (WHERE c.came) AS came,
        count(*) FILTER (WHERE NOT c.came) AS went,
        (array_agg(c.columns) FILTER (WHERE c.came))[1] AS columns_now,
        (array_agg(c.columns) FILTER (WHERE NOT c.came))[1] AS columns_then,
        (array_agg(c.said) FILTER (WHERE c.came))[1] AS said_now,
        (array_agg(c.said) FILTER (WHERE NOT c.came))[1] AS said_then
    FROM feature_store_audit.history_change AS c
    WHERE c.layer = %(layer)s AND c.day = ANY(%(days)s::date[])
    GROUP BY c.day, c.row_key
),

changed_column AS (
    SELECT
        k.day,
        array_agg(DISTINCT n.name) AS names
    FROM keyed AS k
    CROSS JOIN unnest(%(values)s::text[]) WITH ORDINALITY AS n (name, position)
    WHERE
        k.came > 0
        AND k.went > 0
        AND substr(k.columns_now, (n.position::int - 1) * %(bytes)s + 1, %(bytes)s)
        <> substr(k.columns_then, (n.position::int - 1) * %(bytes)s + 1, %(bytes)s)
    GROUP BY k.day
),

placed AS (
    SELECT
        k.*,
        least(k.came, k.went) AS changed,
        row_number() OVER (PARTITION BY k.day ORDER BY k.row_key) AS place
    FROM keyed AS k
)

SELECT
    p.day,
    sum(p.came - p.changed)::bigint AS came,
    sum(p.went - p.changed)::bigint AS went,
    sum(p.changed)::bigint AS changed,
    (SELECT c.names FROM changed_column AS c WHERE c.day = p.day) AS columns,
    jsonb_agg(
        jsonb_build_array(
            CASE WHEN p.changed > 0 THEN 'changed' WHEN p.came > 0 THEN 'came' ELSE 'went' END,
            p.row_key::jsonb,
            p.said_then,
            p.said_now
        )
        ORDER BY p.place
    ) FILTER (WHERE p.place <= %(examples)s) AS examples
FROM placed AS p
GROUP BY p.day
"""
