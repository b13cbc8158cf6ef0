"""What keeps a relation from being dropped: what depends on it, and its feature sets."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from psycopg import sql

from feature_store.connection import Connection, one_value
from feature_store.declarations.served import TRAINING
from feature_store.relation_name import LOG_SCHEMA, Name

DROP = "bin/feature-store apply --drop {0}"


def dependents(connection: Connection, oid: int | None) -> list[tuple[str, str]]:
    """What depends on a relation: a relation that reads it by its name, anything else in words."""
    return connection.execute(
        """
        SELECT DISTINCT
            coalesce(concat_ws('.', n.nspname, v.relname), ''),
            CASE WHEN v.oid IS NULL THEN pg_describe_object(d.classid, d.objid, 0) ELSE '' END
        FROM pg_catalog.pg_class AS c
        INNER JOIN pg_catalog.pg_type AS t ON c.reltype = t.oid
        INNER JOIN pg_catalog.pg_depend AS d
            ON (d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid)
            OR (
                d.refclassid = 'pg_catalog.pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray)
            )
        LEFT JOIN pg_catalog.pg_rewrite AS r
            ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
        LEFT JOIN pg_catalog.pg_class AS v ON r.ev_class = v.oid
        LEFT JOIN pg_catalog.pg_namespace AS n ON v.relnamespace = n.oid
        -- Its indexes, statistics and the like go with it.
        WHERE c.oid = %s AND d.deptype = 'n' AND v.oid IS DISTINCT FROM c.oid
        ORDER BY 1, 2
        """,
        (oid,),
    ).fetchall()


def refusal(name: Name, who: str, ours: Collection[str], together: Sequence[str]) -> str:
    """Why a relation cannot be dropped, and what to do.

    Args:
        name: the relation.
        who: what depends on it.
        ours: the relations that have a file.
        together: if ``who`` has no file, either: the names to drop together.
    """
    schema, _, relation = who.partition(".")
    if who in ours:
        way = f"its file no longer reads it: add `--replace {who}`"
    elif together:
        way = f"it has no file, either: `{DROP.format(' '.join(together))}`"
    elif schema == LOG_SCHEMA and relation.endswith(TRAINING):
        feature_set = relation.removesuffix(TRAINING)
        view = Name(schema, relation).quoted
        way = (
            f"if {feature_set} has a contract file, remove the labels of {name} from it and "
            f"stamp it; otherwise, as the owner: `DROP VIEW {view}`. The log itself stays"
        )
    else:
        way = "it is yours: drop it, or make it read something else; then apply"
    return f"{name} cannot be dropped: {who} depends on it.\nNext: {way}"


def carried_sets(connection: Connection, relation: Name, registry: str) -> list[str]:
    """The stamped feature sets bound to a relation, each with what to do.

    Args:
        connection: a session.
        relation: which.
        registry: the schema whose tables hold all feature sets.
    """
    binding = Name(registry, "feature_set_binding")
    if one_value(connection, "SELECT to_regclass(%s)", (binding.quoted,)) is None:
        return []
    names = connection.execute(
        sql.SQL(
            "SELECT s.name FROM {} AS b INNER JOIN {} AS s "
            "ON b.set_id = s.set_id WHERE b.relation_name = format('%%I.%%I', %s::text, %s::text) "
            "ORDER BY s.name"
        ).format(binding.identifier, sql.Identifier(registry, "feature_set")),
        (relation.schema, relation.relation),
    ).fetchall()
    return [
        f"{relation} cannot be dropped: the stamped feature set {name} is bound to it.\nNext: "
        "bind the set to another relation in its contract file, and stamp it; or, if nobody "
        f"reads the set now, as the owner: `{_unbind(name, registry)}`"
        for (name,) in names
    ]


def _unbind(feature_set: str, registry: str) -> str:
    """The statement that leaves a set stamped but bound to no relation."""
    return (
        sql.SQL(
            "DELETE FROM {}.feature_set_binding AS b USING {}.feature_set AS s "
            "WHERE b.set_id = s.set_id AND s.name = {}"
        )
        .format(sql.Identifier(registry), sql.Identifier(registry), sql.Literal(feature_set))
        .as_string()
    )
