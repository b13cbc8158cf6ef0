"""Builds relations beside the old ones: in schemas of their own, under their own names.

Each of the store's schemas has one beside it, because two may have indexes of one name. So no new
names are needed, and queries keep their text. Only the schema before the names differs,
and that changes back when they are swapped.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from feature_store.connection import Connection
from feature_store.database.kept_privileges import Step, given_by_default
from feature_store.database.read_locks import find_reads, lock_reads
from feature_store.declarations.files.schema_rewrite import moved
from feature_store.errors import LeaseTaken, NotReady, passes_on_its_own
from feature_store.relation_name import Name
from feature_store.schema.privileges.schema_owner import as_the_owner, store_owner
from feature_store.schema.replacement.carry_over import keep
from feature_store.schema.replacement.dependents import Rebuilt, Replacement

log = logging.getLogger(__name__)

_MAY = {"42501": "Apply as the owner of what is replaced, or grant its owner what is missing."}
# The line of SQL that the client shows. Its number is the statement's, not the file's.
_AT = re.compile(r"^LINE \d+: *(.*?),?$", re.MULTILINE)


def place_beside(name: Name) -> Name:
    """Where the new relation of this name is built."""
    return Name(f"feature_store_beside_{name.schema}", name.relation)


@dataclass(frozen=True)
class Kept:
    """What was read of the old relations, and is therefore kept.

    Attributes:
        written: all comments that files have had until then.
        steps: by relation, the statements that keep what the old one has, and what each keeps.
    """

    written: str
    steps: dict[Name, list[Step]]


def build(connection: Connection, replacement: Replacement, written: str) -> Kept:
    """Create the new relations, empty, with everything that the old ones have.

    Args:
        connection: a pinned session, in the transaction that will swap.
        replacement: what to build.
        written: all comments that files have had until now.

    Raises:
        LeaseTaken: another transaction is building at this moment.
        NotReady: something cannot be kept; the message names it.
    """
    schemas = {one.name: place_beside(one.name).schema for one in replacement.rebuilt}
    _create_schemas(connection, sorted(set(schemas.values())))
    kept = Kept(written, {})
    for one in replacement.rebuilt:
        if one.old is None:
            with as_the_owner(connection):
                _create(connection, one, schemas)
                _alter(connection, one, given_by_default(connection, one.name, schemas[one.name]))
            continue
        _create(connection, one, schemas)
        kept.steps[one.name] = read_kept(connection, one, written)
        _alter(connection, one, kept.steps[one.name])
    return kept


def read_kept(connection: Connection, one: Rebuilt, written: str) -> list[Step]:
    """Read what a relation's old one has now, as statements for the new one; none if it is new.

    Args:
        connection: a pinned session.
        one: the relation.
        written: all comments that files have had.
    """
    if one.old is None:
        return []
    # A materialized view of the store may replace a user's plain view.
    had = replace(one.old, materialized=one.relation.file.materialized)
    own = (one.relation.file.indexes, written) if one.from_file else ((), None)
    return keep(connection, had, place_beside(one.name).schema, *own)


def _create_schemas(connection: Connection, schemas: Iterable[str]) -> None:
    owner = store_owner(connection)
    for schema in schemas:
        name = sql.Identifier(schema)
        try:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
        except psycopg.errors.LockNotAvailable as error:
            # Whoever builds has a schema of this name, which nobody else sees yet.
            raise LeaseTaken(
                "Another apply, or a rehearsal, is building in this database.",
                next_step="Try again when it is done.",
            ) from error
        if owner:  # new relations are the owner's, whoever applies
            may = sql.SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {}").format(name, sql.SQL(owner))
            connection.execute(may)


def _create(connection: Connection, one: Rebuilt, schemas: dict[Name, str]) -> None:
    with naming(f"{one.name} cannot be built"):
        connection.execute(moved(_definition(one), schemas).encode())
        if one.from_file:
            for index in one.relation.file.indexes.values():
                connection.execute(moved(index.text, schemas).encode())
            for comment in one.relation.file.comments:
                connection.execute(moved(comment.text, schemas).encode())


def _alter(connection: Connection, one: Rebuilt, steps: Iterable[Step]) -> None:
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
def naming(
    problem: str, *, mend: str | None = None, besides: tuple[type[psycopg.Error], ...] = ()
) -> Iterator[None]:
    """Turn a refusal of the server into an error that says what could not be done.

    Args:
        problem: what could not be done.
        mend: what to do about it.
        besides: refusals that the caller tells in words of its own.

    Raises:
        NotReady: for an error that another try cannot help.
    """
    try:
        yield
    except psycopg.Error as error:
        if passes_on_its_own(error) or isinstance(error, besides):
            raise
        details = [error.diag.message_primary or str(error), error.diag.message_detail]
        details += [f"It stands at: {line}" for line in _AT.findall(str(error))]
        raise NotReady(
            f"Nothing was applied: {problem}: {'. '.join(d for d in details if d)}.",
            readers="what they had before.",
            next_step=mend or _MAY.get(error.sqlstate or ""),
        ) from error


def _definition(one: Rebuilt) -> str:
    if one.from_file or one.old is None:
        return one.relation.file.create.text
    name = one.name.quoted
    ending = "\nWITH NO DATA" if one.old.materialized else ""
    return f"CREATE {one.old.kind} {name} AS\n{one.old.query}{ending}"
