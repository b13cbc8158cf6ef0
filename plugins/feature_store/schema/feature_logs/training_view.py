"""The training view of a set: its feature log, with the labels as they are now."""

from __future__ import annotations

import psycopg
import sqlglot
from psycopg import sql
from sqlglot import exp
from sqlglot.errors import SqlglotError

from feature_store.connection import Connection
from feature_store.database.kept_privileges import privileges
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.declarations.served import LOG_COLUMNS, STILL_LISTED, TRAINING, Served
from feature_store.errors import NotReady
from feature_store.relation_name import LOG_SCHEMA, Name
from feature_store.schema.feature_logs.log_comments import write_comments
from feature_store.schema.replacement.dependents import find_old, lost_with, readers_of
from feature_store.text_format import in_words


def training_view_of(feature_set: FeatureSet) -> Name:
    """The training view."""
    return Name(LOG_SCHEMA, feature_set.name + TRAINING)


def make_training_view(
    connection: Connection,
    feature_set: FeatureSet,
    served: Served,
    log: Name,
    widen: sql.Composed | None = None,
) -> None:
    """Create a set's training view, or make it follow the contract; its privileges stay.

    Args:
        connection: within a transaction, as the owner.
        feature_set: whose it is.
        served: the set's entity, t0 and labels.
        log: the set's log.
        widen: what is done to the log while there is no view on it; None: nothing.

    Raises:
        NotReady: it must be made anew, and something depends on it; or it is no view.
    """
    view = training_view_of(feature_set)
    create = sql.SQL("CREATE OR REPLACE VIEW {} AS {}").format(
        view.identifier, _query(feature_set, served, log)
    )
    if widen:
        _make_anew(connection, feature_set, served, [widen, create])
    else:
        try:
            with connection.transaction():
                connection.execute(create)
        except psycopg.errors.InvalidTableDefinition:
            # Not only columns at the end differ, so the view must be created again.
            _make_anew(connection, feature_set, served, [create])
        except psycopg.errors.WrongObjectType:
            raise NotReady(
                f"Nothing was stamped: {view} is no view.",
                readers="what they had before.",
                next_step="Rename or drop it, then stamp.",
            ) from None
    words = (
        f"For training {feature_set.name}: features as they were served, labels as they are now."
    )
    write_comments(connection, feature_set, served, "VIEW", view, words)


def is_as_stamped(
    connection: Connection, feature_set: FeatureSet, served: Served, log: Name, *, strict: bool
) -> bool:
    """Whether the training view has the query that a stamp gives it.

    Args:
        connection: a pinned session of any role.
        feature_set: whose it is.
        served: the set's entity, t0 and labels.
        log: the set's log.
        strict: also take a view for another one that reads what inherits from the log. Earlier
            versions made such views; without heirs they have the same rows.
    """
    row = connection.execute(
        "SELECT pg_catalog.pg_get_viewdef(c.oid, TRUE) FROM pg_catalog.pg_class AS c "
        "WHERE c.oid = to_regclass(%s) AND c.relkind = 'v'",
        (training_view_of(feature_set).quoted,),
    ).fetchone()
    wanted = _query(feature_set, served, log).as_string()
    try:
        return row is not None and _normal(row[0], strict=strict) == _normal(wanted, strict=strict)
    except SqlglotError:
        return False  # what it cannot read is not what we wrote


def _normal(query: str, *, strict: bool) -> exp.Expr:
    """A query without what the server writes in its own way: quotes, and casts in a join."""
    tree = sqlglot.parse_one(query, dialect="postgres")
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("quoted", True)
    for join in tree.find_all(exp.Join):
        for cast in list(join.find_all(exp.Cast)):
            cast.replace(cast.this)
    for table in [] if strict else tree.find_all(exp.Table):
        table.set("only", None)
    return tree


def _make_anew(
    connection: Connection, feature_set: FeatureSet, served: Served, make: list[sql.Composed]
) -> None:
    """Drop the view if it is there, run these statements, and grant what was granted on it."""
    columns = [served.entity, *LOG_COLUMNS, STILL_LISTED]
    columns += [label.name for label in served.labels]
    columns += [feature.name for feature in feature_set.features]
    for old in find_old(connection, training_view_of(feature_set)):
        held = [str(reader.name) for reader in readers_of(connection, old)]
        if held := held + lost_with(connection, old):
            raise NotReady(
                f"Nothing was stamped: {old.name} must be made anew, and {in_words(held)} depends "
                "on it.",
                readers="what they had before.",
                next_step="Drop what depends on it, stamp, then create it again.",
            )
        name = old.name.identifier
        make += [grant for grant, _ in privileges(connection, old.oid, name, columns)]
        connection.execute(sql.SQL("DROP VIEW {}").format(name))
    for statement in make:
        connection.execute(statement)


def _query(feature_set: FeatureSet, served: Served, log: Name) -> sql.Composed:
    entity = sql.Identifier(served.entity)
    features = [f.name for f in feature_set.features if f.name != served.entity]
    columns = [sql.Identifier("l", name) for name in (served.entity, *LOG_COLUMNS)]
    selected: list[sql.Composable] = [
        *columns,
        sql.SQL("f.{} IS NOT NULL AS {}").format(entity, sql.Identifier(STILL_LISTED)),
    ]
    joins: list[sql.Composable] = [
        sql.SQL("LEFT JOIN {} AS f ON l.{} = f.{}").format(
            feature_set.relation.identifier, entity, entity
        )
    ]
    relations = list(dict.fromkeys(label.relation for label in served.labels))
    for place, relation in enumerate(relations):
        alias = sql.Identifier(f"label_{place}")
        joins.append(
            sql.SQL("LEFT JOIN {} AS {} ON l.{} = {}.{}").format(
                relation.identifier, alias, entity, alias, entity
            )
        )
        selected += [
            sql.SQL("{}.{}").format(alias, sql.Identifier(label.name))
            for label in served.labels
            if label.relation == relation
        ]
    selected += [sql.Identifier("l", name) for name in features]
    # What inherits from the log is not sealed, so it was not served.
    return sql.SQL("SELECT {} FROM ONLY {} AS l {}").format(
        sql.SQL(", ").join(selected), log.identifier, sql.SQL(" ").join(joins)
    )
