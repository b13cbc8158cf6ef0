"""What decides a relation's rows: its query, the queries below it, the tables below those.

If all inputs of a relation still have the states that its latest refresh read, a refresh now would
give the same rows, and prove and record the same. So what specification and witness read are
inputs, too: a query that forgets a source gives the right rows until that source changes. And so is
all that decides what is proven: another version of the package may compare more.

The states are read in the refresh's own snapshot, not before it. Otherwise a row that came, was
seen by the refresh, and went again would leave no trace.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum

import psycopg

from feature_store import __version__
from feature_store.audit.last_refresh_state import LastStates
from feature_store.audit.row_versions import (
    Found,
    find_named,
    find_relations,
    row_state,
    with_children,
)
from feature_store.connection import Connection
from feature_store.database.read_locks import asked_beside
from feature_store.database.stored_queries.stored_query import read_stored_query
from feature_store.declarations.store_definition import Relation
from feature_store.proof.what_is_proven import what_is_proven

log = logging.getLogger(__name__)

QUERY_OF = "the query of "
"""How a view's query is called in the record, before the view's name.

It must never change: the database takes the name from it before it certifies (``unproven``).
"""


class InputKind(StrEnum):
    """What sort of input it is."""

    SETTING = "setting"
    QUERY = "query"
    ROWS = "rows"


@dataclass(frozen=True)
class Input:
    """Something that decides a relation's rows.

    Attributes:
        name: a relation's name, or what else it is in words.
        kind: what sort of input it is.
        state: equal to an earlier one only if nothing has changed; None if it cannot be read.
        doubt: why it cannot be read, in words; empty if it can.
    """

    name: str
    kind: InputKind
    state: str | None
    doubt: str = ""


@dataclass(frozen=True)
class Inputs:
    """All inputs of a relation.

    Attributes:
        all: in no particular order, each name once.
    """

    all: tuple[Input, ...]

    @property
    def states(self) -> dict[str, str | None]:
        """The states by name, for the record."""
        return {one.name: one.state for one in self.all}


def read_inputs(
    connection: Connection, relation: Relation, zone: str, last_states: LastStates
) -> Inputs | None:
    """Read the inputs of a relation as the open transaction sees them.

    A materialized view below it counts as a table: by its rows, not by what it is made of.

    Args:
        connection: a pinned session, in a REPEATABLE READ transaction.
        relation: of the store.
        zone: the session's time zone.
        last_states: what refreshes left; such materialized views need not be read.

    Returns:
        None if they could not be read; the log says why.

    Raises:
        psycopg.Error: an error that may pass by itself, or a cancelled statement.
    """
    try:
        with connection.transaction():
            found = _walk(connection, relation, last_states)
    except (psycopg.ProgrammingError, psycopg.errors.ObjectNotInPrerequisiteState) as error:
        log.info("Cannot tell what %s reads: %s", relation.name, error.diag.message_primary)
        return None
    return Inputs((*_settings(connection, relation, zone), *found))


def read_outcome(connection: Connection, relation: Relation, last_states: LastStates) -> str | None:
    """Read the state of a relation's own rows; None if it cannot be read."""
    found = find_named(connection, relation.name)
    if not found or found[0].doubt:
        return None
    return row_state(connection, found[0], last_states)


def read_version(connection: Connection, relation: Relation) -> str | None:
    """Read the version of a relation's entry in the catalog, see `last_refresh_state`.

    Returns:
        None if the transaction sees two: its own, and the one before that which somebody else
        replaced after the transaction had begun.
    """
    found = find_named(connection, relation.name)
    return found[0].version if len(found) == 1 else None


def _settings(connection: Connection, relation: Relation, zone: str) -> list[Input]:
    settings = {
        "the package's version": __version__,
        "the server's version": connection.info.parameter_status("server_version"),
        "the time zone": zone,
        # A reused refresh also brings what it proved, and what it recorded for later checks.
        **what_is_proven(relation),
    }
    return [Input(name, InputKind.SETTING, state) for name, state in settings.items()]


def _walk(connection: Connection, relation: Relation, last_states: LastStates) -> list[Input]:
    pending = find_named(connection, relation.name)
    views, tables = {one.oid for one in pending}, set[int]()
    readers = {one.owner for one in pending}
    inputs: list[Input] = []

    def add(read: Found) -> None:
        if read.kind == "v" and read.doubt is None:
            views.add(read.oid)
            readers.add(read.owner)
            pending.append(read)
        else:
            tables.add(read.oid)

    for read in find_named(connection, *asked_beside(relation)):
        add(read)
    while pending:
        view = pending.pop()
        query = read_stored_query(connection, view.oid)
        state = None if query.doubts else f"{view.oid}/{query.version}"
        inputs.append(Input(_query_of(view), InputKind.QUERY, state, "; ".join(query.doubts)))
        for read in find_relations(connection, query.reads - views):
            add(read)
    family = find_relations(connection, with_children(connection, tables), readers)
    return inputs + [_rows(connection, table, last_states) for table in family]


def _query_of(view: Found) -> str:
    return f"{QUERY_OF}{view.name}"


def _rows(connection: Connection, table: Found, last_states: LastStates) -> Input:
    if table.doubt:
        return Input(table.name, InputKind.ROWS, None, table.doubt)
    if table.kind == "p":  # its rows are in its partitions
        return Input(table.name, InputKind.ROWS, str(table.oid))
    return Input(table.name, InputKind.ROWS, row_state(connection, table, last_states))
