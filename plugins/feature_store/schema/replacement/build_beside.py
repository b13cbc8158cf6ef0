"""Builds relations beside the old ones: in schemas of their own, under their own names.

Each of the store's schemas has one beside it, because two may have indexes of one name. So no new
names are needed, and queries keep their text. Only the schema before the names differs,
and that changes back when they are swapped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
from psycopg import sql

from feature_store.connection import Connection
from feature_store.database.kept_privileges import given_by_default
from feature_store.database.read_locks import find_reads, lock_reads
from feature_store.declarations.files.schema_rewrite import moved
from feature_store.errors import NotReady, passes_on_its_own
from feature_store.relation_name import Name
from feature_store.schema.replacement.carry_over import keep
from feature_store.schema.replacement.dependents import Rebuilt, Replacement

log = logging.getLogger(__name__)

_MAY = {"42501": "Apply as the owner of what is replaced, or grant its owner what is missing."}


def place_beside(name: Name) -> Name:
    """Where the new relation of this name is built."""
    return Name(f"feature_store_beside_{name.schema}", name.relation)


def build(connection: Connection, replacement: Replacement, written: str) -> None:
    """Create the new relations, empty, with everything that the old ones have.

    Args:
        connection: a pinned session, in the transaction that will swap.
        replacement: what to build.
        written: all comments that files have had until now.

    Raises:
        NotReady: something cannot be kept; the message names it.
    """
    schemas = {one.name: place_beside(one.name).schema for one in replacement.rebuilt}
    for schema in sorted(set(schemas.values())):
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    for one in replacement.rebuilt:
        with naming(f"{one.name} cannot be built"):
            connection.execute(moved(_create(one), schemas).encode())
            if one.from_file:
                for index in one.relation.file.indexes.values():
                    connection.execute(moved(index.text, schemas).encode())
                for comment in one.relation.file.comments:
                    connection.execute(moved(comment.text, schemas).encode())
        if one.old:
            # A materialized view of the store may replace a user's plain view.
            had = replace(one.old, materialized=one.relation.file.materialized)
            own = (one.relation.file.indexes, written) if one.from_file else ((), None)
            steps = keep(connection, had, schemas[one.name], *own)
        else:
            steps = list(given_by_default(connection, one.name, schemas[one.name]))
        for statement, what in steps:
            with naming(f"{one.name}: {what} cannot be kept"):
                connection.execute(statement)


def fill(connection: Connection, replacement: Replacement) -> None:
    """Fill what must be filled, each after everything that it reads.

    Raises:
        NotReady: its query fails.
    """
    for one in replacement.rebuilt:
        if not one.filled:
            continue
        name = place_beside(one.name)
        log.info("Filling %s beside the old one.", one.name)
        with naming(f"{one.name} cannot be filled"):
            lock_reads(connection, find_reads(connection, name))
            # A refresh leaves rows that every snapshot sees, even older ones.
            connection.execute(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(name.identifier))
        connection.execute(sql.SQL("ANALYZE {}").format(name.identifier))


@contextmanager
def naming(problem: str) -> Iterator[None]:
    """Turn a refusal of the server into an error that says what could not be done.

    Raises:
        NotReady: for an error that another try cannot help.
    """
    try:
        yield
    except psycopg.Error as error:
        if passes_on_its_own(error):
            raise
        details = [error.diag.message_primary or str(error), error.diag.message_detail]
        raise NotReady(
            f"Nothing was applied: {problem}: {'. '.join(d for d in details if d)}.",
            readers="what they had before.",
            next_step=_MAY.get(error.sqlstate or ""),
        ) from error


def _create(one: Rebuilt) -> str:
    if one.from_file or one.old is None:
        return one.relation.file.create.text
    name = one.name.quoted
    ending = "\nWITH NO DATA" if one.old.materialized else ""
    return f"CREATE {one.old.kind} {name} AS\n{one.old.query}{ending}"
