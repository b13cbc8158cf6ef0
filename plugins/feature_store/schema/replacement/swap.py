"""Swaps the new relations for the old ones, all at once, in a moment.

Readers wait for that moment and then have the new rows; nobody is disconnected. The locks are taken
from the top, as readers of views take theirs. If not all locks can be had before the server looks
for deadlocks, they are released, and tried again a little later in another order.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterable, Iterator, Sequence

import psycopg
from psycopg import sql

from feature_store.connection import Connection, one_value
from feature_store.database.kept_privileges import Step
from feature_store.errors import NotReady
from feature_store.relation_name import Name
from feature_store.schema.replacement.build_beside import (
    Kept,
    naming,
    place_beside,
    read_kept,
)
from feature_store.schema.replacement.dependents import Old, Replacement, find_old

log = logging.getLogger(__name__)

_PAUSE = 0.3
"""Seconds between two tries, for readers who have waited."""


def swap(
    connection: Connection,
    replacement: Replacement,
    kept: Kept,
    patience: float,
    *,
    rehearsal: bool,
) -> None:
    """Put everything that was built in place, and drop the old relations.

    Args:
        connection: a pinned session, in the transaction that built it.
        replacement: what was built.
        kept: what was read of the old relations when it was built.
        patience: how many seconds to try while others read.
        rehearsal: undo it at once and keep no lock, to find obstacles before the rows are computed.

    Raises:
        NotReady: something cannot be kept or was changed meanwhile, or others kept reading for too
            long.
    """
    until = time.monotonic() + patience
    lock_timeout = one_value(connection, "SHOW lock_timeout")
    order = [*replacement.views, *_from_the_top(replacement)]
    while True:
        try:
            with connection.transaction():
                _lock(connection, order)
                _refuse_changed(connection, replacement, kept)
                _swap(connection, replacement)
                if rehearsal:
                    raise psycopg.Rollback
            # Later statements wait for locks as before.
            connection.execute("SELECT set_config('lock_timeout', %s, true)", (lock_timeout,))
            return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            if time.monotonic() > until:
                raise NotReady(
                    f"Nothing was applied: for {patience:.0f} seconds others kept reading "
                    f"what is to be replaced: {error.diag.message_primary}.",
                    readers="what they had before.",
                    next_step="Apply again when no long query reads it.",
                ) from error
            log.info("Others read what is to be replaced; trying again.")
            # Readers that name several of them lock them in their own order.
            random.shuffle(order)
            time.sleep(_PAUSE)


def _lock(connection: Connection, order: Iterable[Old]) -> None:
    deadlock_timeout: float = one_value(
        connection,
        "SELECT setting::float / 1000 FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'",
    )
    # Let waiting readers go before the server could treat them as part of a deadlock.
    until = time.monotonic() + deadlock_timeout / 2
    for old in order:
        left = max(int((until - time.monotonic()) * 1000), 1)
        connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{left}ms",))
        owner = connection.execute(
            "SELECT pg_get_userbyid(relowner) FROM pg_catalog.pg_class "
            "WHERE oid = %s AND oid = to_regclass(%s)",
            (old.oid, old.name.quoted),
        ).fetchone()
        if owner is None:
            raise _meanwhile(f"{old.name} was dropped or renamed meanwhile.")
        # Changes nothing and locks only this relation: LOCK would lock everything a view reads.
        connection.execute(
            sql.SQL("ALTER {} {} OWNER TO {}").format(
                sql.SQL(old.kind),
                old.name.identifier,
                sql.Identifier(owner[0]),
            )
        )


def _refuse_changed(connection: Connection, replacement: Replacement, kept: Kept) -> None:
    """Refuse to undo what others did while rows were computed, which may have taken hours."""
    changed = [
        f"{old.name}: its query, or whether it is filled"
        for old in (*replacement.views, *_from_the_top(replacement))
        if find_old(connection, old.name) != [old]
    ]
    for one in replacement.rebuilt:
        then = _as_text(connection, kept.steps.get(one.name, []))
        now = _as_text(connection, read_kept(connection, one, kept.written))
        changed += [f"{one.name}: {what}" for what in sorted({what for _, what in then ^ now})]
    if changed:
        raise _meanwhile("others have changed meanwhile:", changed)


def _as_text(connection: Connection, steps: Iterable[Step]) -> set[tuple[str, str]]:
    return {(statement.as_string(connection), what) for statement, what in steps}


def _meanwhile(problem: str, items: Sequence[str] = ()) -> NotReady:
    return NotReady(
        f"Nothing was applied: {problem}",
        items=items,
        readers="what they had before.",
        next_step="Apply again.",
    )


def _swap(connection: Connection, replacement: Replacement) -> None:
    beside = {place_beside(one.name).schema for one in replacement.rebuilt}
    gone = {_gone(old.name).schema for old in _from_the_top(replacement)}
    for schema in sorted(gone):
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    for old in _from_the_top(replacement):
        _move(connection, old.kind, old.name, _gone(old.name).schema)
    for one in replacement.rebuilt:
        kind = "MATERIALIZED VIEW" if one.relation.file.materialized else "VIEW"
        with naming(f"{one.name} cannot take its place"):
            _move(connection, kind, place_beside(one.name), one.name.schema)
    for view in replacement.views:
        with naming(f"{view.name}, a view of yours, cannot be kept"):
            _read_again(connection, view)
    for old in _from_the_top(replacement):
        with naming(f"{old.name} cannot be dropped"):
            name = _gone(old.name).identifier
            connection.execute(sql.SQL("DROP {} {}").format(sql.SQL(old.kind), name))
    for schema in sorted(beside | gone):
        connection.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(schema)))
    _check(connection, replacement)


def _gone(name: Name) -> Name:
    """Where an old relation is put before it is dropped; see `build_beside`."""
    return Name(f"feature_store_gone_{name.schema}", name.relation)


def _move(connection: Connection, kind: str, name: Name, schema: str) -> None:
    connection.execute(
        sql.SQL("ALTER {} {} SET SCHEMA {}").format(
            sql.SQL(kind), name.identifier, sql.Identifier(schema)
        )
    )


def _read_again(connection: Connection, view: Old) -> None:
    """Create a user's view again from its query: same view, but it reads the new relations."""
    options = one_value(
        connection,
        "SELECT string_agg(format('%%I = %%L', o.option_name, o.option_value), ', ') "
        "FROM pg_catalog.pg_class AS c CROSS JOIN pg_options_to_table(c.reloptions) AS o "
        "WHERE c.oid = %s",
        (view.oid,),
    )
    name, words = view.name.quoted, f" WITH ({options})" if options else ""
    connection.execute(f"CREATE OR REPLACE VIEW {name}{words} AS\n{view.query}".encode())


def _check(connection: Connection, replacement: Replacement) -> None:
    """Check that what must not change is exactly as before."""
    unchanged = [one.old for one in replacement.rebuilt if one.old and not one.from_file]
    for old in (*unchanged, *replacement.views):
        query = one_value(connection, "SELECT pg_get_viewdef(to_regclass(%s))", (old.name.quoted,))
        if query is None or query.rstrip().rstrip(";") != old.query:
            raise NotReady(
                f"Nothing was applied: {old.name} would differ from before.",
                readers="what they had before.",
            )


def _from_the_top(replacement: Replacement) -> Iterator[Old]:
    for one in reversed(replacement.rebuilt):
        if one.old:
            yield one.old
