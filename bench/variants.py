"""What is timed: one relation, in each of the compared variants."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import ceil
from typing import LiteralString

from psycopg import sql
from psycopg.errors import QueryCanceled

from bench.reference import SCHEMA as REFERENCE_SCHEMA
from bench.reference import Reference, statements_in
from bench.scratch import SessionKind
from feature_store.audit.lease import Lease, RunKey, take_lease
from feature_store.connection import Connection
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.files.schema_rewrite import moved
from feature_store.declarations.store_definition import Relation
from feature_store.refresh.refresh import refresh

FLOOR_SCHEMA = "floor"
HOLDER = RunKey("bench", "bench")


@dataclass(frozen=True)
class Variant:
    """A way to bring relations up to date.

    Attributes:
        name: what the results call it.
        of: ``ours``, ``reference`` or ``floor``.
        session: how its session is set up.
        concurrent: whether read layers are refreshed concurrently, else everything plainly.
        packaged: whether the package refreshes, with its lease and its record; else it is the bare
            statements REFRESH and ANALYZE.
        only_own: whether only the relations with SQL of the reference's own are refreshed.
        side_by_side: whether relations that do not read each other are refreshed at once, as the
            DAG does (see the module of that name); else one after another.
        speed: whether the speed layer is refreshed, which the documents do not define.
        spared: whether nested loops are forbidden. A query that cannot do without them, as in E and
            D4, still uses them.
    """

    name: str
    of: str
    session: SessionKind
    concurrent: bool = False
    packaged: bool = False
    only_own: bool = False
    side_by_side: bool = False
    speed: bool = True
    spared: bool = False


SHIPPED = Variant("shipped", "ours", SessionKind.OURS, concurrent=True, packaged=True)
SHIPPED_PLAIN = Variant("shipped, plain", "ours", SessionKind.OURS, packaged=True)
NIGHT = Variant(
    "shipped, side by side", "ours", SessionKind.OURS, concurrent=True, packaged=True,
    side_by_side=True,
)  # fmt: skip
NIGHT_WITHOUT_SPEED = replace(
    NIGHT, name="shipped, side by side, without the speed layer", speed=False
)
SQL_ALONE = Variant("our SQL in a plain session", "ours", SessionKind.PLAIN, concurrent=True)
SQL_ALONE_PLAIN = Variant("our SQL in a plain session, plain", "ours", SessionKind.PLAIN)
REFERENCE = Variant("reference", "reference", SessionKind.PLAIN, concurrent=True)
REFERENCE_PLAIN = Variant("reference, plain", "reference", SessionKind.PLAIN, only_own=True)
REFERENCE_SPARED = Variant(
    "reference, spared nested loops", "reference", SessionKind.PLAIN, only_own=True, spared=True
)
REFERENCE_OURS = Variant("reference in our session", "reference", SessionKind.OURS, concurrent=True)
REFERENCE_OURS_PLAIN = Variant(
    "reference in our session, plain", "reference", SessionKind.OURS, only_own=True
)
FLOOR = Variant("floor", "floor", SessionKind.OURS)

ALL = (
    REFERENCE,
    SQL_ALONE,
    REFERENCE_OURS,
    SHIPPED,
    NIGHT,
    NIGHT_WITHOUT_SPEED,
    FLOOR,
    SHIPPED_PLAIN,
    REFERENCE_PLAIN,
    REFERENCE_SPARED,
    SQL_ALONE_PLAIN,
    REFERENCE_OURS_PLAIN,
)
WITHOUT_REFERENCE = tuple(v for v in ALL if v.of != "reference")
UNDER_DEFAULTS = (SHIPPED, SHIPPED_PLAIN)
# Fills the reference before anything is timed, in a way that is sure to end, to compare every row.
FILL_REFERENCE = Variant("first", "reference", SessionKind.OURS, spared=True)


@dataclass
class Stopwatch:
    """Seconds by name."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


@dataclass(frozen=True)
class Took:
    """The seconds of a variant.

    Attributes:
        seconds: by relation: the refresh, its record if it has one, and its ANALYZE.
        given_up: the relations of which the refresh was ended; their seconds are a lower bound.
    """

    seconds: dict[str, float]
    given_up: frozenset[str]

    @property
    def total(self) -> float:
        """Seconds of all relations."""
        return sum(self.seconds.values())


