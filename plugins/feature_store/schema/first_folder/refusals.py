"""What keeps a database from being written down as a store, found before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import psycopg
from psycopg import sql

from feature_store.connection import Connection
from feature_store.declarations.store_profile import is_schema
from feature_store.errors import BadInput, NotReady
from feature_store.relation_name import Name
from feature_store.schema.first_folder.found_store import FoundStore
from feature_store.schema.object_states import has_audit
from feature_store.schema.store_record import StoreRecord, recorded

_SCHEMAS = """
SELECT DISTINCT n.nspname
FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
WHERE c.relkind = 'm' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS d
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
    )
ORDER BY n.nspname
"""
_UNKNOWN = """
SELECT s FROM unnest(%s::text[]) AS s
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_namespace AS n WHERE n.nspname = s)
"""
_QUOTED = "SELECT s FROM unnest(%s::text[]) AS s WHERE quote_ident(s) <> s"
_NOTHING = "nothing was written, and the database was not changed."


def refuse_a_store(connection: Connection) -> None:
    """Pass where no store of ours is.

    Raises:
        NotReady: there is one; it has a folder.
    """
    if not has_audit(connection):
        return
    store: StoreRecord | None = None
    try:
        with connection.transaction():
            store = recorded(connection)
    except psycopg.errors.InsufficientPrivilege:
        pass  # it is there, and that is enough
    which = f"the store {store.name}, of the DAG {store.dag_id}" if store else "a store already"
    raise NotReady(
        f"This database has {which}: the schema feature_store_audit is its record.",
        readers=_NOTHING,
        next_step="Work with that store's folder (FEATURE_STORE_INCLUDE_DIR): one database has one "
        "store.",
    )


def chosen_schemas(connection: Connection, named: Sequence[str]) -> tuple[str, ...]:
    """The schemas of the store: those that were named, or all that have materialized views.

    Raises:
        BadInput: there is none, one does not exist, or one cannot be a store's.
    """
    found = tuple(named) or tuple(name for (name,) in connection.execute(_SCHEMAS))
    if not found:
        raise BadInput(
            "The database has no materialized view: there is no store to be written down.",
            readers=_NOTHING,
            next_step="Connect to another database (FEATURE_STORE_CONN_ID); or begin with nothing, "
            "as docs/your-own-store.md shows.",
        )
    if unknown := [s for (s,) in connection.execute(_UNKNOWN, (list(found),))]:
        raise BadInput(
            f"The database has no schema {', '.join(unknown)}.",
            readers=_NOTHING,
            next_step="Correct --schemas.",
        )
    quoted = {s for (s,) in connection.execute(_QUOTED, (list(found),))}
    if wrong := [s for s in found if s in quoted or not is_schema(s)]:
        names = ", ".join(sql.Identifier(s).as_string() for s in wrong)
        raise BadInput(
            f"The schema {names} cannot be a store's: readers type its name without quotes, so "
            "expected are small letters, digits and _, at most 40, and no word of SQL.",
            readers=_NOTHING,
            next_step="Leave it out (--schemas), or rename it (ALTER SCHEMA … RENAME TO …).",
        )
    return found


def refuse_unfit(found: FoundStore, schemas: Collection[str]) -> None:
    """Pass where every relation and source can be named in a folder, and be refreshed in order.

    Raises:
        BadInput: some cannot; the message names all.
    """
    if not found.materialized:
        raise BadInput(
            f"There is no materialized view in {', '.join(schemas)}.",
            readers=_NOTHING,
            next_step="Correct --schemas, or leave it out.",
        )
    if problems := [*_names(found), *_twins(found), *_circles(found, schemas)]:
        raise BadInput(
            "The store cannot be written down as it is:",
            items=problems,
            readers=_NOTHING,
            next_step="Fix the above, or choose other schemas (--schemas), then try again.",
        )


def _names(found: FoundStore) -> Iterator[str]:
    for name in (*found.relations, *found.sources):
        if not _is_plain(name):
            what = "a view" if name in found.relations else "a source"
            yield (
                f"{name.quoted}, {what}: expected letters, digits, _ and $ in a name. Rename it "
                "(ALTER … RENAME TO …): what reads it goes on doing so."
            )


def _is_plain(name: Name) -> bool:
    try:
        return Name.parse(str(name)) == name
    except BadInput:
        return False


def _twins(found: FoundStore) -> Iterator[str]:
    times = Counter(name.relation for name in found.relations)
    for relation in sorted(r for r, n in times.items() if n > 1):
        twins = ", ".join(str(n) for n in found.relations if n.relation == relation)
        yield f"{twins}: expected different names, as tasks are called without the schema."


def _circles(found: FoundStore, schemas: Collection[str]) -> Iterator[str]:
    """A source that stands on the store itself: the DAG would not see what comes first."""
    for source in found.sources.values():
        if source.stands_on:
            stands_on = ", ".join(map(str, source.stands_on))
            together = ",".join([*schemas, source.name.schema])
            yield (
                f"{source.name} is outside of the schemas and reads {stands_on}, and the store "
                f"reads it. Let it be of the store: --schemas {together}"
            )
