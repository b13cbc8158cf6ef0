"""What the database knows of feature sets, and whether they are certified."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql

from feature_store.client.errors import bad_input
from feature_store.connection import Connection, one_row, one_value
from feature_store.declarations.served import LOG_COLUMNS, STILL_LISTED, TRAINING
from feature_store.errors import BadInput, NotReady
from feature_store.relation_name import LOG_SCHEMA, Name

# The schema whose tables have all feature sets. A database has one store, so one such schema. A
# copy of the tables (a backup, somebody's temporary table) has no functions beside it.
_REGISTRY = """
SELECT n.nspname
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
INNER JOIN pg_attribute AS a ON c.oid = a.attrelid AND a.attname = 'features_hash'
WHERE
    c.relname = 'feature_set' AND c.relkind = 'r' AND c.relpersistence = 'p'
    AND EXISTS (
        SELECT 1 FROM pg_proc AS p WHERE p.pronamespace = n.oid AND p.proname = 'require_certified'
    )
"""
_SETS = """
SELECT
    s.name,
    s.features_hash,
    n.nspname,
    k.relname,
    array_agg(c.feature_name ORDER BY c.ordinal),
    l.entity,
    format_type(e.atttypid, -1),
    l.t0_relation,
    l.t0_column
FROM {registry}.feature_set AS s
INNER JOIN {registry}.feature_contract AS c ON s.set_id = c.set_id
INNER JOIN {registry}.feature_set_binding AS b ON s.set_id = b.set_id
INNER JOIN pg_class AS k ON k.oid = to_regclass(b.relation_name)
INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid
LEFT JOIN feature_log.logged_sets AS l ON s.name = l.feature_set
LEFT JOIN pg_attribute AS e ON k.oid = e.attrelid AND l.entity = e.attname
WHERE s.name = ANY(%s)
GROUP BY s.set_id, n.nspname, k.relname, l.entity, e.atttypid, l.t0_relation, l.t0_column
"""

_VIEWS = """
SELECT
    s.name,
    n.nspname,
    k.relname
FROM {registry}.feature_set AS s
INNER JOIN {registry}.feature_set_binding AS b ON s.set_id = b.set_id
INNER JOIN pg_class AS k ON k.oid = to_regclass(b.relation_name) AND k.relkind = 'v'
INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid
"""

# How the hint of `require_certified` begins where a lock hides what it must look at.
_LOCKED = "Try again in a moment."
_AGAIN_AFTER_SECONDS = 0.2

# In a training view, every column that is neither the log's nor a feature is a label.
_LABELS = """
SELECT a.attname, n.nspname, k.relname
FROM pg_attribute AS a
INNER JOIN pg_rewrite AS r ON a.attrelid = r.ev_class
INNER JOIN pg_depend AS d
    ON r.oid = d.objid
    AND d.classid = 'pg_rewrite'::regclass
    AND d.refclassid = 'pg_class'::regclass
    AND a.attrelid <> d.refobjid
INNER JOIN pg_attribute AS o
    ON d.refobjid = o.attrelid AND d.refobjsubid = o.attnum AND a.attname = o.attname
