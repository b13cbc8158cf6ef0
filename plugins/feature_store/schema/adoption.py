"""Whether a relation that apply did not create can be refreshed as it is.

It can if it has the file's columns, can be refreshed as the file says, and reads nothing that the
DAG refreshes later. How it computes its rows is up to its owner: proofs and leak gates check them
like all others. It is never altered.
"""

from __future__ import annotations

from pathlib import Path

from feature_store.connection import Connection, one_row, one_value
from feature_store.database.catalog import live_columns
from feature_store.database.query_columns import expected_columns
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.store_definition import Relation, Store, closure
from feature_store.errors import BadInput
from feature_store.relation_name import Name
from feature_store.schema.row_misfits import row_misfits
from feature_store.text_format import in_words
from feature_store.validation.leaks.gates import leaks_of


def misfits(
    connection: Connection, store: Store, relation: Relation, include_dir: Path
) -> list[str]:
    """Say why a live relation cannot be adopted instead of a file's; empty if it can.

    Args:
        connection: a pinned session.
        store: what the files say.
        relation: the file's.
        include_dir: where they are.
    """
    oid, kind = one_row(
        connection,
        "SELECT c.oid, c.relkind::text FROM pg_catalog.pg_class AS c "
        "INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid "
        "WHERE n.nspname = %s AND c.relname = %s",
        (relation.name.schema, relation.name.relation),
    )
    wanted = "m" if relation.file.materialized else "v"
    if kind != wanted:
        words = "materialized view" if wanted == "m" else "plain view"
        return [f"it is no {words}"]
    bound = [feature_set.relation for feature_set in read_feature_sets(include_dir)]
    problems = _column_misfits(connection, store, relation, exact=relation.name in bound)
    if relation.refresh is Refresh.CONCURRENT and not _has_key(connection, relation, oid):
        keys = " or ".join(", ".join(key) for key in relation.file.unique_indexes.values())
        problems.append(f"it has no valid unique index over {keys}: no concurrent refresh")
    problems += _order_misfits(connection, store, relation, oid)
    problems += _owner_misfits(connection, oid) if kind == "m" else []
    if problems:
        return problems
    roots = [relation.name] if kind == "m" else bound
    rules, exceptions = read_rules(include_dir), read_exceptions(include_dir)
    if leaks := leaks_of(connection, store, relation.name, roots, rules, exceptions):
        return [f"every run would find a leak: {f.relation} {f.words}" for f in leaks]
    return row_misfits(connection, store, relation, oid, rules)


def collisions(connection: Connection, relation: Relation) -> dict[str, str]:
    """The relation's index names that something else in its schema has, each with whose it is.

    That is a relation, by name; empty if it is no index.
    """
    rows = connection.execute(
        """
        SELECT c.relname, CASE WHEN t.relname IS NULL THEN '' ELSE n.nspname || '.' || t.relname END
        FROM pg_catalog.pg_class AS c
        INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
        LEFT JOIN pg_catalog.pg_index AS i ON c.oid = i.indexrelid
        LEFT JOIN pg_catalog.pg_class AS t ON i.indrelid = t.oid
        WHERE n.nspname = %s AND c.relname = ANY(%s) AND t.relname IS DISTINCT FROM %s
        ORDER BY c.relname
        """,
        (relation.name.schema, list(relation.file.indexes), relation.name.relation),
    ).fetchall()
    return dict(rows)


def _column_misfits(
    connection: Connection, store: Store, relation: Relation, *, exact: bool
) -> list[str]:
    try:
        wanted = expected_columns(connection, store, relation)
    except BadInput as error:
        return [error.problem]
    live = live_columns(connection, relation.name)
    problems = []
    if missing := [column for column in wanted if column not in live]:
        problems.append(f"it lacks {in_words(missing)}")
    problems += [
        f"its column {column} is {live[column]}, not {wanted[column]}"
        for column in wanted
        if column in live and live[column] != wanted[column]
    ]
    more = [column for column in live if column not in wanted]
    if exact and more:
        problems.append(f"a feature set is bound to it, and it has extra columns: {in_words(more)}")
    return problems


