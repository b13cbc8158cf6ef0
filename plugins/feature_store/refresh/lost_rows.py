"""Sources and layers that lose rows: a refresh that would leave far fewer is refused.

An emptied table, a load that stopped halfway and a swapped table look the same from here: most rows
are gone. The rows that a refresh leaves, and those of each source, are compared with the refresh
that was certified last. If the loss is intended, a person says so (`accept_shrink`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from feature_store.connection import Connection, one_value
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.store_definition import Relation, Store
from feature_store.declarations.store_profile import read_profile
from feature_store.declarations.thresholds import read_thresholds
from feature_store.errors import RowsLost
from feature_store.relation_name import Name

log = logging.getLogger(__name__)

_NEXT = (
    "Load the missing rows, then clear this task with what follows. If the loss is intended: "
    "airflow dags trigger {dag_id} --conf '{{\"accept_shrink\": true}}'"
)
_FACT = "rows of {}"


@dataclass(frozen=True)
class Limits:
    """How many rows may be lost.

    Attributes:
        most_lost: the share of the certified rows that may be gone.
        least_rows: relations with fewer certified rows are not checked.
        accepted: a person has said that the loss is intended; then it is only logged.
        dag_id: the DAG whose run a person gives this parameter to.
    """

    most_lost: float
    least_rows: float
    accepted: bool
    dag_id: str

    def exceeded(self, before: int, now: int) -> bool:
        """Whether too many are gone."""
        return before >= self.least_rows and before - now > self.most_lost * before


@dataclass(frozen=True)
class ShrinkGuard:
    """The limits for a refresh of one relation.

    Attributes:
        sources: the sources that it reads, directly or through plain views.
        limits: how many rows may be lost.
    """

    sources: tuple[Name, ...]
    limits: Limits

    def count_sources(self, connection: Connection, relation: Relation) -> dict[Name, int]:
        """Count the rows of the sources, as the open transaction sees them.

        Raises:
            RowsLost: one has lost too many since the relation was certified.
        """
        counts = {name: _count(connection, name) for name in self.sources}
        certified = _certified(connection, [relation.name], self.sources)
        _refuse(
            f"{relation.name} was not refreshed, because sources have lost certified rows:",
            _losses(self.limits, counts, certified),
            self.limits,
        )
        return counts

    def record(
        self, connection: Connection, relation: Relation, refresh_id: int, rows: int,
        counts: dict[Name, int],
    ) -> None:  # fmt: skip
        """Record the counts with the refresh, and check the rows that it leaves.

        Raises:
            RowsLost: it would leave too few.
        """
        before = connection.execute(
            "SELECT r.row_count, c.run_id FROM feature_store_audit.certified AS c "
            "INNER JOIN feature_store_audit.refresh AS r ON c.refresh_id = r.refresh_id "
            "WHERE c.relation = %s",
            (str(relation.name),),
        ).fetchone()
        if before:
            _refuse(
                f"{relation.name} was not refreshed, because it would lose certified rows:",
                _losses(self.limits, {relation.name: rows}, {relation.name: before}),
                self.limits,
            )
        for name, n in counts.items():
            connection.execute(
                "INSERT INTO feature_store_audit.fact (refresh_id, fact, n, sample) "
                "VALUES (%s, %s, %s, '[]')",
                (refresh_id, _FACT.format(name), n),
            )


def read_limits(include_dir: Path, *, accepted: bool) -> Limits:
    """Read from ``thresholds.toml`` how many rows may be lost, and find the DAG to override it.

    Raises:
        BadInput: the file cannot be used.
    """
    thresholds = read_thresholds(include_dir)
    return Limits(
        most_lost=thresholds["most_rows_lost"],
        least_rows=thresholds["least_rows_guarded"],
        accepted=accepted,
        dag_id=read_profile(include_dir).dag_id,
    )


def guard_of(store: Store, relation: Relation, limits: Limits) -> ShrinkGuard:
    """The limits for a refresh of a relation."""
    by_name = {r.name: r for r in store.relations}
    pending, found = [relation], set[Name]()
    while pending:
        for read in pending.pop().file.reads:
            if read not in by_name:
                found.add(read)
            elif by_name[read].refresh is Refresh.NEVER:
                pending.append(by_name[read])
    return ShrinkGuard(tuple(sorted(found)), limits)


def check_sources(connection: Connection, store: Store, limits: Limits) -> None:
    """Compare every source with what was certified, before any work. Does not wait for locks.

    A source that is being reloaded is left to the refreshes, which wait for it.

    Raises:
        RowsLost: one has lost too many rows.
    """
    sources = [source.name for source in store.sources]
    certified = _certified(connection, [relation.name for relation in store.refreshed], sources)
    counts = {}
    for source in store.sources:
        try:
            with connection.transaction():
                _lock(connection, source.name)
                counts[source.name] = _count(connection, source.name)
        except psycopg.errors.LockNotAvailable:
            log.info("%s is being reloaded just now.", source.name)
    _refuse(
        "Nothing was refreshed, because sources have lost certified rows:",
        _losses(limits, counts, certified),
        limits,
    )


def _certified(
    connection: Connection, relations: Iterable[Name], sources: Iterable[Name]
) -> dict[Name, Any]:
    """By source: how many rows the certified refreshes of these relations read, and whose run's."""
    # By whole names: a store's own witness may call what it tells "rows of" something, too.
    named = {_FACT.format(source): source for source in sources}
    rows = connection.execute(
        "SELECT f.fact, f.n, c.run_id FROM feature_store_audit.certified AS c "
        "INNER JOIN feature_store_audit.fact AS f ON c.refresh_id = f.refresh_id "
        "WHERE c.relation = ANY(%s) AND f.fact = ANY(%s) ORDER BY f.n",
        ([str(name) for name in relations], list(named)),
    ).fetchall()
    return {named[fact]: (n, run_id) for fact, n, run_id in rows}


def _lock(connection: Connection, name: Name) -> None:
    row = connection.execute(
        "SELECT relkind = 'm' FROM pg_catalog.pg_class WHERE oid = to_regclass(%s)", (name.quoted,)
    ).fetchone()
    # A materialized view cannot be locked this way, and need not be: see `read_locks`.
    if row and not row[0]:
        connection.execute(
            sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE NOWAIT").format(name.identifier)
        )


def _count(connection: Connection, name: Name) -> int:
    return int(one_value(connection, sql.SQL("SELECT count(*) FROM {}").format(name.identifier)))


def _losses(limits: Limits, now: dict[Name, int], certified: dict[Name, Any]) -> Iterator[str]:
    for name, rows in sorted(now.items()):
        before, run_id = certified.get(name, (0, ""))
        if limits.exceeded(before, rows):
            share = (before - rows) / before
            yield f"{name} has {rows:,} rows, {share:.0%} fewer than the {before:,} of run {run_id}"


def _refuse(problem: str, losses: Iterable[str], limits: Limits) -> None:
    lines = list(losses)
    if lines and not limits.accepted:
        raise RowsLost(
            problem,
            items=lines,
            readers="the rows of the last refresh; nothing was changed.",
            next_step=_NEXT.format(dag_id=limits.dag_id),
        )
    for line in lines:
        log.warning("Accepted, because this run has accept_shrink: %s.", line)
