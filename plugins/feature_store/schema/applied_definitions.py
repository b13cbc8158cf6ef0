"""What apply records: definitions, and the comments of the store."""

from __future__ import annotations

from typing import Any

from psycopg import Cursor, sql

from feature_store.audit.adopted import ADOPTED, adopted_relations
from feature_store.connection import Connection, one_value
from feature_store.database.catalog import without_storage
from feature_store.declarations.store_definition import Relation, Store
from feature_store.errors import NotReady
from feature_store.schema.object_states import StoreObject


def record(connection: Connection, thing: StoreObject, *, adopted: bool = False) -> None:
    """Record an object as it is now.

    Args:
        connection: a pinned session.
        thing: it exists.
        adopted: whether it is used as it was found: then its own description is recorded instead
            of the file's, and it gets no comments.
    """
    live = thing.describe(connection) or ""
    definition = thing.definition if thing.governance or not adopted else live
    connection.execute(
        "INSERT INTO feature_store_audit.definition "
        "(object, file_definition, live_definition, dictionary) VALUES (%s, %s, %s, %s) "
        # There may be a row of an object that somebody dropped by hand.
        "ON CONFLICT (object) DO UPDATE SET file_definition = excluded.file_definition, "
        "live_definition = excluded.live_definition, dictionary = excluded.dictionary, "
        "server_major = excluded.server_major, applied_at = now(), applied_by = current_user",
        (
            thing.label,
            f"{ADOPTED}{definition}" if adopted else definition,
            live,
            "" if adopted else thing.dictionary,
        ),
    )


def record_wording(connection: Connection, thing: StoreObject) -> None:
    """Record how this server describes an object that has not changed."""
    done = connection.execute(
        "UPDATE feature_store_audit.definition SET live_definition = %s, server_major = DEFAULT "
        "WHERE object = %s",
        (thing.describe(connection), thing.label),
    )
    _require_recorded(done, thing)


def record_rebuilt(connection: Connection, thing: StoreObject) -> None:
    """Record how the server describes an object that was built again from its own query.

    What it reads may have columns of other types than before, and then so has it.

    Raises:
        NotReady: it was adopted, and could not be adopted as it is now.
    """
    then = one_value(
        connection,
        "SELECT live_definition FROM feature_store_audit.definition WHERE object = %s",
        (thing.label,),
    )
    same = thing.describe(connection) == without_storage(then or "")
    if same or thing.label not in adopted_relations(connection):
        record_wording(connection, thing)
        return
    if problems := thing.misfits(connection):
        raise NotReady(
            f"Nothing was applied: {thing.label}, built again with what it reads, would not fit:",
            items=problems,
            readers="what they had before.",
            next_step=f"Name it, too: `--replace {thing.label}`.",
        )
    record(connection, thing, adopted=True)


def write_words(connection: Connection, thing: StoreObject) -> None:
    """Write an object's comments."""
    for statement in thing.comment:
        connection.execute(statement.encode())
    done = connection.execute(
        "UPDATE feature_store_audit.definition SET dictionary = %s WHERE object = %s",
        (thing.dictionary, thing.label),
    )
    _require_recorded(done, thing)


def _require_recorded(done: Cursor[Any], thing: StoreObject) -> None:
    if done.rowcount != 1:
        raise NotReady(
            f"The record of {thing.label} was removed by somebody else meanwhile.",
            readers="what they had before; nothing was changed.",
            next_step="Run the command again.",
        )


def words_of_files(connection: Connection) -> str:
    """All comments that files have had until now, as recorded."""
    words = one_value(
        connection, "SELECT string_agg(dictionary, ';') FROM feature_store_audit.definition"
    )
    return words or ""


def quoted(words: str) -> str:
    """A text as it is written in a file's comment."""
    # Not as psycopg writes it: a backslash would make it E'…', which a file's reader does not know.
    return "'" + words.replace("'", "''") + "'"


def hand_down_words(connection: Connection, store: Store, written: str) -> None:
    """Give columns without a comment the comment of the column that they pass on.

    A column that goes from layer to layer under one name is described once, where it is made.
    Comments that no file ever had are somebody's own and stay. Adopted relations get none.

    Args:
        connection: a pinned session.
        store: what the files say.
        written: all comments that files had before.
    """
    adopted = adopted_relations(connection)
    for relation in store.relations:
        if str(relation.name) not in adopted:
            _hand_down(connection, relation, written)


def _hand_down(connection: Connection, relation: Relation, written: str) -> None:
    shown = [name.quoted for name in relation.file.shows]
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
        (shown, relation.name.quoted, list(relation.file.described)),
    ).fetchall()
    for column, words, words_now in rows:
        ours = words_now is None or quoted(words_now) in written
        if words != words_now and ours:
            connection.execute(
                sql.SQL("COMMENT ON COLUMN {} IS {}").format(
                    sql.Identifier(relation.name.schema, relation.name.relation, column),
                    sql.Literal(words),
                )
            )
