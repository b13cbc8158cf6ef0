"""Layers that somebody else changed in the middle of a run.

Only a refresh changes a materialized view's rows, and each refresh of the run recorded the row
versions that it left. If there are others, somebody refreshed or rewrote the layer by hand.
Checking such rows would tell nothing, because the layers above were made of the earlier ones.
"""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from feature_store.audit.last_refresh_state import LastStates, last_states_of
from feature_store.audit.latest_refreshes import Latest, read_latest
from feature_store.audit.row_versions import find_named, row_state, versions_of
from feature_store.connection import Connection
from feature_store.errors import Interfered
from feature_store.relation_name import Name


def check_untouched(connection: Connection, names: Iterable[Name], what: str) -> None:
    """Check that layers still have exactly the rows of their latest refreshes.

    Args:
        connection: a pinned session; within a transaction, what that sees is what counts.
        names: of materialized views. Those without a recorded state are not checked.
        what: what cannot be checked otherwise, in words.

    Raises:
        Interfered: somebody else has changed some; the message names all of them.
        psycopg.Error: what may pass by itself, such as a layer that is being rewritten.
    """
    latest = read_latest(connection)
    last_states = last_states_of(latest)
    touched = [
        name
        for name in sorted(set(names))
        if (last := latest.get(str(name))) and _is_touched(connection, name, last, last_states)
    ]
    if not touched:
        return
    told = [
        f"{name} was refreshed or rewritten by hand since {latest[str(name)].run_id} refreshed it"
        for name in touched
    ]
    raise Interfered(
        f"{what} was not checked, because somebody else changed layers during the run. This says "
        "nothing about the data:",
        items=told,
        about=list(map(str, touched)),
        readers="the rows that the layers have now; require_certified refuses rows that no run "
        "has proven.",
        next_step=f"Clear the task of {touched[0]} with what follows it; it refreshes the layer "
        "again. The server's log may say who did it.",
    )


def _is_touched(connection: Connection, name: Name, last: Latest, last_states: LastStates) -> bool:
    if last.outcome is None:
        return False
    try:
        with connection.transaction():
            found = find_named(connection, name)
            if len(found) > 1:  # it was dropped and created again since this snapshot
                return True
            if found[0].doubt:
                return False
            return versions_of(row_state(connection, found[0], last_states)) != versions_of(
                last.outcome
            )
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return True
