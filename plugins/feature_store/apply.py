"""Making the database agree with the files: one transaction, nothing dropped, nothing replaced."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
from psycopg import Connection, sql

from feature_store.errors import LeaseTaken, NotReady
from feature_store.lease import lock_free_lease
from feature_store.migrations import migrate
from feature_store.names import Name
from feature_store.objects import StoreObject, has_audit
from feature_store.plan import Plan, blockages, make_plan
from feature_store.prepare import server_problems
from feature_store.settings import Settings
from feature_store.sources import source_problems
from feature_store.store import Relation, Store
from feature_store.wording import bullets


def apply(connection: Connection[Any], store: Store, settings: Settings) -> Plan:
    """Create what is missing and write changed comments. Relations are created empty.

    Runs as the role of the session, which becomes the owner. Either all of the plan takes effect
    or none of it.

    Args:
        connection: a pinned session in autocommit mode.
        store: what the files say.
        settings: where the files are, and how long a silent lease counts.

    Returns:
        What was done.

    Raises:
        NotReady: the sources or the server are not fit, or something is not as its file.
        LeaseTaken: a run, or another apply, is working on the store.
    """
    try:
        with connection.transaction():
            return _apply_in_transaction(connection, store, settings)
    except (
        psycopg.errors.DuplicateTable,
        psycopg.errors.DuplicateFunction,
        psycopg.errors.DuplicateObject,
    ) as error:
        raise NotReady(
            f"Nothing was applied: {error.diag.message_primary}, and apply did not create it.",
            readers="what they had before.",
            next_step="Rename or drop it yourself; we never touch what we did not create.",
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise NotReady(
            f"Nothing was applied: {error.diag.message_primary}.",
            readers="what they had before.",
            next_step="Apply as a role that may create in this database and read the sources.",
        ) from error


def _apply_in_transaction(connection: Connection[Any], store: Store, settings: Settings) -> Plan:
    _wait_for_other_applies(connection)
    plan = make_plan(connection, store, settings.include_dir)
    problems = server_problems(connection) or source_problems(connection, store.sources)
    problems += blockages(plan)
    if problems:
        raise NotReady(
            f"Nothing was applied:\n{bullets(problems)}", readers="what they had before."
        )
    if plan.empty:
        return plan
    if has_audit(connection):
        # From a command line nobody can ask Airflow whether the holder's run is over.
        grace = timedelta(seconds=settings.lease_grace)
        lock_free_lease(connection, lambda _: None, grace)
    _carry_out(connection, plan, store)
    return plan


def _wait_for_other_applies(connection: Connection[Any]) -> None:
    # The first apply has no lease to take yet, so this lock needs no table.
    try:
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('feature_store apply'))")
    except psycopg.errors.LockNotAvailable:
        raise LeaseTaken(
            "Another apply is at work in this database.", next_step="Apply again when it is done."
        ) from None


def _carry_out(connection: Connection[Any], plan: Plan, store: Store) -> None:
    for schema in plan.schemas:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    migrate(connection, plan.migrations)
    for thing in plan.creates:
        _create(connection, thing)
    for thing in (*plan.creates, *plan.comments):
        _comment(connection, thing)
    for relation in store.relations:
        _hand_down_comments(connection, relation)


def _create(connection: Connection[Any], thing: StoreObject) -> None:
    for statement in thing.create:
        connection.execute(statement.encode())
    connection.execute(
        "INSERT INTO feature_store_audit.definition "
        "(object, file_definition, live_definition, dictionary) VALUES (%s, %s, %s, '') "
        # A row may be left of an object that somebody dropped by hand.
        "ON CONFLICT (object) DO UPDATE SET file_definition = excluded.file_definition, "
        "live_definition = excluded.live_definition, server_major = excluded.server_major, "
        "applied_at = now(), "
        "applied_by = current_user",
        (thing.label, thing.definition, thing.describe(connection)),
    )


def _comment(connection: Connection[Any], thing: StoreObject) -> None:
    for statement in thing.comment:
        connection.execute(statement.encode())
    connection.execute(
        "UPDATE feature_store_audit.definition SET dictionary = %s WHERE object = %s",
        (thing.dictionary, thing.label),
    )


def _hand_down_comments(connection: Connection[Any], relation: Relation) -> None:
    """Give a column that its file does not describe the words of the column that it passes on.

    A column that goes from layer to layer under one name is described once, where it is made.
    """
    shown = [_quoted(connection, name) for name in relation.file.shows]
    rows = connection.execute(
        """
        SELECT DISTINCT ON (mine.attname)
            mine.attname,
            col_description(theirs.attrelid, theirs.attnum),
            col_description(mine.attrelid, mine.attnum)
        FROM pg_catalog.pg_attribute AS mine
        LEFT JOIN (
            unnest(%s::regclass[]) WITH ORDINALITY AS shown (relation, place)
            INNER JOIN pg_catalog.pg_attribute AS theirs ON shown.relation = theirs.attrelid
        ) ON mine.attname = theirs.attname
        WHERE mine.attrelid = %s::regclass AND mine.attnum > 0 AND mine.attname <> ALL(%s)
        ORDER BY mine.attname, shown.place
        """,
        (shown, _quoted(connection, relation.name), list(relation.file.described)),
    ).fetchall()
    for column, words, words_now in rows:
        if words != words_now:
            connection.execute(
                sql.SQL("COMMENT ON COLUMN {} IS {}").format(
                    sql.Identifier(relation.name.schema, relation.name.relation, column),
                    sql.Literal(words),
                )
            )


def _quoted(connection: Connection[Any], name: Name) -> str:
    return name.identifier.as_string(connection)
