"""What a database has that could be a store: views, what they read, their indexes and comments.

Only the catalog is asked, and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from feature_store.connection import Connection, one_row
from feature_store.database.catalog import live_columns
from feature_store.database.stored_queries.dependency_closure import (
    MATERIALIZED,
    VIEW,
    Closure,
    Member,
    read_closure,
)
from feature_store.database.stored_queries.moment_constants import Constant, moments
from feature_store.relation_name import Name
from feature_store.schema.first_folder.vouched import foreign_constants, user_functions
from feature_store.validation.leaks.relation_influence import trace
from feature_store.validation.leaks.time_gate import unprovable

# What an extension brought is its own affair.
_VIEWS = """
SELECT n.nspname, c.relname, c.relkind::text
FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
WHERE n.nspname = ANY(%s) AND c.relkind IN ('v', 'm')
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS d
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
    )
ORDER BY n.nspname, c.relname
"""
_WORDS = """
SELECT
    c.oid::regclass::text,
    pg_get_viewdef(c.oid, TRUE),
    obj_description(c.oid, 'pg_class'),
    ARRAY(
        SELECT ROW(quote_ident(a.attname), col_description(c.oid, a.attnum))
        FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND col_description(c.oid, a.attnum) IS NOT NULL
        ORDER BY a.attnum
    )
FROM pg_catalog.pg_class AS c
WHERE c.oid = %s
"""
_INDEXES = """
SELECT
    c.relname,
    pg_get_indexdef(c.oid),
    i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
        AND NOT EXISTS (
            SELECT
            FROM unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[])
                AS k (attnum, opclass, coll)
            INNER JOIN pg_catalog.pg_opclass AS o ON k.opclass = o.oid
            INNER JOIN pg_catalog.pg_attribute AS a
                ON i.indrelid = a.attrelid AND k.attnum = a.attnum
            WHERE NOT o.opcdefault OR k.coll <> a.attcollation
        ),
    ARRAY(
        SELECT a.attname::text
        FROM unnest((i.indkey::int2[])[:i.indnkeyatts - 1]) WITH ORDINALITY AS k (attnum, place)
        INNER JOIN pg_catalog.pg_attribute AS a
            ON i.indrelid = a.attrelid AND k.attnum = a.attnum
        ORDER BY k.place
    )