INNER JOIN pg_class AS k ON o.attrelid = k.oid
INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attname = ANY(%s)
ORDER BY a.attnum
"""


@dataclass(frozen=True)
class Label:
    """A label: a column about what became of an entity, and its relation."""

    name: str
    relation: Name


@dataclass(frozen=True)
class ReadSet:
    """A feature set, as the database knows it.

    Attributes:
        registry: the schema with its tables and functions.
        name: the set's.
        contract_hash: of its contract as a person stamped it.
        relation: the live relation that carries it.
        features: in the contract's order.
        entity: the column that names what a row is about; None if the set has no feature log.
        entity_type: its type of any length, as a statement writes it.
        t0_relation: the relation with an entity's t0, as SQL names it.
        t0_column: the column of t0 there.
        labels: what became of an entity.
    """

    registry: str
    name: str
    contract_hash: str | None
    relation: Name
    features: tuple[str, ...]
    entity: str | None
    entity_type: str | None
    t0_relation: str | None
    t0_column: str | None
    labels: tuple[Label, ...] = ()

    @property
    def training_view(self) -> Name:
        """The training view: what was served, with the labels."""
        return Name(LOG_SCHEMA, self.name + TRAINING)

    @property
    def values(self) -> tuple[str, ...]:
        """The features, without the entity."""
        return tuple(f for f in self.features if f != self.entity)


@dataclass(frozen=True)
class Certified:
    """Which run certified a set, when, and for which day."""

    as_of_day: date
    run_id: str
    certified_at: datetime


def find_sets(connection: Connection, names: Sequence[str]) -> list[ReadSet]:
    """Look feature sets up, in the order of their names.

    Raises:
        BadInput: a name is not known.
        NotReady: there is no store, or a set has no live relation.
    """
    registry = _registry(connection)
    schema = {"registry": sql.Identifier(registry)}
    names_of = sql.SQL("SELECT s.name FROM {registry}.feature_set AS s ORDER BY s.name")
    known = [n for (n,) in connection.execute(names_of.format(**schema))]
    if unknown := [name for name in names if name not in known]:
        raise BadInput(
            f"There is no feature set called {', '.join(map(repr, unknown))}.",
            next_step=f"Use one of {', '.join(known) or 'none: no contract has been stamped yet'}.",
        )
    rows = connection.execute(sql.SQL(_SETS).format(**schema), (list(names),)).fetchall()
    found = {row[0]: _read_set(connection, registry, row) for row in rows}
    for name in names:
        if name not in found:  # bound to a missing relation: this raises and names it
            _assert_contract(connection, registry, name)
            raise NotReady(f"The feature set {name!r} cannot be read: it has no live relation.")
    return [found[name] for name in names]


def views_of(connection: Connection, names: Sequence[str]) -> list[sql.Identifier]:
    """The plain views that carry some of these sets; see `find_sets` for what is not known."""
    views = sql.SQL(_VIEWS).format(registry=sql.Identifier(_registry(connection)))
    return [sql.Identifier(*view) for name, *view in connection.execute(views) if name in names]


def zone_of_the_store(connection: Connection) -> str | None:
    """The time zone in which the certified rows took days; None before the first certification."""
    zone: str | None = one_value(connection, "SELECT max(zone) FROM feature_log.logged_sets")
    return zone


def hold(connection: Connection, relations: Sequence[sql.Composable]) -> None:
    """Keep a blocking refresh from replacing relations until the transaction ends.

    A snapshot is not enough: such a refresh gives the view a new file, and everybody sees its rows.
    """
    for relation in relations:
        connection.execute(sql.SQL("SELECT FROM {} LIMIT 0").format(relation))


def require_certified(connection: Connection, feature_set: ReadSet, max_age: str) -> Certified:
    """Assert a set's contract, then that its rows are certified.

    Asks again while a lock hides what must be looked at, until the client's timeout ends it.

    Raises:
        BadInput: ``max_age`` is not an interval, or is negative.
        psycopg.errors.RaiseException: they are not; the text is the database's.
    """
    _assert_contract(connection, feature_set.registry, feature_set.name)
    asked = sql.SQL(
        "SELECT as_of_day, run_id, certified_at FROM {}.require_certified(%s, %s::interval)"
    ).format(sql.Identifier(feature_set.registry))
    with bad_input(f"max_age {max_age!r}"):
        while True:
            try:
                with connection.transaction():
                    row = one_row(connection, asked, (feature_set.name, max_age))
                return Certified(*row)
            except psycopg.errors.RaiseException as error:
                if not (error.diag.message_hint or "").startswith(_LOCKED):
                    raise
                time.sleep(_AGAIN_AFTER_SECONDS)  # the server tells nobody that a lock is gone


def _registry(connection: Connection) -> str:
    row = connection.execute(_REGISTRY).fetchone()
    if row is None:
        raise NotReady(
            "This database has no feature store that this client knows.",
            next_step="Check the connection string; as the store's owner run "
            "`bin/feature-store apply`, then run the SQL of `bin/feature-store grants`.",
        )
    return str(row[0])


def _assert_contract(connection: Connection, registry: str, name: str) -> None:
    connection.execute(
        sql.SQL("SELECT {}.assert_feature_contract(%s)").format(sql.Identifier(registry)), (name,)
    )


def _read_set(connection: Connection, registry: str, row: tuple[Any, ...]) -> ReadSet:
    name, contract_hash, schema, relation, features, entity, *where = row
    feature_set = ReadSet(
        registry, name, contract_hash, Name(schema, relation), tuple(features), entity, *where
    )
    if entity is None:
        return feature_set
    others = [*LOG_COLUMNS, STILL_LISTED, entity, *features]
    found = connection.execute(_LABELS, (feature_set.training_view.quoted, others))
    labels = tuple(Label(label, Name(*of)) for label, *of in found)
    return replace(feature_set, labels=labels)
