"""Whether the query of a relation that apply did not create gives only rows that it may have.

Its query is run for that, unless that would run code of others.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import errors, sql

from feature_store.connection import Connection, one_row, one_value
from feature_store.declarations.leak_rules import LeakRules
from feature_store.declarations.store_definition import Relation, Store
from feature_store.schema.privileges.foreign_code import carried_code
from feature_store.text_format import in_words

# Not allowed to read it, or not filled yet: the suites check it in every run.
_CANNOT_LOOK = (
    errors.InsufficientPrivilege,
    errors.ObjectNotInPrerequisiteState,
    errors.UndefinedTable,
)


def row_misfits(
    connection: Connection, store: Store, relation: Relation, oid: int, rules: LeakRules
) -> list[str]:
    """Say if its query gives rows that it may not have, or another t0; it may leave some out.

    Args:
        connection: a pinned session.
        store: what the files say.
        relation: the file's.
        oid: the live relation's.
        rules: which functions a person vouches for.
    """
    specification = relation.specification
    if relation.rows is None or specification is None or not specification.by_owner:
        return []
    whole = store.find(str(relation.rows.of))
    # Planning a query already runs what is attached to its tables, with the rights of who plans.
    if carried_code(connection, store, rules, only=[relation.name, whole.name]):
        return []  # the plan and every run name it
    key = next(iter(whole.keys.values()))
    held = specification.not_by_owner
    query = one_value(connection, "SELECT pg_get_viewdef(%s::oid)", (oid,)) or ""
    fewer = "; it may have fewer rows, but no others"
    wrong: dict[tuple[str, ...], tuple[str, str]] = {
        (): (f"that {whole.name} does not have", fewer)
    }
    if held:
        wrong[held] = (f"with another {in_words(held)} than in {whole.name}", "")
    for columns, (words, more) in wrong.items():
        if found := _rows_beside(connection, query, whole, key, columns):
            n, example = found
            return [f"its query gives {n:,} rows {words} ({example}, for example){more}"]
    return []


def _rows_beside(
    connection: Connection,
    query: str,
    whole: Relation,
    key: Sequence[str],
    columns: Sequence[str],
) -> tuple[int, str] | None:
    """How many rows of a query a relation lacks by key and columns, and one of them."""
    wholes, theirs = (sql.SQL(", ").join(sql.Identifier(t, c) for c in key) for t in ("w", "t"))
    same = sql.SQL("").join(
        sql.SQL(" AND w.{0} IS NOT DISTINCT FROM t.{0}").format(sql.Identifier(c)) for c in columns
    )
    others = sql.SQL(
        "SELECT count(*), (array_agg(concat_ws(', ', {theirs}) ORDER BY {theirs}))[1] "
        "FROM ({query}) AS t "
        "WHERE NOT EXISTS (SELECT 1 FROM {whole} AS w WHERE ({wholes}) = ({theirs}){same})"
    ).format(
        theirs=theirs,
        wholes=wholes,
        same=same,
        query=sql.SQL(query.rstrip().removesuffix(";")),
        whole=whole.name.identifier,
    )
    try:
        with connection.transaction():
            n, example = one_row(connection, others)
    except _CANNOT_LOOK:
        return None
    return (n, example) if n else None
