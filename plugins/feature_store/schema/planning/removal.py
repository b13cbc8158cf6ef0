"""Relations without a file: no run refreshes them, and `apply --drop` drops them by name.

What apply created is dropped, with its indexes, never with CASCADE. An adopted relation, or one
that is a source now, stays in the database; only its record is removed. The record of the past
(refreshes, certificates, findings of history) is kept; the baselines of history series about such
a relation are deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import psycopg
from psycopg import sql

from feature_store.connection import Connection
from feature_store.declarations.history_series import read_history
from feature_store.declarations.store_definition import Store
from feature_store.errors import BadInput, NotReady
from feature_store.schema.planning.drop_refusals import carried_sets, dependents, refusal
from feature_store.schema.planning.open_reviews import unanswered
from feature_store.schema.planning.without_file import WithoutFile
from feature_store.schema.privileges.schema_owner import as_the_owner
from feature_store.validation.history.findings import lock_history


@dataclass(frozen=True)
class Removal:
    """Everything that removing some relations requires.

    Attributes:
        relations: those that were named, each before what it reads.
        series: the history series that are removed with them.
        unanswered: findings of history about them that nobody has answered.
        refusals: what keeps them from being removed, with what to do.
    """

    relations: tuple[WithoutFile, ...]
    series: tuple[str, ...]
    unanswered: tuple[str, ...]
    refusals: tuple[str, ...]


def plan_removal(
    connection: Connection,
    store: Store,
    include_dir: Path,
    found: Iterable[WithoutFile],
    named: Collection[str],
    replaced: Collection[str],
) -> Removal | None:
    """Find out what removing requires; None if nothing was named. Reads only.

    Args:
        connection: a pinned session.
        store: what the files say.
        include_dir: where they are.
        found: the relations without a file.
        named: those to remove.
        replaced: relations that are replaced first, as their files say.

    Raises:
        BadInput: a name is not of such a relation.
    """
    if not named:
        return None
    removable = {str(one.name): one for one in found}
    _check_names(store, removable, named)
    going = {name: one for name, one in removable.items() if name in named}
    ours = {str(relation.name) for relation in store.relations}
    reads: dict[str, set[str]] = {name: set() for name in going}
    refusals: list[str] = []
    for name, one in going.items():
        refusals += carried_sets(connection, one.name, store.profile.registry)
        for reader, other in dependents(connection, one.oid):
            if reader in going:
                reads[reader].add(name)
            # A source stays, and files may read it.
            elif not one.source and reader not in replaced and (one.dropped or reader in ours):
                together = sorted({*named, reader}) if reader in removable else []
                refusals.append(refusal(one.name, reader or other, ours, together))
    before = {name: {r for r in going if name in reads[r]} for name in going}
    series = _series(connection, store, include_dir, going)
    return Removal(
        relations=tuple(going[name] for name in TopologicalSorter(before).static_order()),
        series=series,
        unanswered=unanswered(connection, series),
        refusals=tuple(refusals),
    )


def free_names(connection: Connection, removal: Removal) -> None:
    """Give away the names of indexes that will be dropped; in apply's transaction.

    So what replaces a relation under another name can be created before the old one is dropped,
    which must wait for what stops reading it. Renaming an index keeps no reader waiting.
    """
    oids = [one.oid for one in removal.relations if one.dropped]
    with as_the_owner(connection):
        for schema, index, oid in connection.execute(
            "SELECT n.nspname, c.relname, c.oid FROM pg_catalog.pg_index AS i "
            "INNER JOIN pg_catalog.pg_class AS c ON i.indexrelid = c.oid "
            "INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid "
            "WHERE i.indrelid = ANY(%s) ORDER BY c.oid",
            (oids,),
        ).fetchall():
            rename = sql.SQL("ALTER INDEX {} RENAME TO {}").format(
                sql.Identifier(schema, index), sql.Identifier(f"feature_store_gone_{oid}")
            )
            connection.execute(rename)


def remove(connection: Connection, removal: Removal) -> None:
    """Drop what apply created, and delete its record; in apply's transaction.

    Raises:
        NotReady: others kept reading one of them for longer than the lock timeout.
    """
    names = [str(one.name) for one in removal.relations]
    with as_the_owner(connection):
        for one in removal.relations:
            if one.dropped:
                statement = sql.SQL("DROP {} {}").format(sql.SQL(one.kind), one.name.identifier)
                try:
                    connection.execute(statement)
                except psycopg.errors.LockNotAvailable as error:
                    raise NotReady(
                        f"Nothing was applied: others are reading {one.name}.",
                        readers="what they had before.",
                        next_step="Apply again when no long query reads it.",
                    ) from error
        connection.execute(
            "DELETE FROM feature_store_audit.definition WHERE object = ANY(%s)", (names,)
        )
        lock_history(connection)  # nobody accepts a day meanwhile
        for forget in _FORGET:
            connection.execute(forget, (list(removal.series),))


_FORGET = (
    "INSERT INTO feature_store_audit.history_closing_log (finding_id, outcome) "
    "SELECT f.finding_id, 'redefined' FROM feature_store_audit.history_finding AS f "
    "WHERE f.layer = ANY(%s) AND f.outcome IS NULL",
    "DELETE FROM feature_store_audit.history_row WHERE layer = ANY(%s)",
    "DELETE FROM feature_store_audit.history_change WHERE layer = ANY(%s)",
    "DELETE FROM feature_store_audit.history_day WHERE layer = ANY(%s)",
    "DELETE FROM feature_store_audit.history_layer WHERE layer = ANY(%s)",
)


def _check_names(
    store: Store, removable: Mapping[str, WithoutFile], named: Collection[str]
) -> None:
    for name in sorted(set(named) - removable.keys()):
        files = {str(relation.name): relation.file.path for relation in store.relations}
        if name in files:
            raise BadInput(
                f"{name} has a file, {files[name]}: it would be created again.",
                next_step="First remove the file, its specification and everything that names it.",
            )
        raise BadInput(
            f"{name!r} is not a relation that apply created and that now has no file.",
            next_step=f"Use one of {', '.join(removable)}."
            if removable
            else "There is none: every relation of the store has its file.",
        )


def _series(
    connection: Connection, store: Store, include_dir: Path, going: Iterable[str]
) -> tuple[str, ...]:
    """The history series without a file that were about what is removed."""
    kept = [series.name for series in read_history(include_dir, store)]
    rows = connection.execute(
        "SELECT layer FROM feature_store_audit.history_layer "
        'WHERE layer <> ALL(%s) AND definitions ?| %s ORDER BY layer COLLATE "C"',
        (kept, list(going)),
    )
    return tuple(layer for (layer,) in rows.fetchall())
