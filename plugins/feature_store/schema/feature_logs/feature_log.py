"""Feature logs in the database: created and extended when a contract is stamped, never at night.

A log is a table, ``feature_log.SET``. It has the set's entity and features, with the live
relation's types, and when, by which run and under which contract each row was served. A new feature
is a new column, without a value in older rows. Next to it is the training view,
``feature_log.SET_training``. Only the database's function ``certify_and_log`` writes to a log.
"""

from __future__ import annotations

from collections.abc import Collection

from psycopg import sql

from feature_store.connection import Connection, one_value
from feature_store.database.catalog import column_types, live_columns
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.declarations.served import LOG_COLUMNS, Served
from feature_store.errors import BadInput, NotReady
from feature_store.relation_name import LOG_SCHEMA, Name
from feature_store.schema.feature_logs.log_comments import write_comments
from feature_store.schema.feature_logs.training_view import (
    is_as_stamped,
    make_training_view,
    training_view_of,
)
from feature_store.schema.privileges.schema_owner import as_the_owner
from feature_store.text_format import in_words


def log_of(feature_set: FeatureSet) -> Name:
    """The log's table."""
    return Name(LOG_SCHEMA, feature_set.name)


def has_logs(connection: Connection) -> bool:
    """Whether the audit schema has logs; an upgrade may not have been applied yet."""
    there: bool = one_value(
        connection, "SELECT to_regclass('feature_store_audit.feature_log') IS NOT NULL"
    )
    return there


def require_logs(connection: Connection) -> None:
    """Pass if the audit schema has logs.

    Raises:
        NotReady: it does not.
    """
    if not has_logs(connection):
        raise NotReady(
            "The audit schema has no feature logs yet.",
            readers="what they had before.",
            next_step="Run `bin/feature-store apply`.",
        )


def make_log(connection: Connection, feature_set: FeatureSet) -> None:
    """Create a set's log, or add the columns of new features; create its training view again.

    Args:
        connection: within a transaction, as the owner or a superuser.
        feature_set: stamped and bound to its live relation. Without ``served`` it has no log.

    Raises:
        BadInput: a feature is missing or has another type than in the log, or a column that the
            file names is missing. Nothing was changed.
        NotReady: the audit schema is of an earlier version, or something depends on the training
            view, which must be made anew.
    """
    require_logs(connection)
    served = feature_set.served
    live = live_columns(connection, feature_set.relation)
    missing = _missing(connection, feature_set, served) if served else []
    misfits = _misfits(connection, feature_set, live)
    if missing or misfits:
        raise BadInput(
            f"The feature log of {feature_set.name} cannot follow this contract:",
            items=missing + misfits,
            readers="the contract as it was stamped before.",
            next_step="Restore the file; or give the changed set a new name, and with it a new "
            "log.",
        )
    if served is None:
        return
    with as_the_owner(connection):
        widen = _widening(connection, feature_set, served)
        _make_table(connection, feature_set, served)
        make_training_view(connection, feature_set, served, log_of(feature_set), widen)


def log_problems(
    connection: Connection, feature_sets: Collection[FeatureSet], *, strict: bool = False
) -> list[str]:
    """Name what keeps a run from logging stamped sets, and what to do.

    Reads the catalog only.

    Args:
        connection: a pinned session that may read the registries.
        feature_sets: what the files say.
        strict: also name what keeps no run: views that an earlier version made, and that would show
            the rows of a table that inherits from the log.
    """
    problems = []
    stamped = _stamped(connection, {feature_set.registry for feature_set in feature_sets})
    for feature_set in feature_sets:
        if feature_set.name not in stamped:
            continue
        misfits = _misfits(connection, feature_set, live_columns(connection, feature_set.relation))
        problems += misfits
        if misfits or feature_set.served is None:
            continue
        problems += _heirs(connection, feature_set)
        if what := _unlike(connection, feature_set, feature_set.served, strict=strict):
            problems.append(f"{what}.\nNext: bin/feature-store stamp-contract {feature_set.name}")
    return problems


def _unlike(
    connection: Connection, feature_set: FeatureSet, served: Served, *, strict: bool
) -> str | None:
    """How a log or its training view is not as a stamp makes them, in words."""
    logged = live_columns(connection, log_of(feature_set))
    shown = live_columns(connection, training_view_of(feature_set))
    features = [feature.name for feature in feature_set.features]
    log = f"The feature log of {feature_set.name}"
    if not (logged and shown):
        return f"{log} has not been created"
    if lacking := [f for f in features if f not in logged or f not in shown]:
        return f"{log} lacks {in_words(lacking)}"
    if _is_narrow(connection, feature_set, served):
        return f"{log} takes only one letter or bit of {served.entity}"
    if not is_as_stamped(connection, feature_set, served, log_of(feature_set), strict=strict):
        return (
            f"The training view {training_view_of(feature_set)} is not as a stamp makes it, so it "
            "may show what was not served"
        )
    return None


