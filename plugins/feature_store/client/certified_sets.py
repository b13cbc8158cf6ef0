"""What the database says of the feature sets that are asked for, and whether it certifies them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from psycopg import Connection, sql

from feature_store.client.errors import bad_input
from feature_store.declarations.served import LOG_COLUMNS, STILL_LISTED, TRAINING
from feature_store.errors import BadInput, NotReady
from feature_store.relation_name import LOG_SCHEMA, Name

# The schema whose tables know every feature set: a database has one store, and so one of them.
_REGISTRY = """
SELECT n.nspname
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
INNER JOIN pg_attribute AS a ON c.oid = a.attrelid AND a.attname = 'features_hash'
WHERE c.relname = 'feature_set' AND c.relkind = 'r'
"""
_SETS = """
SELECT
    s.name,
    s.features_hash,
    n.nspname,
    k.relname,
    array_agg(c.feature_name ORDER BY c.ordinal),
    l.entity,
    format_type(e.atttypid, NULL),
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

# Every column of a training view but the log's and the features is a label; the catalog says whose.
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
    """What became of an entity, and the relation that says so."""

    name: str
    relation: Name


@dataclass(frozen=True)
class ReadSet:
    """A feature set, as the database knows it.

    Attributes:
        registry: the schema whose tables and functions know it.
        name: the set's.
        contract_hash: of its contract as a person stamped it.
        relation: the live relation that carries it.
        features: in the contract's order.
        entity: the column that a row is about; None where the set has no feature log.
        entity_type: its type, as SQL names it.
        t0_relation: where an entity's t0 stands, as SQL names it.
        t0_column: its column there.
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
        """What was served, beside the labels."""
        return Name(LOG_SCHEMA, self.name + TRAINING)

    @property
    def values(self) -> tuple[str, ...]:
        """The features that are values of an entity, and not the entity itself."""
        return tuple(f for f in self.features if f != self.entity)


@dataclass(frozen=True)
class Certified:
    """Which run certified a set, when, and for which day."""

    as_of_day: date
    run_id: str
    certified_at: datetime


def find_sets(connection: Connection[Any], names: Sequence[str]) -> list[ReadSet]:
    """Look feature sets up, in the order of their names.

    Raises:
        BadInput: there is none of a name.
        NotReady: there is no store, or a set has no live relation.
    """
    registry = _registry(connection)
    schema = {"registry": sql.Identifier(registry)}
    names_of = sql.SQL("SELECT s.name FROM {registry}.feature_set AS s ORDER BY s.name")
    known = [n for (n,) in connection.execute(names_of.format(**schema))]
    if unknown := [name for name in names if name not in known]:
        raise BadInput(
            f"There is no feature set called {', '.join(map(repr, unknown))}.",
            next_step=f"Use one of {', '.join(known) or 'none: no contract was ever stamped'}.",
        )
    rows = connection.execute(sql.SQL(_SETS).format(**schema), (list(names),)).fetchall()
    found = {row[0]: _read_set(connection, registry, row) for row in rows}
    for name in names:
        if name not in found:  # bound to nothing that is there: this says what
            _assert_contract(connection, registry, name)
            raise NotReady(f"The feature set {name!r} cannot be read: it has no live relation.")
    return [found[name] for name in names]


def zone_of_the_store(connection: Connection[Any]) -> str | None:
    """The time zone in which the certified rows took days; None before the first certification."""
    row = connection.execute("SELECT max(zone) FROM feature_log.logged_sets").fetchone()
    return row[0] if row else None


def hold(connection: Connection[Any], relations: Sequence[sql.Composable]) -> None:
    """Keep a blocking refresh from replacing relations until the transaction ends.

    A snapshot alone does not: such a refresh gives a view another file, whose rows all see.
    """
    for relation in relations:
        connection.execute(sql.SQL("SELECT FROM {} LIMIT 0").format(relation))


def require_certified(connection: Connection[Any], feature_set: ReadSet, max_age: str) -> Certified:
    """Assert a set's contract, then that its rows are certified.

    Raises:
        BadInput: ``max_age`` is no interval, or a negative one.
        psycopg.errors.RaiseException: they are not, in the words of the database.
    """
    _assert_contract(connection, feature_set.registry, feature_set.name)
    with bad_input(f"max_age {max_age!r}"):
        row = connection.execute(
            sql.SQL(
                "SELECT as_of_day, run_id, certified_at FROM {}.require_certified(%s, %s::interval)"
            ).format(sql.Identifier(feature_set.registry)),
            (feature_set.name, max_age),
        ).fetchone()
    assert row is not None  # it gives one row or raises
    return Certified(*row)


def _registry(connection: Connection[Any]) -> str:
    row = connection.execute(_REGISTRY).fetchone()
    if row is None:
        raise NotReady(
            "This database has no feature store that this client knows.",
            next_step="Look at the connection string; as the store's owner run "
            "`bin/feature-store apply`, then have run what `bin/feature-store grants` prints.",
        )
    return str(row[0])


def _assert_contract(connection: Connection[Any], registry: str, name: str) -> None:
    connection.execute(
        sql.SQL("SELECT {}.assert_feature_contract(%s)").format(sql.Identifier(registry)), (name,)
    )


def _read_set(connection: Connection[Any], registry: str, row: tuple[Any, ...]) -> ReadSet:
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