def read_other_keys(connection: Connection, store: Store) -> dict[Name, tuple[str, ...]]:
    """The keys that adopted relations have instead of their files', by relation."""
    found = {}
    for relation in (r for r in store.refreshed if r.other_key):
        name = relation.name.quoted
        oid = one_value(connection, "SELECT to_regclass(%s)::oid", (name,))
        files = [set(key) for key in relation.file.unique_indexes.values()]
        if (
            oid
            and not _is_unique(connection, oid, files)
            and _is_unique(connection, oid, [set(relation.other_key)])
        ):
            found[relation.name] = relation.other_key
    return found


def _has_key(connection: Connection, relation: Relation, oid: int) -> bool:
    keys = [set(key) for key in relation.file.unique_indexes.values()]
    if relation.other_key:
        keys.append(set(relation.other_key))
    return _is_unique(connection, oid, keys)


def _is_unique(connection: Connection, oid: int, keys: list[set[str]]) -> bool:
    """Whether a relation has a valid unique index on one of these keys."""
    rows = connection.execute(
        """
        SELECT array_agg(a.attname::text)
        FROM pg_catalog.pg_index AS i
        INNER JOIN pg_catalog.pg_attribute AS a
            ON i.indrelid = a.attrelid
            AND a.attnum = ANY((i.indkey::int2[])[:i.indnkeyatts - 1])
        WHERE i.indrelid = %s AND i.indisunique AND i.indimmediate AND i.indisvalid
            AND i.indpred IS NULL AND i.indexprs IS NULL
        GROUP BY i.indexrelid
        """,
        (oid,),
    ).fetchall()
    return any(set(columns) <= key for (columns,) in rows for key in keys)


def _order_misfits(connection: Connection, store: Store, relation: Relation, oid: int) -> list[str]:
    """Say if it reads what the DAG refreshes at the same time or later."""
    before = {r.name for r in closure(store, relation)} - {relation.name}
    if relation.refresh is Refresh.CONCURRENT:
        before |= {r.name for r in store.relations if r.refresh is Refresh.BLOCKING}
    rows = connection.execute(
        """
        WITH RECURSIVE below (oid) AS (
            SELECT %s::oid
            UNION
            SELECT d.refobjid
            FROM below AS b
            INNER JOIN pg_catalog.pg_class AS c ON b.oid = c.oid
            INNER JOIN pg_catalog.pg_rewrite AS r ON c.oid = r.ev_class
            INNER JOIN pg_catalog.pg_depend AS d
                ON r.oid = d.objid
                AND d.classid = 'pg_catalog.pg_rewrite'::regclass
                AND d.refclassid = 'pg_catalog.pg_class'::regclass
            WHERE c.oid = %s OR c.relkind = 'v'
        )
        SELECT n.nspname, c.relname
        FROM below AS b
        INNER JOIN pg_catalog.pg_class AS c ON b.oid = c.oid
        INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
        WHERE c.relkind = 'm' AND c.oid <> %s
        ORDER BY 1, 2
        """,
        (oid, oid, oid),
    ).fetchall()
    reads = {Name(schema, name) for schema, name in rows}
    late = [str(r.name) for r in store.refreshed if r.name in reads - before]
    return [f"it reads {in_words(late)}, which the DAG does not refresh before it"] if late else []


def _owner_misfits(connection: Connection, oid: int) -> list[str]:
    """Say if the applying role is not a member of its owner: then no run could refresh it."""
    row = connection.execute(
        """
        SELECT quote_ident(pg_get_userbyid(c.relowner)), quote_ident(applies.rolname),
            c.oid::regclass::text
        FROM pg_catalog.pg_class AS c
        INNER JOIN pg_catalog.pg_roles AS applies
            ON applies.oid = coalesce(
                (
                    SELECT n.nspowner FROM pg_catalog.pg_namespace AS n
                    WHERE n.nspname = 'feature_store_audit'
                ),
                quote_ident(current_user)::regrole
            )
        WHERE c.oid = %s AND NOT pg_has_role(applies.oid, c.relowner, 'USAGE')
        """,
        (oid,),
    ).fetchone()
    if row is None:
        return []
    owner, me, view = row
    return [
        f"it belongs to {owner}, and {me}, who applies, is not a member of that role. To keep "
        f"it, as a superuser: ALTER MATERIALIZED VIEW {view} OWNER TO {me}"
    ]
