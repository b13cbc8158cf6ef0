"""Whether a specification fits its relation: the same columns, types and order."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg import sql

from feature_store.audit.adopted import adopted_relations
from feature_store.connection import Connection, one_row
from feature_store.database.catalog import live_columns
from feature_store.database.query_columns import query_columns
from feature_store.declarations.specifications import Specification
from feature_store.declarations.store_definition import Relation, Store
from feature_store.errors import passes_on_its_own
from feature_store.text_format import in_words


def specification_problems(connection: Connection, store: Store) -> list[str]:
    """Name the specifications that lack their relations' columns. Every relation must exist."""
    adopted = adopted_relations(connection)
    return [
        problem
        for relation in store.relations
        if relation.specification
        for problem in misfits(connection, relation, relation.specification, adopted)
    ]


def misfits(
    connection: Connection,
    relation: Relation,
    specification: Specification,
    adopted: frozenset[str],
) -> list[str]:
    """Why a specification does not cover all columns of its relation, in words."""
    try:
        given = described(connection, specification)
    except psycopg.Error as error:
        if passes_on_its_own(error):
            raise
        return [f"{specification.path} cannot be run: {error.diag.message_primary}."]
    live = live_columns(connection, relation.name)
    missing = [column for column in live if column not in given]
    if str(relation.name) in adopted:  # see `adopted_columns` for what is missing
        live = {column: live[column] for column in given if column in live}
        missing = []
    wrong = [
        f"it lacks {in_words(missing)}" if missing else "",
        *(f"{relation.name} has no column {c}" for c in given if c not in live),
        *(
            f"its {column} is {given[column]}, not {live[column]}"
            for column in live
            if column in given and given[column] != live[column]
        ),
    ]
    if not any(wrong) and list(given) != list(live):
        wrong = [f"its columns are not in the order of {relation.name}"]
    unknown = [c for c in (*specification.key, *specification.tolerance) if c not in given]
    wrong += (
        [f"its header names {in_words(unknown)}, which its query does not give"] if unknown else []
    )
    return [f"{specification.path}: {words}." for words in wrong if words]


def collation_misfits(
    connection: Connection, relation: Relation, expected: sql.Composable, columns: Iterable[str]
) -> list[str]:
    """Which columns of text have another collation than in the specification, in words.

    Their bytes may be the same, and are compared as such. But ``lower()`` and patterns go by the
    collation, in every relation above, and in its specification as well.

    Args:
        connection: a pinned session. What the specification reads has been refreshed.
        relation: it exists.
        expected: its specification's query, in parentheses.
        columns: of that query.

    Raises:
        psycopg.Error: the specification cannot be run, or not now.
    """
    live: dict[str, str] = dict(
        connection.execute(
            "SELECT a.attname, a.attcollation::regcollation::text "
            "FROM pg_catalog.pg_attribute AS a "
            "WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND a.attcollation <> 0",
            (relation.name.quoted,),
        ).fetchall()
    )
    texts = [column for column in columns if column in live]
    if not texts:
        return []
    # A row of NULLs: nothing is read.
    asked = sql.SQL(
        "SELECT {} FROM (SELECT) AS one LEFT JOIN (SELECT * FROM {} AS q LIMIT 0) AS s ON TRUE"
    ).format(
        sql.SQL(", ").join(
            sql.SQL("pg_collation_for({})").format(sql.Identifier("s", column)) for column in texts
        ),
        expected,
    )
    given = dict(zip(texts, one_row(connection, asked), strict=True))
    return [
        f"{relation.name}: its {column} has the collation {live[column]}, not {given[column]}, so "
        "upper and lower case, and patterns, may be others in what reads it."
        for column in texts
        if given[column] != live[column]
    ]


def described(connection: Connection, specification: Specification) -> dict[str, str]:
    """The columns of a specification and their types.

    Raises:
        psycopg.Error: it cannot be run, or not now.
    """
    return query_columns(connection, f"SELECT * FROM (\n{specification.query}\n) AS s")  # noqa: S608
