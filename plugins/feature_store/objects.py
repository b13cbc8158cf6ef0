"""What apply creates, one by one, and the state in which each of it is.

An object's state is found by comparing three texts: the file's definition now, the file's
definition when it was applied, and the server's description then and now.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from psycopg import Connection

from feature_store.catalog import (
    QUERY_BEGINS,
    QUERY_ENDS,
    describe_governance,
    describe_relation,
)
from feature_store.session import server_major
from feature_store.sqlfile import split_statements
from feature_store.store import Relation, Store
from feature_store.wording import difference

GOVERNED_SCHEMAS = ("ml", "feature_store")
AUDIT_SCHEMA = "feature_store_audit"


@dataclass(frozen=True)
class _Governance:
    """A governance file: what it makes in each schema, its functions by their argument types."""

    file: str
    label: str
    tables: tuple[str, ...]
    functions: tuple[tuple[str, str], ...]


_GOVERNANCE = (
    _Governance(
        "feature_contract.sql",
        "feature contracts",
        ("feature_set", "feature_contract", "feature_set_current", "feature_set_binding"),
        (("assert_feature_contract", "text"), ("check_feature_contract", "text")),
    ),
    _Governance(
        "certification.sql",
        "certification guard",
        (),
        (("require_certified", "text, interval"),),
    ),
    _Governance(
        "freshness.sql",
        "freshness guard",
        (),
        (("store_freshness", "interval"),),
    ),
)


class State(StrEnum):
    """How an object stands to its file."""

    MISSING = "missing"
    AS_FILE = "as its file"
    FILE_CHANGED = "its file has changed since it was applied"
    ALTERED_LIVE = "altered in the database since it was applied"
    FOREIGN = "there before us"


@dataclass(frozen=True)
class StoreObject:
    """Something that apply creates as a whole.

    Attributes:
        label: how it is called in messages and in the audit schema.
        definition: what makes it what it is, normalised, as its file says now.
        dictionary: its comments, normalised.
        create: the statements that create it.
        comment: the statements that comment on it.
        describe: gives the server's description of it, None if it does not exist.
    """

    label: str
    definition: str
    dictionary: str
    create: tuple[str, ...]
    comment: tuple[str, ...]
    describe: Callable[[Connection[Any]], str | None]


@dataclass(frozen=True)
class Condition:
    """An object and its state.

    Attributes:
        thing: the object.
        state: its state.
        details: where file and database differ, in words; empty where they do not.
        dictionary_differs: whether its comments in the file are not those that were applied.
    """

    thing: StoreObject
    state: State
    details: str
    dictionary_differs: bool


def store_objects(store: Store, include_dir: Path) -> tuple[StoreObject, ...]:
    """Every object of the store, in an order in which they can be created.

    Raises:
        BadInput: the governance file cannot be read.
    """
    governance = [
        _governance(include_dir, schema, kind)
        for kind in _GOVERNANCE
        for schema in GOVERNED_SCHEMAS
    ]
    return (*governance, *(_relation(relation) for relation in store.relations))


def examine(connection: Connection[Any], things: tuple[StoreObject, ...]) -> list[Condition]:
    """Find the state of each object."""
    recorded: dict[str, tuple[str, str, str, int]] = {}
    if has_audit(connection):
        recorded = {
            label: rest
            for label, *rest in connection.execute(
                "SELECT object, file_definition, live_definition, dictionary, server_major "
                "FROM feature_store_audit.definition"
            )
        }
    return [_condition(connection, thing, recorded.get(thing.label)) for thing in things]


def has_audit(connection: Connection[Any]) -> bool:
    """Whether the audit schema exists."""
    # Asked of the catalog, which answers whatever privileges the session has.
    row = connection.execute(
        "SELECT 1 FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n "
        "ON c.relnamespace = n.oid WHERE n.nspname = %s AND c.relname = 'migration'",
        (AUDIT_SCHEMA,),
    ).fetchone()
    return row is not None


def _condition(
    connection: Connection[Any], thing: StoreObject, recorded: tuple[str, str, str, int] | None
) -> Condition:
    live = thing.describe(connection)
    if live is None:
        return Condition(thing, State.MISSING, "", False)
    if recorded is None:
        return Condition(thing, State.FOREIGN, "apply did not create it", False)
    file_then, live_then, dictionary_then, server_then = recorded
    if live != live_then and not (
        server_then != server_major(connection) and _alike(live, live_then)
    ):
        return Condition(thing, State.ALTERED_LIVE, difference(live_then, live), False)
    if thing.definition != file_then:
        details = difference(file_then, thing.definition)
        return Condition(thing, State.FILE_CHANGED, details, False)
    return Condition(thing, State.AS_FILE, "", thing.dictionary != dictionary_then)


def _alike(live: str, live_then: str) -> bool:
    """Whether two descriptions by different major versions agree in all but a query's wording."""
    queries = re.compile(f"{QUERY_BEGINS}\n.*?\n{QUERY_ENDS}", re.DOTALL)
    return queries.sub("", live) == queries.sub("", live_then)


def _relation(relation: Relation) -> StoreObject:
    file = relation.file
    return StoreObject(
        label=str(file.name),
        definition=file.definition,
        dictionary=file.dictionary,
        create=(file.create.text, *(i.text for i in file.indexes.values())),
        comment=tuple(c.text for c in file.comments),
        describe=lambda connection: describe_relation(connection, file),
    )


def _governance(include_dir: Path, schema: str, kind: _Governance) -> StoreObject:
    path = include_dir / "sql" / "governance" / kind.file
    create, comment, definition, dictionary = [], [], [], []
    for statement in split_statements(path):
        # The file is written for psql, which puts the quoted schema in place of :"schema".
        text = statement.text.replace(':"schema"', f'"{schema}"')
        if statement.normal.startswith("comment on "):
            comment.append(text)
            dictionary.append(statement.normal)
        else:
            create.append(text)
            definition.append(statement.normal)
    return StoreObject(
        label=f"the {kind.label} of {schema}",
        definition=";\n".join(definition),
        dictionary=";\n".join(dictionary),
        create=tuple(create),
        comment=tuple(comment),
        describe=lambda connection: describe_governance(
            connection, schema, kind.tables, kind.functions
        ),
    )
