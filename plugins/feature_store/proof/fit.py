"""Whether a specification fits its relation: the same columns, types and order."""

from __future__ import annotations

import psycopg

from feature_store.audit.adopted import adopted_relations
from feature_store.connection import Connection
from feature_store.database.query_columns import query_columns
from feature_store.declarations.source_tables import live_columns
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
    if str(relation.name) in adopted:  # extra columns of the owner do not matter
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


def described(connection: Connection, specification: Specification) -> dict[str, str]:
    """The columns of a specification and their types.

    Raises:
        psycopg.Error: it cannot be run, or not now.
    """
    return query_columns(connection, f"SELECT * FROM (\n{specification.query}\n) AS s")  # noqa: S608