def create_reference(connection: Connection, reference: Reference) -> None:
    """Create the reference's relations, empty, in their schema."""
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(REFERENCE_SCHEMA)))
    names = {relation.name: REFERENCE_SCHEMA for relation in reference.relations}
    for relation in reference.relations:
        for statement in statements_in(relation, names):
            connection.execute(statement.encode())


def take_the_lease(connection: Connection) -> Lease:
    """The lease of the benchmark's store, which nobody else works on."""
    return take_lease(connection, HOLDER, lambda _: True, timedelta(0))


def run_variant(
    connection: Connection,
    variant: Variant,
    reference: Reference,
    zone: str,
    patience: float | None = None,
) -> Took:
    """Bring all relations of a variant up to date, in order.

    A relation that is given up keeps the rows that it has, so that the others go on.

    Args:
        connection: a session of the variant's kind, in autocommit mode.
        variant: the way.
        reference: the reference's relations and ours.
        zone: the store's time zone.
        patience: seconds after which a query of the reference's own is given up; None: never.
    """
    watch = Stopwatch()
    given_up = set()
    lease = take_the_lease(connection) if variant.packaged else None
    for relation in _relations(variant, reference):
        with watch.time(str(relation.name)):
            if variant.of == "floor":
                _build_floor(connection, relation)
            elif variant.of == "reference" and relation.name in reference.own:
                if not _refresh_own(connection, variant, relation, patience):
                    given_up.add(str(relation.name))
            elif lease:
                how = relation if variant.concurrent else _plainly(relation)
                done = refresh(connection, how, lease, zone)
                # What it compares counts among the proofs, wherever they are made.
                watch.seconds[str(relation.name)] = -done.proof_seconds
            else:
                _refresh_bare(connection, variant, relation)
        if variant.of == "floor":
            connection.execute(sql.SQL("DROP TABLE {}").format(_floor_name(relation)))
    # The time that the server needs to end a query does not count.
    bounds = {name: patience for name in given_up if patience}
    return Took(watch.seconds | bounds, frozenset(given_up))


def _refresh_own(
    connection: Connection, variant: Variant, relation: Relation, patience: float | None
) -> bool:
    """Refresh a relation with SQL of the reference's own; False if it was given up."""
    started = time.perf_counter()
    try:
        with connection.transaction():
            if variant.spared:
                connection.execute("SET LOCAL enable_nestloop = off")
            if patience:
                # For this transaction only, because our session has its own timeout.
                timeout = f"{ceil(patience * 1000)}ms"
                connection.execute("SELECT set_config('statement_timeout', %s, true)", (timeout,))
            _refresh_bare(connection, variant, relation)
    except QueryCanceled:
        if patience is None or time.perf_counter() - started < patience:
            raise  # somebody else ended it
        return False
    return True


def _relations(variant: Variant, reference: Reference) -> tuple[Relation, ...]:
    if variant.of != "reference":
        return reference.store.refreshed
    own = [r for r in reference.refreshed if r.name in reference.own]
    return tuple(own) if variant.only_own else reference.refreshed


def _plainly(relation: Relation) -> Relation:
    return replace(relation, refresh=Refresh.BLOCKING)


def _refresh_bare(connection: Connection, variant: Variant, relation: Relation) -> None:
    schema = REFERENCE_SCHEMA if variant.of == "reference" else relation.name.schema
    name = sql.Identifier(schema, relation.name.relation)
    concurrent = variant.concurrent and relation.refresh is Refresh.CONCURRENT
    how: LiteralString = "CONCURRENTLY " if concurrent else ""
    connection.execute(sql.SQL("REFRESH MATERIALIZED VIEW " + how + "{}").format(name))
    connection.execute(sql.SQL("ANALYZE {}").format(name))


def _build_floor(connection: Connection, relation: Relation) -> None:
    """The finished rows as a new table: the least work that any query must do."""
    table = _floor_name(relation)
    connection.execute(
        sql.SQL("CREATE TABLE {} AS SELECT * FROM {}").format(table, relation.name.identifier)
    )
    for index in relation.file.indexes.values():
        connection.execute(moved(index.text, {relation.name: FLOOR_SCHEMA}).encode())
    connection.execute(sql.SQL("ANALYZE {}").format(table))


def _floor_name(relation: Relation) -> sql.Identifier:
    return sql.Identifier(FLOOR_SCHEMA, relation.name.relation)