FROM pg_catalog.pg_index AS i
INNER JOIN pg_catalog.pg_class AS c ON i.indexrelid = c.oid
WHERE i.indrelid = %s AND i.indisvalid
ORDER BY c.relname
"""
_SOURCE_KINDS = {
    MATERIALIZED: "a materialized view: who refreshes it now must go on doing so",
    VIEW: "a view",
    "p": "a partitioned table",
}


@dataclass(frozen=True)
class FoundIndex:
    """An index.

    Attributes:
        name: its name.
        definition: the statement that creates it, as the server words it.
        key: the columns by which it makes rows unique; none if it does not, or not by columns
            alone.
    """

    name: str
    definition: str
    key: tuple[str, ...]


@dataclass(frozen=True)
class FoundRelation:
    """A view, materialized or plain, that is to be a relation of the store.

    Attributes:
        name: its name.
        spelled: its name as SQL has it, quoted where it must be.
        materialized: whether it is a materialized view.
        query: its query, as the server words it.
        columns: its columns and their types, in order.
        comment: what is said of it; empty: nothing.
        column_comments: the same of its columns, which are spelled as SQL has them.
        indexes: its indexes.
        reads: the relations of the store that it reads.
        sources: what else it reads, each with the columns that it looks at.
        moments: the points in time that stand in its query.
    """

    name: Name
    spelled: str
    materialized: bool
    query: str
    columns: dict[str, str]
    comment: str
    column_comments: dict[str, str]
    indexes: tuple[FoundIndex, ...]
    reads: frozenset[Name]
    sources: dict[Name, tuple[str, ...]]
    moments: tuple[Constant, ...]


@dataclass(frozen=True)
class FoundSource:
    """What the store reads and does not make.

    Attributes:
        name: its name.
        kind: what it is, in words; empty for a table.
        columns: those that are read, with their types.
        unprovable: what of it, or below it, keeps every proof from it, with the way out.
        stands_on: relations of the store that it reads itself, at any depth.
    """

    name: Name
    kind: str
    columns: dict[str, str]
    unprovable: tuple[str, ...]
    stands_on: tuple[Name, ...]


@dataclass(frozen=True)
class FoundStore:
    """All of it.

    Attributes:
        relations: by name.
        sources: by name.
        functions: the users' functions that it calls, by signature.
        constants: points in time that no file of the store can hold, each with whose query does.
        left_out: plain views of the chosen schemas that have nothing to do with it.
    """

    relations: dict[Name, FoundRelation]
    sources: dict[Name, FoundSource]
    functions: tuple[str, ...]
    constants: tuple[tuple[Name, str], ...]
    left_out: tuple[Name, ...]

    @property
    def materialized(self) -> tuple[FoundRelation, ...]:
        """The materialized views."""
        return tuple(r for r in self.relations.values() if r.materialized)

    @property
    def tops(self) -> tuple[FoundRelation, ...]:
        """The relations on which no materialized view stands: models read these."""
        under = {name for made in self.materialized for name in self.below(made.name)}
        return tuple(r for r in self.relations.values() if r.name not in under)

    def below(self, name: Name) -> frozenset[Name]:
        """The relations of the store that one of them reads, at any depth."""
        found: set[Name] = set()
        pending = [name]
        while pending:
            read = self.relations[pending.pop()].reads - found
            found |= read
            pending += read
        return frozenset(found)


def find_store(connection: Connection, schemas: Collection[str]) -> FoundStore:
    """Read the store that stands in these schemas.

    Args:
        connection: a pinned session of any role.
        schemas: where its relations are.
    """
    rows = connection.execute(_VIEWS, (list(schemas),)).fetchall()
    kinds = {Name(schema, relation): kind for schema, relation, kind in rows}
    closure = read_closure(connection, kinds)
    kept = _kept(closure, kinds)
    whole = closure.beginning_with([o for o in closure.roots if closure.members[o].name in kept])
    relations = {
        member.name: _relation(connection, whole, member, kept)
        for member in sorted(whole.members.values(), key=lambda m: m.name)
        if member.name in kept
    }
    return FoundStore(
        relations,
        _sources(connection, whole, relations),
        user_functions(connection, whole),
        tuple(foreign_constants(connection, whole, kept)),
        tuple(sorted(kinds.keys() - kept)),
    )


def _kept(closure: Closure, kinds: dict[Name, str]) -> frozenset[Name]:
    """The materialized views, and the plain views of the same schemas above and below them."""
    by_name = {m.name: m for m in closure.members.values() if m.name in kinds}

    def below(name: Name) -> set[Name]:
        found: set[Name] = set()
        pending = [name]
        while pending:
            read = {closure.members[o].name for o in by_name[pending.pop()].reads} & by_name.keys()
            pending += read - found
            found |= read
        return found

    made = {name for name, kind in kinds.items() if kind == MATERIALIZED}
    under = {name: below(name) for name in by_name}
    return frozenset(
        made.union(*(under[n] for n in made), *({n} for n in under if under[n] & made))
    )


def _relation(
    connection: Connection, closure: Closure, member: Member, kept: Collection[Name]
) -> FoundRelation:
    # One snapshot holds all that is read.
    spelled, query, comment, columns = one_row(connection, _WORDS, (member.oid,))
    indexes = connection.execute(_INDEXES, (member.oid,)).fetchall()
    read = [closure.members[oid] for oid in member.reads]
    return FoundRelation(
        name=member.name,
        spelled=spelled,
        materialized=member.kind == MATERIALIZED,
        query=query.strip().removesuffix(";"),
        columns=live_columns(connection, member.name),
        comment=comment or "",
        column_comments=dict(columns),
        indexes=tuple(FoundIndex(n, words, tuple(k) if u else ()) for n, words, u, k in indexes),
        reads=frozenset(m.name for m in read if m.name in kept),
        sources=_read_of_sources(member, [m for m in read if m.name not in kept]),
        moments=tuple(dict.fromkeys(moments(connection, member.query))),
    )


def _read_of_sources(member: Member, sources: Collection[Member]) -> dict[Name, tuple[str, ...]]:
    """The columns that a relation reads of each, a whole row being all of them."""
    reads = trace(member).reads
    return {
        source.name: tuple(
            column
            for number, column in source.columns.items()
            if {(source.oid, number), (source.oid, 0)} & reads
        )
        for source in sorted(sources, key=lambda m: m.name)
    }


def _sources(
    connection: Connection, closure: Closure, relations: dict[Name, FoundRelation]
) -> dict[Name, FoundSource]:
    read: dict[Name, set[str]] = {}
    for relation in relations.values():
        for name, columns in relation.sources.items():
            read.setdefault(name, set()).update(columns)
    members = {m.name: m for m in closure.members.values() if m.name in read}
    found = {}
    for name in sorted(read):
        types = live_columns(connection, name)
        member = members[name]
        below = [member, *(closure.members[o] for o in sorted(closure.below(member.oid)))]
        found[name] = FoundSource(
            name,
            _SOURCE_KINDS.get(member.kind, ""),
            {column: kind for column, kind in types.items() if column in read[name]},
            tuple(f"{m.name} {words} {way}" for m in below for words, way in unprovable(m)),
            tuple(m.name for m in below if m.name in relations),
        )
    return found
