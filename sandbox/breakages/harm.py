"""Tools to do harm: force rows into materialized views, cut sessions, edit files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from feature_store.audit.row_versions import find_named, row_state
from feature_store.relation_name import Name
from sandbox.breakages.breakage import Harm, Scene

_WAIT_SECONDS = 30.0


def sql(*statements: str) -> Harm:
    """A harm done by SQL."""

    def do(scene: Scene) -> None:
        for statement in statements:
            done = scene.connection.execute(statement.encode())
            if done.rowcount == 0:
                raise RuntimeError(f"This harmed nothing: {statement}")

    return do


def into_view(relation: str, *statements: str) -> Harm:
    """A harm done by SQL to the rows of a materialized view, as if its refresh had made them so."""

    def do(scene: Scene) -> None:
        with _as_table(scene.connection, relation):
            sql(*statements)(scene)
        as_its_refresh_left_it(scene.connection, relation)

    return do


def as_its_refresh_left_it(connection: Connection[Any], relation: str) -> None:
    """Record the rows as the refresh's own; otherwise they would count as somebody else's."""
    (found,) = find_named(connection, Name.parse(relation))
    connection.execute(
        "UPDATE feature_store_audit.refresh SET outcome = %s, version = %s WHERE refresh_id = ("
        "SELECT refresh_id FROM feature_store_audit.latest_refresh WHERE relation = %s)",
        (row_state(connection, found), found.version, relation),
    )


@contextmanager
def _as_table(connection: Connection[Any], relation: str) -> Iterator[None]:
    """Make the catalog call a materialized view a table, for one transaction."""
    declare = (
        "UPDATE pg_catalog.pg_class SET relkind = %s, relhasrules = %s WHERE oid = %s::regclass"
    )
    with connection.transaction():
        connection.execute("SET LOCAL allow_system_table_mods = on")
        connection.execute(declare, ("r", False, relation))
        yield
        connection.execute(declare, ("m", True, relation))


def while_blocked(table: str, task: str, harm: Callable[[Scene, str], None]) -> Harm:
    """A harm done in the middle of a later task: when a session of it waits for a lock of ours.

    Args:
        table: that the task reads.
        task: its id.
        harm: gets the scene and the name of the task's sessions on the server.
    """
    sessions = f"feature_store {task}"

    def do(scene: Scene) -> None:
        blocker = psycopg.connect(scene.conninfo)
        scene.afterwards.callback(blocker.close)
        blocker.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())

        def watch() -> None:
            try:
                _await_blocked(scene.connection, sessions)
                harm(scene, sessions)
            finally:
                blocker.close()

        thread = threading.Thread(target=watch)
        thread.start()
        scene.afterwards.callback(thread.join)

    return do


def _await_blocked(connection: Connection[Any], sessions: str) -> None:
    until = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < until:
        blocked = connection.execute(
            "SELECT FROM pg_catalog.pg_stat_activity "
            "WHERE application_name = %s AND wait_event_type = 'Lock'",
            (sessions,),
        )
        if blocked.rowcount:
            return
        time.sleep(0.02)
    raise TimeoutError(f"No session called {sessions!r} came to wait for the lock.")


def stop_server(scene: Scene, _: str) -> None:
    """Stop the server, whatever it is doing."""
    scene.connection.close()
    scene.stop_server()


def terminate(scene: Scene, sessions: str) -> None:
    """End the sessions of a task; the server stays."""
    _signal(scene, "pg_terminate_backend", sessions)


def cancel(scene: Scene, sessions: str) -> None:
    """Cancel what the sessions of a task are doing, as an administrator would."""
    _signal(scene, "pg_cancel_backend", sessions)


def _signal(scene: Scene, function: str, sessions: str) -> None:
    scene.connection.execute(
        f"SELECT {function}(pid) FROM pg_catalog.pg_stat_activity "
        "WHERE application_name = %s".encode(),
        (sessions,),
    )


def write(path: str, text: str) -> Callable[[Path], None]:
    """A file that somebody adds below ``include``."""

    def do(include: Path) -> None:
        (include / path).write_text(text, encoding="utf-8")

    return do


def edit(path: str, before: str, after: str) -> Callable[[Path], None]:
    """An edit of one file below ``include``, at the one place with a text."""

    def do(include: Path) -> None:
        file = include / path
        text = file.read_text(encoding="utf-8")
        if text.count(before) != 1:
            raise RuntimeError(f"{before!r} stands {text.count(before)} times in {path}.")
        file.write_text(text.replace(before, after), encoding="utf-8")

    return do


def together(*harms: Harm) -> Harm:
    """Several harms, one after the other."""

    def do(scene: Scene) -> None:
        for harm in harms:
            harm(scene)

    return do