def _heirs(connection: Connection, feature_set: FeatureSet) -> list[str]:
    """Tables that inherit from the log: what they hold is not sealed, and no run served it."""
    log = log_of(feature_set)
    return [
        f"{heir} inherits from {log}: a query of the log gives its rows, too, and no run served "
        f"them.\nNext: ALTER TABLE {heir} NO INHERIT {log.quoted}"
        for (heir,) in connection.execute(
            "SELECT i.inhrelid::regclass::text FROM pg_catalog.pg_inherits AS i "
            "WHERE i.inhparent = to_regclass(%s) ORDER BY 1",
            (log.quoted,),
        )
    ]


def _stamped(connection: Connection, registries: Collection[str]) -> set[str]:
    """The sets that a person has stamped."""
    return {
        name
        for registry in registries
        if live_columns(connection, Name(registry, "feature_set"))
        for (name,) in connection.execute(
            sql.SQL("SELECT s.name FROM {} AS s").format(sql.Identifier(registry, "feature_set"))
        )
    }


def _missing(connection: Connection, feature_set: FeatureSet, served: Served) -> list[str]:
    """Missing columns that the contract file names besides the features."""
    wanted = {(feature_set.relation, served.entity): None}
    for column in (served.t0, *served.labels):
        wanted |= {(column.relation, column.name): None, (column.relation, served.entity): None}
    return [
        f"{relation} has no column {name}"
        for relation, name in wanted
        if name not in live_columns(connection, relation)
    ]


def _misfits(connection: Connection, feature_set: FeatureSet, live: dict[str, str]) -> list[str]:
    """How the log's columns, if it is there, contradict the contract or the live relation."""
    logged = live_columns(connection, log_of(feature_set))
    features = [feature.name for feature in feature_set.features]
    served = feature_set.served
    if served is None:
        words = f"{feature_set.path} no longer names entity and t0, but there is a log"
        return [words] if logged else []
    if logged and not _is_ours(connection, feature_set, served):
        return [
            f"{log_of(feature_set)} was created with another entity or t0 than "
            f"{feature_set.path} names, or not by a stamp"
        ]
    ours = (*LOG_COLUMNS, served.entity)
    gone = [c for c in logged if c not in ours and c not in features]
    retyped = [f for f in features if f in logged and f in live and logged[f] != live[f]]
    return [f"{column} is in the log but is no longer a feature" for column in gone] + [
        f"{f} was logged as {logged[f]}, but {feature_set.relation} has it as {live[f]}"
        for f in retyped
    ]


def _is_ours(connection: Connection, feature_set: FeatureSet, served: Served) -> bool:
    row = connection.execute(
        "SELECT entity, t0_relation, t0_column FROM feature_store_audit.feature_log "
        "WHERE feature_set = %s",
        (feature_set.name,),
    ).fetchone()
    return row == (served.entity, served.t0.relation.quoted, served.t0.name)


def _is_narrow(connection: Connection, feature_set: FeatureSet, served: Served) -> bool:
    """Whether the log's entity has another length than the live one; earlier versions made such."""
    narrow: bool = one_value(
        connection,
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute AS l "
        "INNER JOIN pg_catalog.pg_attribute AS f ON l.attname = f.attname "
        "WHERE l.attrelid = to_regclass(%s) AND f.attrelid = to_regclass(%s) AND l.attname = %s "
        "AND l.atttypmod NOT IN (-1, f.atttypmod))",
        (log_of(feature_set).quoted, feature_set.relation.quoted, served.entity),
    )
    return narrow


def _widening(
    connection: Connection, feature_set: FeatureSet, served: Served
) -> sql.Composed | None:
    """The statement that makes a log's entity of any length; None: it is, or is not there yet."""
    if not _is_narrow(connection, feature_set, served):
        return None
    log = log_of(feature_set)
    return sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {}").format(
        log.identifier,
        sql.Identifier(served.entity),
        sql.SQL(column_types(connection, log)[served.entity]),
    )


def _make_table(connection: Connection, feature_set: FeatureSet, served: Served) -> None:
    table = log_of(feature_set).identifier
    types = column_types(connection, feature_set.relation)
    there = live_columns(connection, log_of(feature_set))
    if not there:
        own = [
            sql.SQL("{} {} {}").format(
                sql.Identifier(name),
                sql.SQL(type_name),
                sql.SQL("" if name in ("t0", "served_after") else "NOT NULL"),
            )
            for name, type_name in LOG_COLUMNS.items()
        ]
        entity = sql.Identifier(served.entity)
        connection.execute(
            sql.SQL("CREATE TABLE {} ({} {} PRIMARY KEY, {})").format(
                table, entity, sql.SQL(types[served.entity]), sql.SQL(", ").join(own)
            )
        )
    for feature in feature_set.features:
        if feature.name in there or feature.name == served.entity:
            continue
        connection.execute(
            sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(
                table, sql.Identifier(feature.name), sql.SQL(types[feature.name])
            )
        )
    connection.execute(
        "INSERT INTO feature_store_audit.feature_log "
        "(feature_set, relation, entity, t0_relation, t0_column) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT (feature_set) DO UPDATE SET relation = excluded.relation",
        (
            feature_set.name,
            feature_set.relation.quoted,
            served.entity,
            served.t0.relation.quoted,
            served.t0.name,
        ),
    )
    words = f"What {feature_set.name} had for each {served.entity} when a run first certified it."
    write_comments(connection, feature_set, served, "TABLE", log_of(feature_set), words)
