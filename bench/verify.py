"""Checks that the reference gives our rows: otherwise ratios would compare different things."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, sql

from bench.reference import SCHEMA, Reference
from feature_store.declarations.store_definition import Relation
from feature_store.errors import StoreError
from feature_store.text_format import bullets

# Sums of floats in an order that the reference leaves open, and what is made of them: equal to a
# relative 1e-9. Everything else is equal exactly.
FLOAT_SUMS = frozenset(
    {
        "gmc_seg_color_entropy",
        "speed_fast24_anchor",
        "speed_fast7_anchor",
        "speed_n_eff_ptv",
        "speed_slow21_anchor",
        "sum_w",
    }
)
_TOLERANCE = 1e-9


class RowsDiffer(StoreError):
    """The reference and ours are not the same rows, so there is nothing to compare."""


def verify(connection: Connection[Any], reference: Reference) -> dict[str, int]:
    """Compare every materialized view of the reference with ours, row by row, in both directions.

    Returns:
        By relation: the rows that were compared.

    Raises:
        RowsDiffer: a row is in one and not in the other; names every relation that differs.
    """
    compared: dict[str, int] = {}
    problems: list[str] = []
    for relation in reference.refreshed:
        rows, only_ours, only_theirs, far = _compare(connection, relation)
        compared[str(relation.name)] = rows
        if only_ours or only_theirs or far:
            problems.append(
                f"{relation.name}: {only_ours:,} rows are only in ours, {only_theirs:,} only in "
                f"the reference, {far:,} differ in a sum of floats by more than {_TOLERANCE}"
            )
    if problems:
        raise RowsDiffer(
            "The reference does not give our rows:\n" + bullets(problems),
            next_step="Mend bench/reference or include/sql; ratios mean nothing before.",
        )
    return compared


def _compare(connection: Connection[Any], relation: Relation) -> tuple[int, int, int, int]:
    ours = relation.name.identifier
    theirs = sql.Identifier(SCHEMA, relation.name.relation)
    columns = _columns(connection, relation)
    exact = sql.SQL(", ").join(sql.Identifier(c) for c in columns if c not in FLOAT_SUMS)
    row = connection.execute(
        sql.SQL(
            """
            SELECT
                (SELECT count(*) FROM {ours}),
                (
                    SELECT count(*) FROM (
                        SELECT {exact} FROM {ours} EXCEPT ALL SELECT {exact} FROM {theirs}
                    ) AS o
                ),
                (
                    SELECT count(*) FROM (
                        SELECT {exact} FROM {theirs} EXCEPT ALL SELECT {exact} FROM {ours}
                    ) AS t
                ),
                {far}
            """
        ).format(ours=ours, theirs=theirs, exact=exact, far=_far(relation, columns, ours, theirs))
    ).fetchone()
    assert row is not None  # a SELECT without FROM
    return row[0], row[1], row[2], row[3]


def _far(
    relation: Relation, columns: list[str], ours: sql.Identifier, theirs: sql.Identifier
) -> sql.Composable:
    """Counts the rows of one key whose sums of floats are too far from each other."""
    sums = [column for column in columns if column in FLOAT_SUMS]
    if not sums:
        return sql.SQL("0")
    key = next(iter(relation.file.unique_indexes.values()))
    far = [
        sql.SQL(
            "(o.{0} IS NULL) <> (t.{0} IS NULL) "
            "OR abs(o.{0} - t.{0}) > {1} * greatest(1, abs(o.{0}))"
        ).format(sql.Identifier(column), sql.Literal(_TOLERANCE))
        for column in sums
    ]
    return sql.SQL("(SELECT count(*) FROM {} AS o INNER JOIN {} AS t USING ({}) WHERE {})").format(
        ours,
        theirs,
        sql.SQL(", ").join(map(sql.Identifier, key)),
        sql.SQL(" OR ").join(far),
    )


def _columns(connection: Connection[Any], relation: Relation) -> list[str]:
    rows = connection.execute(
        "SELECT attname FROM pg_catalog.pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (relation.name.quoted,),
    ).fetchall()
    return [name for (name,) in rows]
