"""Other people's code that a refresh would run with the owner's rights, found before any run.

A refresh reads tables as the views' owners, and records what it saw as the refresher. Meanwhile the
server runs row-level policies and what views call. The planner, even for a plain SELECT, runs
functions of index conditions and expressions, of extended statistics, of CHECK constraints and of
partition keys. So the owner of a source could run code with the store's rights.

This reads only the catalog, so that looking runs none of that code. Reading a table does not run
triggers, rules or defaults of columns, and reading a column of a domain does not run its checks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from feature_store.connection import Connection
from feature_store.database.stored_queries.calls import Call, calls
from feature_store.database.stored_queries.dependency_closure import Closure, read_closure
from feature_store.database.stored_queries.determinism import Judge
from feature_store.database.stored_queries.node_tree import Value, parse_tree
from feature_store.database.stored_queries.row_security import subjects
from feature_store.declarations.leak_rules import LeakRules
from feature_store.declarations.store_definition import Store
from feature_store.relation_name import Name
from feature_store.validation.leaks.time_gate import unprovable

# A table's parents matter for planning, too: their keys decide its partition bounds.
_TREES = """
WITH RECURSIVE family (oid) AS (
    SELECT unnest(%s::oid[])
    UNION
    SELECT i.inhparent FROM family AS f INNER JOIN pg_catalog.pg_inherits AS i ON f.oid = i.inhrelid
),
carried AS (
    SELECT i.indrelid AS oid, 'its index ' || c.relname AS what, t.tree::text AS tree
    FROM pg_catalog.pg_index AS i
    INNER JOIN pg_catalog.pg_class AS c ON i.indexrelid = c.oid
    CROSS JOIN LATERAL (VALUES (i.indexprs), (i.indpred)) AS t (tree)
    UNION ALL
    SELECT s.stxrelid, 'its statistics ' || s.stxname, s.stxexprs::text
    FROM pg_catalog.pg_statistic_ext AS s
    UNION ALL
    SELECT k.conrelid, 'its constraint ' || k.conname, k.conbin::text
    FROM pg_catalog.pg_constraint AS k
    WHERE k.contype = 'c'
    UNION ALL
    SELECT d.adrelid, 'its generated column ' || a.attname, d.adbin::text
    FROM pg_catalog.pg_attrdef AS d
    INNER JOIN pg_catalog.pg_attribute AS a ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attgenerated <> ''
    UNION ALL
    SELECT p.partrelid, 'its partition key', p.partexprs::text
    FROM pg_catalog.pg_partitioned_table AS p
    UNION ALL
    SELECT c.oid, 'its bounds as a partition', c.relpartbound::text
    FROM pg_catalog.pg_class AS c
)
SELECT n.nspname, c.relname, x.what, x.tree
FROM family AS f
INNER JOIN carried AS x ON f.oid = x.oid
INNER JOIN pg_catalog.pg_class AS c ON f.oid = c.oid
INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
WHERE x.tree IS NOT NULL
ORDER BY 1, 2, 3
"""
# Only a superuser can make an operator class, but others may own functions in it.
_OPERATOR_CLASSES = """
WITH RECURSIVE family (oid) AS (
    SELECT unnest(%s::oid[])
    UNION
    SELECT i.inhparent FROM family AS f INNER JOIN pg_catalog.pg_inherits AS i ON f.oid = i.inhrelid
),
used (oid, what, opclass) AS (
    SELECT i.indrelid, 'its index ' || c.relname, unnest(i.indclass)
    FROM pg_catalog.pg_index AS i
    INNER JOIN pg_catalog.pg_class AS c ON i.indexrelid = c.oid
    UNION ALL
    SELECT p.partrelid, 'its partition key', unnest(p.partclass)
    FROM pg_catalog.pg_partitioned_table AS p
),
ran AS (
    SELECT a.amprocfamily AS opfamily, a.amproc::oid AS oid FROM pg_catalog.pg_amproc AS a
    UNION
    SELECT a.amopfamily, o.oprcode::oid
    FROM pg_catalog.pg_amop AS a
    INNER JOIN pg_catalog.pg_operator AS o ON a.amopopr = o.oid
)
SELECT DISTINCT n.nspname, c.relname, u.what, p.oid::regprocedure::text
FROM family AS f
INNER JOIN used AS u ON f.oid = u.oid
INNER JOIN pg_catalog.pg_opclass AS oc ON u.opclass = oc.oid
INNER JOIN ran AS r ON oc.opcfamily = r.opfamily
INNER JOIN pg_catalog.pg_proc AS p ON r.oid = p.oid
INNER JOIN pg_catalog.pg_roles AS o ON p.proowner = o.oid
INNER JOIN pg_catalog.pg_class AS c ON f.oid = c.oid
INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
WHERE p.oid >= 16384 AND NOT o.rolsuper
ORDER BY 1, 2, 3, 4
"""


@dataclass(frozen=True)
class _Carried:
    """Code attached to a relation, which the server runs when the relation is read.

    Attributes:
        relation: which.
        what: what of the relation runs it.
        call: what is run.
        theirs: whether it is in a view without a file. Then even the server's own functions are
            limited, because some run any text as SQL.
    """

    relation: str
    what: str
    call: Call
    theirs: bool


def carried_code(
    connection: Connection,
    store: Store,
    rules: LeakRules,
    replaced: Collection[str] = (),
    only: Iterable[Name] | None = None,
) -> list[str]:
    """Name every policy and every foreign function that reading the store would run.

    Foreign tables, and what extensions keep, are read by other people's code, too.

    Args:
        connection: a pinned session, as the role that will read.
        store: what the files say.
        rules: which functions a person vouches for.
        replaced: relations whose queries do not count, nor what only these read, because those of
            files take their place. What a file reads has a file, too, or is a source.
        only: relations to check, with all below them; None: all, and the sources.
    """
    if only is None:
        only = [*(s.name for s in store.sources), *(r.name for r in store.relations)]
    closure = read_closure(connection, only, replaced)
    return [
        *_unprovable(closure, replaced),
        *_policies(connection, closure),
        *_calls(connection, closure, store, rules),
        *_operator_classes(connection, closure, rules),
    ]


def query_code(connection: Connection, rules: LeakRules, made: Collection[Name]) -> list[str]:
    """Name every foreign function that the queries of some relations themselves would run.

    For those that were just made: what lies below them was looked at before.
    """
    if not made:
        return []
    closure = read_closure(connection, made)
    found = [one for one in _of_queries(closure, made) if not one.theirs]
    return list(_objections(connection, found, rules))


def _unprovable(closure: Closure, replaced: Collection[str]) -> Iterator[str]:
    """What the last task of every run would refuse, found before the first task."""
    for member in closure.members.values():
        for words, way_out in () if str(member.name) in replaced else unprovable(member):
            yield f"{member.name} {words}\nNext: {way_out}"


def _policies(connection: Connection, closure: Closure) -> Iterator[str]:
    for oid, roles in subjects(connection, closure.members, closure.roots).items():
        name, role = closure.members[oid].name, ", ".join(roles)
        yield (
            f"{name} is under row-level security, which applies to {role}. Its policies would "
            "run with that role's rights and decide which rows a refresh sees.\nNext: ALTER ROLE "
            f"{role} BYPASSRLS, or GRANT the role that owns {name} TO {role} (not enough where "
            "row-level security is forced)."
        )


def _calls(
    connection: Connection, closure: Closure, store: Store, rules: LeakRules
) -> Iterator[str]:
    ours = {r.name for r in store.relations}
    found = [*_of_queries(closure, ours), *_of_tables(connection, closure)]
    return _objections(connection, found, rules)


def _objections(
    connection: Connection, found: Collection[_Carried], rules: LeakRules
) -> Iterator[str]:
    judge = Judge(connection, rules.vouched)
    judge.learn(one.call for one in found)
    said: set[str] = set()
    for one in found:
        objection = judge.judge(one.call)
        if objection.foreign:
            told = f"{one.what} uses {objection.words}"
            said.add(_foreign(one.relation, told, rules, objection.vouch))
        elif one.theirs and objection.acts:
            said.add(
                f"{one.relation}: {one.what} uses {objection.words}; the relation's file does not "
                "have it, and a refresh would run it.\nNext: remove it from the view."
            )
    yield from sorted(said)


def _of_queries(closure: Closure, ours: Collection[Name]) -> Iterator[_Carried]:
    for member in closure.members.values():
        if member.query is not None:
            theirs = member.name not in ours
            yield from _each(str(member.name), "its query", member.query, theirs=theirs)


def _of_tables(connection: Connection, closure: Closure) -> Iterator[_Carried]:
    for schema, name, what, tree in connection.execute(_TREES, (list(closure.members),)):
        yield from _each(f"{schema}.{name}", what, parse_tree(tree), theirs=False)


def _each(relation: str, what: str, tree: Value, *, theirs: bool) -> Iterator[_Carried]:
    return (_Carried(relation, what, call, theirs) for call in calls(tree))


def _operator_classes(connection: Connection, closure: Closure, rules: LeakRules) -> Iterator[str]:
    rows = connection.execute(_OPERATOR_CLASSES, (list(closure.members),))
    for schema, name, what, function in rows:
        if function not in rules.functions:
            words = f"{what} has an operator class with {function}, not a superuser's function"
            yield _foreign(f"{schema}.{name}", words, rules)


def _foreign(relation: str, words: str, rules: LeakRules, vouch: str = "") -> str:
    return (
        f"{relation}: {words}. A refresh would run it with the owner's rights.\nNext: have it "
        f"removed, or declare {vouch or 'the function'} in {rules.path}, then `bin/feature-store "
        "stamp-proofs`."
    )
