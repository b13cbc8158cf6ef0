"""What a relation keeps when it is replaced: everything except its query.

Owner, options, tablespace, column settings, indexes, comments and privileges. What was said about a
column that goes, goes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from psycopg import sql

from feature_store.connection import Connection
from feature_store.database.catalog import live_columns
from feature_store.database.kept_privileges import Step, privileges
from feature_store.declarations.files.schema_rewrite import moved
from feature_store.relation_name import Name
from feature_store.schema.applied_definitions import quoted
from feature_store.schema.replacement.dependents import Old


def keep(
    connection: Connection,
    old: Old,
    schema: str,
    own_indexes: Collection[str],
    own_words: str | None,
) -> list[Step]:
    """Read what an old relation has, as statements for the new one of its name in another schema.

    Args:
        connection: a pinned session.
        old: the old relation, of the new one's kind.
        schema: where the new one is.
        own_indexes: indexes that the new one has already.
        own_words: comments that files have had; None if the new one has no words of a file.
    """
    new = sql.Identifier(schema, old.name.relation)
    columns = list(live_columns(connection, Name(schema, old.name.relation)))
    readers: list[Callable[..., Iterator[Step]]] = [_owner, _options, _grants]
    steps = [step for read in readers for step in read(connection, old, new, schema)]
    steps += _columns(connection, old, new, columns)
    steps += _words(connection, old, schema, columns, own_words)
    steps += _tablespace(connection, old, new)
    steps += _indexes(connection, old, new, schema, own_indexes)
    return steps


def _alter(old: Old, new: sql.Composable, what: sql.Composable) -> sql.Composed:
    return sql.SQL("ALTER {} {} {}").format(sql.SQL(old.kind), new, what)


def _owner(connection: Connection, old: Old, new: sql.Composable, schema: str) -> Iterator[Step]:
    for (owner,) in connection.execute(
        "SELECT pg_get_userbyid(relowner) FROM pg_catalog.pg_class "
        "WHERE oid = %s AND pg_get_userbyid(relowner) <> current_user",
        (old.oid,),
    ):
        role = sql.Identifier(owner)
        may = sql.SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {}").format(sql.Identifier(schema), role)
        yield may, "its owner"
        yield _alter(old, new, sql.SQL("OWNER TO {}").format(role)), "its owner"


def _options(connection: Connection, old: Old, new: sql.Composable, _: str) -> Iterator[Step]:
    for prefix, name, value in connection.execute(
        """
        SELECT '', o.option_name, o.option_value
        FROM pg_catalog.pg_class AS c CROSS JOIN pg_options_to_table(c.reloptions) AS o
        WHERE c.oid = %s
        UNION ALL
        SELECT 'toast.', o.option_name, o.option_value
        FROM pg_catalog.pg_class AS c
        INNER JOIN pg_catalog.pg_class AS t ON c.reltoastrelid = t.oid
        CROSS JOIN pg_options_to_table(t.reloptions) AS o
        WHERE c.oid = %s
        """,
        (old.oid, old.oid),
    ):
        option = sql.SQL(prefix) + sql.Identifier(name)
        setting = sql.SQL("SET ({} = {})").format(option, sql.Literal(value))
        yield _alter(old, new, setting), f"the option {prefix}{name}"


def _columns(
    connection: Connection, old: Old, new: sql.Composable, columns: list[str]
) -> Iterator[Step]:
    for column, target, options, storage, compression in connection.execute(
        """
        SELECT
            a.attname,
            CASE WHEN a.attstattarget >= 0 THEN a.attstattarget END,
            array_to_string(a.attoptions, ', '),
            CASE WHEN a.attstorage <> t.typstorage THEN
                CASE a.attstorage
                    WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL'
                    WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED'
                END
            END,
            CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END
        FROM pg_catalog.pg_attribute AS a
        INNER JOIN pg_catalog.pg_class AS c ON a.attrelid = c.oid AND c.relkind = 'm'
        INNER JOIN pg_catalog.pg_type AS t ON a.atttypid = t.oid
        WHERE a.attrelid = %s AND a.attnum > 0 AND a.attname = ANY(%s)
        """,
        (old.oid, columns),
    ).fetchall():
        name = sql.Identifier(column)
        words = f"the settings of its column {column}"
        for setting, value in (
            ("SET STATISTICS {}", target),
            ("SET ({})", options),
            ("SET STORAGE {}", storage),
            ("SET COMPRESSION {}", compression),
        ):
            if value is not None:
                action = sql.SQL(setting).format(sql.SQL(str(value)))
                yield _alter(old, new, sql.SQL("ALTER COLUMN {} {}").format(name, action)), words


def _words(
    connection: Connection, old: Old, schema: str, columns: list[str], own: str | None
) -> Iterator[Step]:
    for column, words, inherited in connection.execute(
        """
        SELECT
            a.attname,
            d.description,
            -- A column of the same name in what the old one reads has the same words.
            EXISTS (
                SELECT FROM pg_catalog.pg_rewrite AS r
                INNER JOIN pg_catalog.pg_depend AS p
                    ON r.oid = p.objid AND p.classid = 'pg_catalog.pg_rewrite'::regclass
                    AND p.refclassid = 'pg_catalog.pg_class'::regclass
                INNER JOIN pg_catalog.pg_attribute AS theirs
                    ON p.refobjid = theirs.attrelid AND a.attname = theirs.attname
                WHERE r.ev_class = d.objoid AND p.refobjid <> d.objoid
                    AND col_description(theirs.attrelid, theirs.attnum) = d.description
            )
        FROM pg_catalog.pg_description AS d
        LEFT JOIN pg_catalog.pg_attribute AS a
            ON d.objoid = a.attrelid AND d.objsubid = a.attnum AND d.objsubid > 0
        WHERE d.classoid = 'pg_catalog.pg_class'::regclass AND d.objoid = %s
            AND (a.attname IS NULL OR a.attname = ANY(%s))
        """,
        (old.oid, columns),
    ).fetchall():
        # Inherited words are nobody's own: the file may say better ones, or inherit them again.
        if own is not None and (inherited or quoted(words) in own):
            continue
        if column is None:
            new = sql.Identifier(schema, old.name.relation)
            target = sql.SQL("{} {}").format(sql.SQL(old.kind), new)
        else:
            target = sql.SQL("COLUMN ") + sql.Identifier(schema, old.name.relation, column)
        comment = sql.SQL("COMMENT ON {} IS {}").format(target, sql.Literal(words))
        yield comment, f"the comment on {column or 'it'}"


def _grants(connection: Connection, old: Old, new: sql.Composable, _: str) -> Iterator[Step]:
    yield from privileges(connection, old.oid, new)


def _tablespace(connection: Connection, old: Old, new: sql.Composable) -> Iterator[Step]:
    for (space,) in connection.execute(
        "SELECT s.spcname FROM pg_catalog.pg_class AS c "
        "INNER JOIN pg_catalog.pg_tablespace AS s ON c.reltablespace = s.oid WHERE c.oid = %s",
        (old.oid,),
    ):
        to = sql.SQL("SET TABLESPACE {}").format(sql.Identifier(space))
        yield _alter(old, new, to), f"the tablespace {space}"


def _indexes(
    connection: Connection,
    old: Old,
    new: sql.Composable,
    schema: str,
    own: Collection[str],
) -> Iterator[Step]:
    for index, definition, space, clustered, words in connection.execute(
        """
        SELECT
            c.relname, pg_get_indexdef(c.oid), s.spcname, i.indisclustered,
            obj_description(c.oid, 'pg_class')
        FROM pg_catalog.pg_index AS i
        INNER JOIN pg_catalog.pg_class AS c ON i.indexrelid = c.oid
        LEFT JOIN pg_catalog.pg_tablespace AS s ON c.reltablespace = s.oid
        WHERE i.indrelid = %s
        ORDER BY c.relname
        """,
        (old.oid,),
    ).fetchall():
        name = sql.Identifier(schema, index)
        kept = f"the index {index}"
        if index not in own:
            yield sql.SQL("{}").format(sql.SQL(moved(definition, {old.name: schema}))), kept
        if space:
            to = sql.SQL("ALTER INDEX {} SET TABLESPACE {}").format(name, sql.Identifier(space))
            yield to, kept
        if clustered:
            yield _alter(old, new, sql.SQL("CLUSTER ON {}").format(sql.Identifier(index))), kept
        if words:
            yield sql.SQL("COMMENT ON INDEX {} IS {}").format(name, sql.Literal(words)), kept
